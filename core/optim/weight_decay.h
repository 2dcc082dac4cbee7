#ifndef GRADD_CORE_OPTIM_WEIGHT_DECAY_H_
#define GRADD_CORE_OPTIM_WEIGHT_DECAY_H_

#include "absl/status/statusor.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// A pull towards zero, in front of any rule.
struct WeightDecay {
  // L2 penalty: g = g + coupled * p, where p is the point at which g was taken.
  double coupled = 0;
  // Apart from the gradient: p = p - lr * decoupled * p (Loshchilov and Hutter 2019, "Decoupled
  // Weight Decay Regularization", algorithms 1 and 2, line 9 resp. 12, with the learning rate as
  // their schedule multiplier).
  double decoupled = 0;
};

// That of `spec`, whose kind decides what is not set. INVALID_ARGUMENT names field, value and
// range.
absl::StatusOr<WeightDecay> ReadWeightDecay(const v1::Optimizer& spec);

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_WEIGHT_DECAY_H_
