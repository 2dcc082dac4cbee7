#include "core/optim/weight_decay_defaults.h"

namespace gradd {

WeightDecayDefaults WeightDecayDefaultsOf(v1::Optimizer::KindCase kind) {
  switch (kind) {
    case v1::Optimizer::kAdamW:
    case v1::Optimizer::kAdaMaxW:
    case v1::Optimizer::kNAdamW:
      return {0.01, v1::WEIGHT_DECAY_MODE_DECOUPLED, false, true};
    case v1::Optimizer::kAcProp:
    case v1::Optimizer::kAdaBelief:
    case v1::Optimizer::kAdafactor:
    case v1::Optimizer::kAdan:
    case v1::Optimizer::kAdEmaMix:
    case v1::Optimizer::kLamb:
    case v1::Optimizer::kLion:
    case v1::Optimizer::kMomo:
    case v1::Optimizer::kMomoAdam:
    case v1::Optimizer::kMuon:
    case v1::Optimizer::kNovoGrad:
    case v1::Optimizer::kProdigy:
    case v1::Optimizer::kRAdam:
    case v1::Optimizer::kScheduleFreeAdam:
      return {0, v1::WEIGHT_DECAY_MODE_DECOUPLED, true, true};
    case v1::Optimizer::kMadgrad:
    case v1::Optimizer::kFtrl:
      return {0, v1::WEIGHT_DECAY_MODE_COUPLED, true, false};
    default:
      return {};
  }
}

}  // namespace gradd
