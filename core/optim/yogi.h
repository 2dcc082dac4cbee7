#ifndef GRADD_CORE_OPTIM_YOGI_H_
#define GRADD_CORE_OPTIM_YOGI_H_

#include <array>
#include <vector>

#include "core/optim/adam.h"
#include "core/optim/element_math.h"
#include "core/optim/elementwise_optimizer.h"
#include "core/optim/hyper_parameters.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// Yogi (Zaheer et al. 2018, "Adaptive Methods for Nonconvex Optimization", algorithm 2), with
// Adam's correction of m and v:
//   m = beta1 * m + (1 - beta1) * g;  v = v - (1 - beta2) * sign(v - g^2) * g^2
//   p = p - lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
struct YogiRule : ElementRule {
  AdamRule adam;
  double initial_accumulator = 1e-6;

  static YogiRule Read(const v1::Yogi& in, HyperParameters* read) {
    YogiRule rule;
    rule.adam.epsilon = 1e-3;
    rule.adam = AdamRule::Read(in, read, rule.adam);
    rule.initial_accumulator = GRADD_HYPER_PARAMETER(read, in, initial_accumulator,
                                                     rule.initial_accumulator, kUpToMillion);
    return rule;
  }

  static constexpr int kSlots = AdamRule::kSlots;
  std::vector<SlotSpec> Slots() const {
    return {{"first_moment", 0}, {"second_moment", static_cast<float>(initial_accumulator)}};
  }

  using Scalars = AdamRule::Scalars;
  Scalars Prepare(const StepInput& input) const { return adam.Prepare(input); }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& slots) {
    auto& [m, v] = slots;
    m = Averaged(s.first, m, g);
    // The order keeps the last product in the range of float32 where the square has left it.
    v = v - Sign(v - g * g) * (s.second.take * g * g);
    return p - s.step_size * (m / AdamRule::Denominator(s, v));
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_YOGI_H_
