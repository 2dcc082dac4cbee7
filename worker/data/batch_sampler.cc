#include "worker/data/batch_sampler.h"

#include <limits>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "worker/data/random.h"

namespace gradd {

absl::StatusOr<BatchSampler> BatchSampler::Create(const Options& options) {
  const int64_t examples = options.examples;
  if (examples < 1 || examples > std::numeric_limits<uint32_t>::max()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the training set has ", examples, " examples, between 1 and ",
                     std::numeric_limits<uint32_t>::max(), " expected"));
  }
  if (options.workers < 1 || options.workers > examples) {
    return absl::InvalidArgumentError(absl::StrCat("workers: ", options.workers,
                                                   ", between 1 and the ", examples,
                                                   " training examples expected"));
  }
  if (options.rank < 0 || options.rank >= options.workers) {
    return absl::InvalidArgumentError(
        absl::StrCat("rank: ", options.rank, ", between 0 and workers - 1 = ", options.workers - 1,
                     " expected"));
  }
  const int64_t share = examples / options.workers;
  if (options.batch < 0 || options.batch > share) {
    return absl::InvalidArgumentError(absl::StrCat(
        "batch: ", options.batch, ", at most ", share, " expected, a worker's share of ", examples,
        " training examples among ", options.workers, " workers"));
  }
  return BatchSampler(options);
}

BatchSampler::BatchSampler(const Options& options) : options_(options) {
  if (options.batch > 0) {
    batch_ = static_cast<size_t>(options.batch);
    steps_per_epoch_ = options.examples / (options.workers * options.batch);
    return;
  }
  // Products stay below 2^64: both factors are below 2^32.
  const auto part = [&](int64_t rank) {
    return static_cast<uint64_t>(options.examples) * static_cast<uint64_t>(rank) /
           static_cast<uint64_t>(options.workers);
  };
  const uint64_t begin = part(options.rank);
  batch_ = static_cast<size_t>(part(options.rank + 1) - begin);
  steps_per_epoch_ = 1;
  indices_.resize(batch_);
  std::iota(indices_.begin(), indices_.end(), static_cast<uint32_t>(begin));
}

void BatchSampler::Shuffle(int64_t epoch) {
  indices_.resize(static_cast<size_t>(options_.examples));
  std::iota(indices_.begin(), indices_.end(), 0U);
  Random random(options_.seed, static_cast<uint64_t>(epoch));
  // Fisher and Yates.
  for (size_t i = indices_.size(); i > 1; --i) {
    std::swap(indices_[i - 1], indices_[random.Below(static_cast<uint32_t>(i))]);
  }
  epoch_ = epoch;
}

absl::Span<const uint32_t> BatchSampler::Batch(int64_t sequence) {
  if (options_.batch == 0) return indices_;
  const int64_t epoch = (sequence - 1) / steps_per_epoch_;
  const int64_t step = (sequence - 1) % steps_per_epoch_;
  if (epoch != epoch_) Shuffle(epoch);
  const int64_t begin = (step * options_.workers + options_.rank) * options_.batch;
  return absl::MakeSpan(indices_).subspan(static_cast<size_t>(begin), batch_);
}

}  // namespace gradd
