#ifndef GRADD_WORKER_DATA_SYNTHETIC_H_
#define GRADD_WORKER_DATA_SYNTHETIC_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "worker/data/dataset.h"

namespace gradd {

// Made-up problems of any size, the same everywhere for the same options.
struct SyntheticOptions {
  int64_t examples = 10'000;
  int64_t test_examples = 2'000;  // May be 0.
  int64_t features = 20;
  // Classification: each class is a cloud around a random centre whose coordinates have
  // deviation 1. 0: regression on a random linear function with weights of deviation 1.
  int64_t classes = 10;
  // Deviation of each coordinate around its centre, or of the target around the function.
  float noise = 0.5F;
  uint64_t seed = 0;
};

// Training and test set of one problem.
struct TrainAndTest {
  Dataset train;
  Dataset test;  // May have no examples.
};

// INVALID_ARGUMENT for sizes below 1, more than 2^31 numbers or a noise that is not
// finite or below 0.
absl::StatusOr<TrainAndTest> MakeSynthetic(const SyntheticOptions& options);

}  // namespace gradd

#endif  // GRADD_WORKER_DATA_SYNTHETIC_H_
