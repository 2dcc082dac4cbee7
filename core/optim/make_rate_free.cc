#include <memory>

#include "core/base/error.h"
#include "core/optim/cocob.h"
#include "core/optim/d_adapt_adam.h"
#include "core/optim/dog.h"
#include "core/optim/make_elementwise.h"
#include "core/optim/momo.h"
#include "core/optim/optimizer_families.h"
#include "core/optim/polyak_step_size.h"
#include "core/optim/prodigy.h"
#include "core/optim/schedule_free.h"

namespace gradd {
namespace {

absl::StatusOr<std::unique_ptr<Optimizer>> MakeCocob(const v1::Optimizer& spec) {
  if (spec.weight_decay() != 0 && spec.weight_decay_mode() == v1::WEIGHT_DECAY_MODE_DECOUPLED) {
    return InvalidArgument(
        "OUT_OF_RANGE",
        "optimizer.weight_decay_mode: WEIGHT_DECAY_MODE_DECOUPLED has no meaning "
        "for cocob, expected WEIGHT_DECAY_MODE_COUPLED");
  }
  return MakeElementwise<CocobRule>(spec, spec.cocob());
}

}  // namespace

absl::StatusOr<std::unique_ptr<Optimizer>> MakeRateFree(const v1::Optimizer& spec) {
  switch (spec.kind_case()) {
    case v1::Optimizer::kDAdaptAdam:
      return MakeElementwise<DAdaptAdamRule>(spec, spec.d_adapt_adam());
    case v1::Optimizer::kProdigy:
      return MakeElementwise<ProdigyRule>(spec, spec.prodigy());
    case v1::Optimizer::kDog:
      return MakeElementwise<DogRule>(spec, spec.dog());
    case v1::Optimizer::kDowg:
      return MakeElementwise<DowgRule>(spec, spec.dowg());
    case v1::Optimizer::kCocob:
      return MakeCocob(spec);
    case v1::Optimizer::kScheduleFreeSgd:
      return MakeElementwise<ScheduleFreeSgdRule>(spec, spec.schedule_free_sgd());
    case v1::Optimizer::kScheduleFreeAdam:
      return MakeElementwise<ScheduleFreeAdamRule>(spec, spec.schedule_free_adam());
    case v1::Optimizer::kPolyakStepSize:
      return MakeElementwise<PolyakStepSizeRule>(spec, spec.polyak_step_size());
    case v1::Optimizer::kMomo:
      return MakeElementwise<MomoRule>(spec, spec.momo());
    case v1::Optimizer::kMomoAdam:
      return MakeElementwise<MomoAdamRule>(spec, spec.momo_adam());
    default:
      return nullptr;
  }
}

}  // namespace gradd
