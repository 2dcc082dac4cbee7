#include "core/optim/weight_decay.h"

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/optim/hyper_parameters.h"

namespace gradd {

absl::StatusOr<WeightDecay> ReadWeightDecay(const v1::Optimizer& spec) {
  HyperParameters read("optimizer");
  const double amount = GRADD_HYPER_PARAMETER(&read, spec, weight_decay, 0, kUpToMillion);
  if (!v1::WeightDecayMode_IsValid(spec.weight_decay_mode())) {
    read.Refuse("weight_decay_mode",
                absl::StrCat(static_cast<int>(spec.weight_decay_mode()), " is no WeightDecayMode"));
  }
  GRADD_RETURN_IF_ERROR(read.status());
  WeightDecay decay;
  const bool decoupled = spec.weight_decay_mode() == v1::WEIGHT_DECAY_MODE_DECOUPLED;
  (decoupled ? decay.decoupled : decay.coupled) = amount;
  return decay;
}

}  // namespace gradd
