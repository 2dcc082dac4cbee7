#ifndef GRADD_CORE_OPTIM_OPTIMISTIC_ADAM_H_
#define GRADD_CORE_OPTIM_OPTIMISTIC_ADAM_H_

#include <array>
#include <vector>

#include "core/optim/adam.h"
#include "core/optim/element_math.h"
#include "core/optim/elementwise_optimizer.h"
#include "core/optim/hyper_parameters.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// Optimistic Adam (Daskalakis et al. 2018, "Training GANs with Optimism", algorithm 1): with Adam's
// direction
//   d = (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
// and d' that of the step before, at the first step d:
//   p = p - lr * (d + optimism * (d - d')), in the paper with optimism 1.
struct OptimisticAdamRule : ElementRule {
  AdamRule adam;
  double optimism = 1;

  static OptimisticAdamRule Read(const v1::OptimisticAdam& in, HyperParameters* read) {
    OptimisticAdamRule rule;
    rule.adam = AdamRule::Read(in, read);
    rule.optimism = GRADD_HYPER_PARAMETER(read, in, optimism, rule.optimism, kUpToMillion);
    return rule;
  }

  static constexpr int kSlots = 3;
  std::vector<SlotSpec> Slots() const {
    return {{"first_moment", 0}, {"second_moment", 0}, {"previous_direction", 0}};
  }

  struct Scalars {
    AdamRule::Scalars adam;
    float correction;  // 1 / (1 - beta1^t)
    float learning_rate;
    float of_change;  // lr * optimism, at the first step 0
  };
  Scalars Prepare(const StepInput& input) const {
    StepInput unit = input;
    unit.learning_rate = 1;
    return {adam.Prepare(input), adam.Prepare(unit).step_size,
            static_cast<float>(input.learning_rate),
            input.step == 0 ? 0.0f : static_cast<float>(input.learning_rate * optimism)};
  }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& slots) {
    auto& [m, v, previous] = slots;
    AdamRule::UpdateMoments(s.adam, g, &m, &v);
    const float d = s.correction * (m / AdamRule::Denominator(s.adam, v));
    const float update = s.learning_rate * d + s.of_change * (d - previous);
    previous = d;
    return p - update;
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_OPTIMISTIC_ADAM_H_
