#include <memory>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/optim/ac_prop.h"
#include "core/optim/ad_ema_mix.h"
#include "core/optim/ada_belief.h"
#include "core/optim/ada_delta.h"
#include "core/optim/ada_grad.h"
#include "core/optim/ada_max.h"
#include "core/optim/adam.h"
#include "core/optim/adan.h"
#include "core/optim/adopt.h"
#include "core/optim/ams_grad.h"
#include "core/optim/ftrl.h"
#include "core/optim/lion.h"
#include "core/optim/madgrad.h"
#include "core/optim/make_elementwise.h"
#include "core/optim/n_adam.h"
#include "core/optim/optimistic_adam.h"
#include "core/optim/optimizer_families.h"
#include "core/optim/r_adam.h"
#include "core/optim/rms_prop.h"
#include "core/optim/yogi.h"

namespace gradd {
namespace {

using OptimizerOr = absl::StatusOr<std::unique_ptr<Optimizer>>;

OptimizerOr MakeRmsProp(const v1::Optimizer& spec) {
  const v1::RmsProp& in = spec.rms_prop();
  const bool momentum = in.momentum() != 0;
  if (in.centered()) {
    return momentum ? MakeElementwise<RmsPropRule<true, true>>(spec, in)
                    : MakeElementwise<RmsPropRule<true, false>>(spec, in);
  }
  return momentum ? MakeElementwise<RmsPropRule<false, true>>(spec, in)
                  : MakeElementwise<RmsPropRule<false, false>>(spec, in);
}

template <FtrlPower kPower>
OptimizerOr MakeFtrlOf(const v1::Optimizer& spec) {
  return spec.ftrl().l1() != 0 ? MakeElementwise<FtrlRule<kPower, true>>(spec, spec.ftrl())
                               : MakeElementwise<FtrlRule<kPower, false>>(spec, spec.ftrl());
}

OptimizerOr MakeFtrl(const v1::Optimizer& spec) {
  const v1::Ftrl& in = spec.ftrl();
  if (in.l2() != 0 && spec.weight_decay() != 0) {
    return InvalidArgument("OUT_OF_RANGE", absl::StrCat("optimizer.ftrl.l2: ", in.l2(),
                                                        ", and optimizer.weight_decay is ",
                                                        spec.weight_decay(), ", expected one"));
  }
  if (!in.has_learning_rate_power() || in.learning_rate_power() == -0.5) {
    return MakeFtrlOf<FtrlPower::kHalf>(spec);
  }
  return in.learning_rate_power() == 0 ? MakeFtrlOf<FtrlPower::kZero>(spec)
                                       : MakeFtrlOf<FtrlPower::kAny>(spec);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Optimizer>> MakeAdaptive(const v1::Optimizer& spec) {
  switch (spec.kind_case()) {
    case v1::Optimizer::kAdaGrad:
      return MakeElementwise<AdaGradRule>(spec, spec.ada_grad());
    case v1::Optimizer::kRmsProp:
      return MakeRmsProp(spec);
    case v1::Optimizer::kAdam:
      return MakeElementwise<AdamRule>(spec, spec.adam());
    case v1::Optimizer::kAdamW:
      return MakeElementwise<AdamRule>(spec, spec.adam_w());
    case v1::Optimizer::kAdaDelta:
      return MakeElementwise<AdaDeltaRule>(spec, spec.ada_delta());
    case v1::Optimizer::kAmsGrad:
      return MakeElementwise<AmsGradRule>(spec, spec.ams_grad());
    case v1::Optimizer::kAdaMax:
      return MakeElementwise<AdaMaxRule>(spec, spec.ada_max());
    case v1::Optimizer::kAdaMaxW:
      return MakeElementwise<AdaMaxRule>(spec, spec.ada_max_w());
    case v1::Optimizer::kNAdam:
      return MakeElementwise<NAdamRule>(spec, spec.n_adam());
    case v1::Optimizer::kNAdamW:
      return MakeElementwise<NAdamRule>(spec, spec.n_adam_w());
    case v1::Optimizer::kRAdam:
      return MakeElementwise<RAdamRule>(spec, spec.r_adam());
    case v1::Optimizer::kAdaBelief:
      return MakeElementwise<AdaBeliefRule>(spec, spec.ada_belief());
    case v1::Optimizer::kYogi:
      return MakeElementwise<YogiRule>(spec, spec.yogi());
    case v1::Optimizer::kAdan:
      return MakeElementwise<AdanRule>(spec, spec.adan());
    case v1::Optimizer::kAdopt:
      return MakeElementwise<AdoptRule>(spec, spec.adopt());
    case v1::Optimizer::kAdEmaMix:
      return MakeElementwise<AdEmaMixRule>(spec, spec.ad_ema_mix());
    case v1::Optimizer::kAcProp:
      return MakeElementwise<AcPropRule>(spec, spec.ac_prop());
    case v1::Optimizer::kOptimisticAdam:
      return MakeElementwise<OptimisticAdamRule>(spec, spec.optimistic_adam());
    case v1::Optimizer::kLion:
      return MakeElementwise<LionRule>(spec, spec.lion());
    case v1::Optimizer::kMadgrad:
      return MakeElementwise<MadgradRule>(spec, spec.madgrad());
    case v1::Optimizer::kFtrl:
      return MakeFtrl(spec);
    default:
      return nullptr;
  }
}

}  // namespace gradd
