#include <memory>

#include "core/base/error.h"
#include "core/optim/adafactor.h"
#include "core/optim/make_elementwise.h"
#include "core/optim/muon.h"
#include "core/optim/optimizer_families.h"
#include "core/optim/shampoo.h"
#include "core/optim/sm3.h"
#include "core/optim/transformed_optimizer.h"

namespace gradd {
namespace {

template <typename Transform, typename Kind>
absl::StatusOr<std::unique_ptr<Optimizer>> MakeTransformed(const v1::Optimizer& spec,
                                                           const Kind& kind) {
  HyperParameters read(KindPath(spec));
  auto transform = std::make_unique<Transform>(Transform::Read(kind, &read));
  GRADD_RETURN_IF_ERROR(read.status());
  absl::StatusOr<WeightDecay> decay = ReadWeightDecay(spec);
  GRADD_RETURN_IF_ERROR(decay.status());
  transform->TakeDecay(&*decay);
  return std::make_unique<TransformedOptimizer>(std::move(transform), *decay);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Optimizer>> MakeWholeTensor(const v1::Optimizer& spec) {
  switch (spec.kind_case()) {
    case v1::Optimizer::kAdafactor:
      return MakeTransformed<Adafactor>(spec, spec.adafactor());
    case v1::Optimizer::kSm3:
      return MakeTransformed<Sm3>(spec, spec.sm3());
    case v1::Optimizer::kMuon:
      return MakeTransformed<Muon>(spec, spec.muon());
    case v1::Optimizer::kShampoo:
      return MakeTransformed<Shampoo>(spec, spec.shampoo());
    default:
      return nullptr;
  }
}

}  // namespace gradd
