#include <memory>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/optim/make_elementwise.h"
#include "core/optim/momentum.h"
#include "core/optim/nesterov.h"
#include "core/optim/optimizer_families.h"
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

}  // namespace

absl::StatusOr<std::unique_ptr<Optimizer>> MakeFirstOrder(const v1::Optimizer& spec) {
  switch (spec.kind_case()) {
    case v1::Optimizer::kSgd:
      return MakeElementwise<SgdRule>(spec, spec.sgd());
    case v1::Optimizer::kMomentum:
      return MakeElementwise<MomentumRule>(spec, spec.momentum());
    case v1::Optimizer::kNesterov:
      return MakeNesterov(spec);
    default:
      return nullptr;
  }
}

}  // namespace gradd
