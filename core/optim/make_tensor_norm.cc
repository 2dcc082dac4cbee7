#include <memory>

#include "core/optim/fromage.h"
#include "core/optim/lamb.h"
#include "core/optim/lars.h"
#include "core/optim/make_elementwise.h"
#include "core/optim/novo_grad.h"
#include "core/optim/optimizer_families.h"

namespace gradd {

absl::StatusOr<std::unique_ptr<Optimizer>> MakeTensorNorm(const v1::Optimizer& spec) {
  switch (spec.kind_case()) {
    case v1::Optimizer::kLars:
      return MakeElementwise<LarsRule>(spec, spec.lars());
    case v1::Optimizer::kLamb:
      return MakeElementwise<LambRule>(spec, spec.lamb());
    case v1::Optimizer::kNovoGrad:
      return MakeElementwise<NovoGradRule>(spec, spec.novo_grad());
    case v1::Optimizer::kFromage:
      return MakeElementwise<FromageRule>(spec, spec.fromage());
    default:
      return nullptr;
  }
}

}  // namespace gradd
