#include "core/optim/weight_decay.h"

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/optim/hyper_parameters.h"
#include "core/optim/weight_decay_defaults.h"

namespace gradd {

absl::StatusOr<WeightDecay> ReadWeightDecay(const v1::Optimizer& spec) {
  HyperParameters read("optimizer");
  const WeightDecayDefaults kind = WeightDecayDefaultsOf(spec.kind_case());
  const double amount = GRADD_HYPER_PARAMETER(&read, spec, weight_decay, kind.amount, kUpToMillion);
  v1::WeightDecayMode mode = spec.weight_decay_mode();
  if (mode == v1::WEIGHT_DECAY_MODE_UNSPECIFIED) mode = kind.mode;
  const bool decoupled = mode == v1::WEIGHT_DECAY_MODE_DECOUPLED;
  if (!v1::WeightDecayMode_IsValid(mode)) {
    read.Refuse("weight_decay_mode",
                absl::StrCat(static_cast<int>(mode), " is no WeightDecayMode"));
  } else if (decoupled ? !kind.can_decouple : !kind.can_couple) {
    read.Refuse("weight_decay_mode",
                absl::StrCat(v1::WeightDecayMode_Name(mode), " is not for this kind, expected the ",
                             "other mode or none"));
  }
  GRADD_RETURN_IF_ERROR(read.status());
  WeightDecay decay;
  (decoupled ? decay.decoupled : decay.coupled) = amount;
  return decay;
}

}  // namespace gradd
