#include "core/optim/optimizer_factory.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/optim/ada_grad.h"
#include "core/optim/adam.h"
#include "core/optim/make_elementwise.h"
#include "core/optim/momentum.h"
#include "core/optim/nesterov.h"
#include "core/optim/rms_prop.h"
#include "core/optim/sgd.h"

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

// "sgd, momentum, ...": the kinds there are.
std::string Kinds() {
  std::string kinds;
  const auto* const kind = v1::Optimizer::descriptor()->FindOneofByName("kind");
  for (int i = 0; i < kind->field_count(); ++i) {
    absl::StrAppend(&kinds, i == 0 ? "" : ", ", kind->field(i)->name());
  }
  return kinds;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Optimizer>> MakeOptimizer(const v1::Optimizer& spec) {
  switch (spec.kind_case()) {
    case v1::Optimizer::kSgd:
      return MakeElementwise<SgdRule>(spec, spec.sgd());
    case v1::Optimizer::kMomentum:
      return MakeElementwise<MomentumRule>(spec, spec.momentum());
    case v1::Optimizer::kNesterov:
      return MakeNesterov(spec);
    case v1::Optimizer::kAdaGrad:
      return MakeElementwise<AdaGradRule>(spec, spec.ada_grad());
    case v1::Optimizer::kRmsProp:
      return MakeRmsProp(spec);
    case v1::Optimizer::kAdam:
      return MakeElementwise<AdamRule>(spec, spec.adam());
    case v1::Optimizer::KIND_NOT_SET:
      break;
  }
  return InvalidArgument("OPTIMIZER_MISSING",
                         absl::StrCat("optimizer: no kind is set, expected one of ", Kinds()));
}

}  // namespace gradd
