#ifndef GRADD_CORE_OPTIM_ADA_BELIEF_H_
#define GRADD_CORE_OPTIM_ADA_BELIEF_H_

#include <array>
#include <cmath>
#include <vector>

#include "core/optim/adam.h"
#include "core/optim/element_math.h"
#include "core/optim/elementwise_optimizer.h"
#include "core/optim/hyper_parameters.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// AdaBelief (Zhuang et al. 2020, "AdaBelief Optimizer: Adapting Stepsizes by the Belief in
// Observed Gradients", algorithm 2):
//   m = beta1 * m + (1 - beta1) * g;  s = beta2 * s + (1 - beta2) * (g - m)^2 + epsilon
//   p = p - lr * (m / (1 - beta1^t)) / (sqrt(s / (1 - beta2^t)) + epsilon)
struct AdaBeliefRule : ElementRule {
  AdamRule adam;

  template <typename Message>
  static AdaBeliefRule Read(const Message& in, HyperParameters* read) {
    AdaBeliefRule rule;
    rule.adam.epsilon = 1e-16;
    rule.adam = AdamRule::Read(in, read, rule.adam);
    return rule;
  }

  static constexpr int kSlots = 2;
  std::vector<SlotSpec> Slots() const { return {{"first_moment", 0}, {"gradient_variance", 0}}; }

  struct Scalars {
    AdamRule::Scalars adam;
    float keep1;
  };
  Scalars Prepare(const StepInput& input) const {
    return {adam.Prepare(input), static_cast<float>(adam.beta1)};
  }
  static void UpdateMoments(const Scalars& s, float g, float* m, float* variance) {
    // g - m after m's update, without what both have in common.
    const float difference = s.keep1 * (g - *m);
    *m = Averaged(s.adam.first, *m, g);
    *variance = AveragedSquare(s.adam.second, *variance, difference) + s.adam.epsilon;
  }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& slots) {
    auto& [m, variance] = slots;
    UpdateMoments(s, g, &m, &variance);
    return p - s.adam.step_size * (m / AdamRule::Denominator(s.adam, variance));
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_ADA_BELIEF_H_
