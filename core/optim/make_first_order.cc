#include <memory>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/optim/asgd.h"
#include "core/optim/make_elementwise.h"
#include "core/optim/momentum.h"
#include "core/optim/nesterov.h"
#include "core/optim/noisy_sgd.h"
#include "core/optim/optimistic_gradient.h"
#include "core/optim/optimizer_families.h"
#include "core/optim/rprop.h"
#include "core/optim/sgd.h"
#include "core/optim/sign_sgd.h"
#include "core/optim/signum.h"

namespace gradd {
namespace {

using OptimizerOr = absl::StatusOr<std::unique_ptr<Optimizer>>;

OptimizerOr MakeNesterov(const v1::Optimizer& spec) {
  switch (spec.nesterov().form()) {
    case v1::Nesterov::FORM_UNSPECIFIED:
    case v1::Nesterov::FORM_REFORMULATED:
      return MakeElementwise<NesterovReformulatedRule>(spec, spec.nesterov());
    case v1::Nesterov::FORM_LOOK_AHEAD:
      return MakeElementwise<NesterovLookAheadRule>(spec, spec.nesterov());
    default:
      return InvalidArgument("OUT_OF_RANGE", absl::StrCat("optimizer.nesterov.form: ",
                                                          static_cast<int>(spec.nesterov().form()),
                                                          " is no Nesterov.Form"));
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Optimizer>> MakeFirstOrder(const v1::Optimizer& spec) {
  switch (spec.kind_case()) {
    case v1::Optimizer::kSgd:
      return MakeElementwise<SgdRule>(spec, spec.sgd());
    case v1::Optimizer::kMomentum:
      return MakeElementwise<MomentumRule>(spec, spec.momentum());
    case v1::Optimizer::kNesterov:
      return MakeNesterov(spec);
    case v1::Optimizer::kNoisySgd:
      return MakeElementwise<NoisySgdRule>(spec, spec.noisy_sgd());
    case v1::Optimizer::kSignSgd:
      return MakeElementwise<SignSgdRule>(spec, spec.sign_sgd());
    case v1::Optimizer::kSignum:
      return MakeElementwise<SignumRule>(spec, spec.signum());
    case v1::Optimizer::kOptimisticGradient:
      return MakeElementwise<OptimisticGradientRule>(spec, spec.optimistic_gradient());
    case v1::Optimizer::kRprop:
      return MakeElementwise<RpropRule>(spec, spec.rprop());
    case v1::Optimizer::kAsgd:
      return MakeElementwise<AsgdRule>(spec, spec.asgd());
    default:
      return nullptr;
  }
}

}  // namespace gradd
