#ifndef GRADD_CORE_OPTIM_RPROP_H_
#define GRADD_CORE_OPTIM_RPROP_H_

#include <algorithm>
#include <array>
#include <vector>

#include "core/optim/element_math.h"
#include "core/optim/elementwise_optimizer.h"
#include "core/optim/hyper_parameters.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// Rprop (Riedmiller and Braun 1993, "A Direct Adaptive Method for Faster Backpropagation
// Learning: The RPROP Algorithm", equations 4 to 7), in the form of torch.optim.Rprop: where the
// sign changes there is no step, instead of one back.
//   c = sign(g) * sign(g'), g' the step's before, 0 at the first
//   d = d * (increase if c > 0, decrease if c < 0), at least min_step_size, at most max_step_size
//   g = 0 if c < 0;  p = p - d * sign(g).
// d starts at the first step's lr; later ones have no effect.
struct RpropRule : ElementRule {
  double decrease = 0.5;
  double increase = 1.2;
  double min_step_size = 1e-6;
  double max_step_size = 50;

  static RpropRule Read(const v1::Rprop& in, HyperParameters* read) {
    RpropRule rule;
    rule.decrease = GRADD_HYPER_PARAMETER(read, in, decrease, rule.decrease, kAboveZeroBelowOne);
    rule.increase = GRADD_HYPER_PARAMETER(read, in, increase, rule.increase, kAboveOneUpToMillion);
    rule.min_step_size =
        GRADD_HYPER_PARAMETER(read, in, min_step_size, rule.min_step_size, kUpToMillion);
    rule.max_step_size =
        GRADD_HYPER_PARAMETER(read, in, max_step_size, rule.max_step_size, kAboveZeroUpToMillion);
    if (rule.min_step_size > rule.max_step_size) {
      read->Refuse("min_step_size", absl::StrCat(rule.min_step_size, " is above max_step_size, ",
                                                 rule.max_step_size));
    }
    return rule;
  }

  static constexpr int kSlots = 2;
  // Of the gradient before only the sign matters, and products of signs do not underflow.
  std::vector<SlotSpec> Slots() const { return {{"step_size", 0}, {"previous_sign", 0}}; }

  struct Scalars {
    float initial;   // lr at the first step, 0 at later ones
    float decrease;  // Of the step size, as the part of it that is added.
    float increase;
    float least;
    float most;
  };
  Scalars Prepare(const StepInput& input) const {
    return {input.step == 0 ? static_cast<float>(input.learning_rate) : 0.0f,
            static_cast<float>(decrease - 1), static_cast<float>(increase - 1),
            static_cast<float>(min_step_size), static_cast<float>(max_step_size)};
  }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& slots) {
    auto& [size, previous] = slots;
    const float sign = Sign(g);
    const float change = sign * previous;
    const float added = change > 0 ? s.increase : change < 0 ? s.decrease : 0.0f;
    // Not size * 1.2: what rounding takes from the factor would add up.
    size = size + s.initial;
    size = std::min(std::max(size + added * size, s.least), s.most);
    previous = change < 0 ? 0.0f : sign;
    return p - size * previous;
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_RPROP_H_
