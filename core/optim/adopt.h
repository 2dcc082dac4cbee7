#ifndef GRADD_CORE_OPTIM_ADOPT_H_
#define GRADD_CORE_OPTIM_ADOPT_H_

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "core/base/portable_math.h"
#include "core/optim/adam.h"
#include "core/optim/element_math.h"
#include "core/optim/elementwise_optimizer.h"
#include "core/optim/hyper_parameters.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// ADOPT (Taniguchi et al. 2024, "ADOPT: Modified Adam Can Converge with Any beta2 with the Optimal
// Rate", algorithm 2; unclipped algorithm 1): the denominator does not know g yet. At the first
// step v = g^2, and p stays but for decoupled weight decay; then, with c = (t - 1)^0.25,
//   m = beta1 * m + (1 - beta1) * clip(g / max(sqrt(v), epsilon), -c, c);  p = p - lr * m
//   v = beta2 * v + (1 - beta2) * g^2
struct AdoptRule : ElementRule {
  AdamRule adam;
  bool unclipped = false;

  static AdoptRule Read(const v1::Adopt& in, HyperParameters* read) {
    AdoptRule rule;
    rule.adam.beta2 = 0.9999;
    rule.adam.epsilon = 1e-6;
    rule.adam = AdamRule::Read(in, read, rule.adam);
    rule.unclipped = in.unclipped();
    return rule;
  }

  static constexpr int kSlots = 2;
  std::vector<SlotSpec> Slots() const { return {{"scaled_moment", 0}, {"second_moment", 0}}; }

  struct Scalars {
    Fading first;
    Fading second;
    float epsilon;
    float clip;
    float learning_rate;
  };
  Scalars Prepare(const StepInput& input) const {
    const bool first = input.step == 0;
    const double clip = unclipped ? std::numeric_limits<float>::max()
                                  : Power(static_cast<double>(input.step), 0.25);
    return {Fading::Keeping(first ? 1 : adam.beta1), Fading::Keeping(first ? 0 : adam.beta2),
            static_cast<float>(adam.epsilon), static_cast<float>(clip),
            first ? 0.0f : static_cast<float>(input.learning_rate)};
  }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& slots) {
    auto& [m, v] = slots;
    const float scaled = g / std::max(std::sqrt(v), s.epsilon);
    m = Averaged(s.first, m, std::min(std::max(scaled, -s.clip), s.clip));
    v = AveragedSquare(s.second, v, g);
    return p - s.learning_rate * m;
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_ADOPT_H_
