#ifndef GRADD_CORE_OPTIM_WEIGHT_DECAY_DEFAULTS_H_
#define GRADD_CORE_OPTIM_WEIGHT_DECAY_DEFAULTS_H_

#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// What `weight_decay` and `weight_decay_mode` are where they are not set: what the method's paper
// means by them or, where it does not say, its authors' code. And which modes the method takes.
struct WeightDecayDefaults {
  double amount = 0;
  v1::WeightDecayMode mode = v1::WEIGHT_DECAY_MODE_COUPLED;
  bool can_couple = true;
  bool can_decouple = true;
};
WeightDecayDefaults WeightDecayDefaultsOf(v1::Optimizer::KindCase kind);

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_WEIGHT_DECAY_DEFAULTS_H_
