#include "worker/data/synthetic.h"

#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "worker/data/random.h"

namespace gradd {
namespace {

constexpr int64_t kMaxNumbers = int64_t{1} << 31;

// Streams of the generator.
constexpr uint64_t kProblem = 1;
constexpr uint64_t kTrain = 2;
constexpr uint64_t kTest = 3;

absl::Status CheckSize(const char* what, int64_t value, int64_t least) {
  if (value >= least && value <= kMaxNumbers) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("synthetic data: ", what, ": ", value,
                                                 ", between ", least, " and ", kMaxNumbers,
                                                 " expected"));
}

std::vector<float> NearlyNormal(int64_t count, Random* random) {
  std::vector<float> numbers(static_cast<size_t>(count));
  for (float& number : numbers) number = random->NearlyNormal();
  return numbers;
}

Dataset Classification(const SyntheticOptions& options, const std::vector<float>& centres,
                       int64_t examples, Random random) {
  const size_t features = static_cast<size_t>(options.features);
  std::vector<float> numbers(static_cast<size_t>(examples) * features);
  std::vector<int32_t> labels(static_cast<size_t>(examples));
  for (size_t i = 0; i < labels.size(); ++i) {
    const uint32_t label = random.Below(static_cast<uint32_t>(options.classes));
    labels[i] = static_cast<int32_t>(label);
    for (size_t j = 0; j < features; ++j) {
      numbers[i * features + j] =
          centres[label * features + j] + options.noise * random.NearlyNormal();
    }
  }
  return Dataset::OfFloats(options.features, std::move(numbers), std::move(labels),
                           options.classes);
}

// `function` has a weight per feature and a constant at its end.
Dataset Regression(const SyntheticOptions& options, const std::vector<float>& function,
                   int64_t examples, Random random) {
  const size_t features = static_cast<size_t>(options.features);
  std::vector<float> numbers(static_cast<size_t>(examples) * features);
  std::vector<float> targets(static_cast<size_t>(examples));
  for (size_t i = 0; i < targets.size(); ++i) {
    float target = function[features];
    for (size_t j = 0; j < features; ++j) {
      const float number = random.NearlyNormal();
      numbers[i * features + j] = number;
      target += function[j] * number;
    }
    targets[i] = target + options.noise * random.NearlyNormal();
  }
  return Dataset::OfFloats(options.features, std::move(numbers), std::move(targets));
}

}  // namespace

absl::StatusOr<TrainAndTest> MakeSynthetic(const SyntheticOptions& options) {
  GRADD_RETURN_IF_ERROR(CheckSize("examples", options.examples, 1));
  GRADD_RETURN_IF_ERROR(CheckSize("test examples", options.test_examples, 0));
  GRADD_RETURN_IF_ERROR(CheckSize("features", options.features, 1));
  GRADD_RETURN_IF_ERROR(CheckSize("classes", options.classes, 0));
  const int64_t rows = options.examples + options.test_examples + options.classes + 1;
  if (options.features > kMaxNumbers / rows) {
    return absl::InvalidArgumentError(
        absl::StrCat("synthetic data: ", rows, " examples and classes x ", options.features,
                     " features, at most ", kMaxNumbers, " numbers expected"));
  }
  if (!std::isfinite(options.noise) || options.noise < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("synthetic data: noise: ", options.noise, ", at least 0 and finite expected"));
  }
  Random problem(options.seed, kProblem);
  const Random train(options.seed, kTrain);
  const Random test(options.seed, kTest);
  if (options.classes > 0) {
    const std::vector<float> centres = NearlyNormal(options.classes * options.features, &problem);
    return TrainAndTest{Classification(options, centres, options.examples, train),
                        Classification(options, centres, options.test_examples, test)};
  }
  const std::vector<float> function = NearlyNormal(options.features + 1, &problem);
  return TrainAndTest{Regression(options, function, options.examples, train),
                      Regression(options, function, options.test_examples, test)};
}

}  // namespace gradd
