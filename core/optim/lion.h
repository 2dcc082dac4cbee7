#ifndef GRADD_CORE_OPTIM_LION_H_
#define GRADD_CORE_OPTIM_LION_H_

#include <array>
#include <vector>

#include "core/optim/element_math.h"
#include "core/optim/elementwise_optimizer.h"
#include "core/optim/hyper_parameters.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// Lion (Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms", algorithm 2):
//   p = p - lr * sign(beta1 * m + (1 - beta1) * g);  then m = beta2 * m + (1 - beta2) * g
struct LionRule : ElementRule {
  double beta1 = 0.9;
  double beta2 = 0.99;

  static LionRule Read(const v1::Lion& in, HyperParameters* read) {
    LionRule rule;
    rule.beta1 = GRADD_HYPER_PARAMETER(read, in, beta1, rule.beta1, kFromZeroBelowOne);
    rule.beta2 = GRADD_HYPER_PARAMETER(read, in, beta2, rule.beta2, kFromZeroBelowOne);
    return rule;
  }

  static constexpr int kSlots = 1;
  std::vector<SlotSpec> Slots() const { return {{"first_moment", 0}}; }

  struct Scalars {
    Fading direction;
    Fading moment;
    float learning_rate;
  };
  Scalars Prepare(const StepInput& input) const {
    return {Fading::Keeping(beta1), Fading::Keeping(beta2),
            static_cast<float>(input.learning_rate)};
  }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& slots) {
    auto& [m] = slots;
    const float direction = Sign(Averaged(s.direction, m, g));
    m = Averaged(s.moment, m, g);
    return p - s.learning_rate * direction;
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_LION_H_
