#include "core/data/data_set.h"

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/data/example_permutation.h"

namespace gradd {
namespace {

constexpr int64_t kMostExamples = int64_t{1} << 40;
constexpr int64_t kMostBatches = int64_t{1} << 53;
constexpr int64_t kDefaultSkips = 3;
constexpr int64_t kMostSkips = 1000;

int64_t BatchesPerEpoch(const v1::DataSet& spec) {
  return (spec.examples() - 1) / spec.batch_size() + 1;
}

absl::Status DataInvalid(absl::string_view field, int64_t value, absl::string_view range) {
  return InvalidArgument("DATA_INVALID",
                         absl::StrCat("data.", field, ": ", value, " is outside ", range));
}

// Fields that must be set, and of which 0 is no value.
absl::Status RequiredInvalid(absl::string_view field, int64_t value, absl::string_view range) {
  if (value != 0) return DataInvalid(field, value, range);
  return InvalidArgument("DATA_INVALID",
                         absl::StrCat("data.", field, ": not set, expected in ", range));
}

}  // namespace

absl::Status ValidateDataSet(const v1::DataSet& spec) {
  if (spec.examples() < 1 || spec.examples() > kMostExamples) {
    return RequiredInvalid("examples", spec.examples(), "[1, 2^40]");
  }
  if (spec.batch_size() < 1 || spec.batch_size() > spec.examples()) {
    return RequiredInvalid("batch_size", spec.batch_size(),
                           absl::StrCat("[1, ", spec.examples(), "], the examples"));
  }
  const int64_t most_epochs = kMostBatches / BatchesPerEpoch(spec);
  if (spec.epochs() < 1 || spec.epochs() > most_epochs) {
    return RequiredInvalid(
        "epochs", spec.epochs(),
        absl::StrCat("[1, ", most_epochs, "], at ", BatchesPerEpoch(spec), " batches each"));
  }
  if (spec.has_most_skips() && (spec.most_skips() < 1 || spec.most_skips() > kMostSkips)) {
    return DataInvalid("most_skips", spec.most_skips(), absl::StrCat("[1, ", kMostSkips, "]"));
  }
  return absl::OkStatus();
}

DataSet::DataSet(const v1::DataSet& spec)
    : examples_(spec.examples()),
      batch_size_(spec.batch_size()),
      seed_(spec.seed()),
      epochs_(spec.epochs()),
      most_skips_(spec.has_most_skips() ? spec.most_skips() : kDefaultSkips),
      batches_per_epoch_(BatchesPerEpoch(spec)) {}

int64_t DataSet::ExamplesIn(int64_t first, int64_t count) const {
  // The last batch of each epoch lacks some.
  const int64_t last_ones = (first + count) / batches_per_epoch_ - first / batches_per_epoch_;
  const int64_t lacking = batches_per_epoch_ * batch_size_ - examples_;
  return count * batch_size_ - last_ones * lacking;
}

std::vector<int64_t> DataSet::ExamplesOf(int64_t batch) const {
  const ExamplePermutation order(examples_, seed_, EpochOf(batch));
  const int64_t begin = batch % batches_per_epoch_ * batch_size_;
  std::vector<int64_t> examples;
  examples.reserve(static_cast<size_t>(ExamplesIn(batch, 1)));
  for (int64_t i = 0; i < ExamplesIn(batch, 1); ++i) examples.push_back(order.At(begin + i));
  return examples;
}

}  // namespace gradd
