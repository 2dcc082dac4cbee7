#include <memory>

#include "core/optim/ada_grad.h"
#include "core/optim/adam.h"
#include "core/optim/make_elementwise.h"
#include "core/optim/optimizer_families.h"
#include "core/optim/rms_prop.h"

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

}  // namespace

absl::StatusOr<std::unique_ptr<Optimizer>> MakeAdaptive(const v1::Optimizer& spec) {
  switch (spec.kind_case()) {
    case v1::Optimizer::kAdaGrad:
      return MakeElementwise<AdaGradRule>(spec, spec.ada_grad());
    case v1::Optimizer::kRmsProp:
      return MakeRmsProp(spec);
    case v1::Optimizer::kAdam:
      return MakeElementwise<AdamRule>(spec, spec.adam());
    default:
      return nullptr;
  }
}

}  // namespace gradd
