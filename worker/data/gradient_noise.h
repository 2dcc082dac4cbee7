#ifndef GRADD_WORKER_DATA_GRADIENT_NOISE_H_
#define GRADD_WORKER_DATA_GRADIENT_NOISE_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "worker/data/synthetic.h"

namespace gradd {

// Examples for a LandscapeModel: the training set has 10,000 of them, whose two features have mean
// 0 and this deviation; the test set has one, without noise. The same everywhere for the same seed.
// INVALID_ARGUMENT if the deviation is not finite or below 0.
absl::StatusOr<TrainAndTest> MakeGradientNoise(float deviation, uint64_t seed);

}  // namespace gradd

#endif  // GRADD_WORKER_DATA_GRADIENT_NOISE_H_
