#include "core/optim/weight_decay.h"

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/optim/hyper_parameters.h"

namespace gradd {
namespace {

// What `weight_decay` and `weight_decay_mode` are where they are not set, and which modes there
// are.
struct DecayOfKind {
  double amount = 0;
  bool decoupled = false;
  bool can_couple = true;
  bool can_decouple = true;
};

// What the paper means by weight decay, or where it does not say, the authors' code.
DecayOfKind DecayOf(v1::Optimizer::KindCase kind) {
  switch (kind) {
    case v1::Optimizer::kAdamW:
    case v1::Optimizer::kAdaMaxW:
    case v1::Optimizer::kNAdamW:
      return {0.01, true, false, true};
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
      return {0, true, true, true};
    case v1::Optimizer::kMadgrad:
    case v1::Optimizer::kFtrl:
      return {0, false, true, false};
    default:
      return {};
  }
}

}  // namespace

absl::StatusOr<WeightDecay> ReadWeightDecay(const v1::Optimizer& spec) {
  HyperParameters read("optimizer");
  const DecayOfKind kind = DecayOf(spec.kind_case());
  const double amount = GRADD_HYPER_PARAMETER(&read, spec, weight_decay, kind.amount, kUpToMillion);
  const v1::WeightDecayMode mode = spec.weight_decay_mode();
  const bool unset = mode == v1::WEIGHT_DECAY_MODE_UNSPECIFIED;
  const bool decoupled = unset ? kind.decoupled : mode == v1::WEIGHT_DECAY_MODE_DECOUPLED;
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
