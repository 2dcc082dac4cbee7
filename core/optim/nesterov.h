#ifndef GRADD_CORE_OPTIM_NESTEROV_H_
#define GRADD_CORE_OPTIM_NESTEROV_H_

#include <array>
#include <vector>

#include "core/optim/elementwise_optimizer.h"
#include "core/optim/hyper_parameters.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// Nesterov's accelerated gradient (Nesterov 1983) as Sutskever, Martens, Dahl and Hinton 2013,
// "On the importance of initialization and momentum in deep learning", write it, equations 3
// and 4, with g taken at w + momentum * v:
//   v = momentum * v - lr * g;  w = w + v.
// Workers train at the look-ahead point w + momentum * v, which is kept as a slot.
struct NesterovLookAheadRule : ElementRule {
  double momentum = 0.9;

  static NesterovLookAheadRule Read(const v1::Nesterov& in, HyperParameters* read) {
    NesterovLookAheadRule rule;
    rule.momentum = GRADD_HYPER_PARAMETER(read, in, momentum, rule.momentum, kAboveZeroBelowOne);
    return rule;
  }

  static constexpr int kSlots = 2;
  static constexpr int kTrainingSlot = 1;
  std::vector<SlotSpec> Slots() const {
    return {{"velocity"}, {kTrainingPoint, 0, /*starts_at_parameters=*/true}};
  }

  struct Scalars {
    float momentum;
    float learning_rate;
  };
  Scalars Prepare(const StepInput& input) const {
    return {static_cast<float>(momentum), static_cast<float>(input.learning_rate)};
  }
  static float GradientPoint(float /*p*/, const std::array<float, kSlots>& slots) {
    return slots[kTrainingSlot];
  }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& slots) {
    auto& [v, look_ahead] = slots;
    v = s.momentum * v - s.learning_rate * g;
    p = p + v;
    look_ahead = p + s.momentum * v;
    return p;
  }
};

// The same method seen from the look-ahead point, which here is the parameter itself, as
// torch.optim.SGD(nesterov=True) has it:
//   v = momentum * v + g;  p = p - lr * (g + momentum * v).
// With a constant learning rate, this p is the other form's w + momentum * v.
struct NesterovReformulatedRule : ElementRule {
  static constexpr bool kFollowsMomentum = true;
  double momentum = 0.9;

  static NesterovReformulatedRule Read(const v1::Nesterov& in, HyperParameters* read) {
    NesterovReformulatedRule rule;
    rule.momentum = GRADD_HYPER_PARAMETER(read, in, momentum, rule.momentum, kAboveZeroBelowOne);
    return rule;
  }

  static constexpr int kSlots = 1;
  std::vector<SlotSpec> Slots() const { return {{"momentum", 0}}; }

  struct Scalars {
    float momentum;
    float learning_rate;
  };
  Scalars Prepare(const StepInput& input) const {
    return {static_cast<float>(input.MomentumOr(momentum)),
            static_cast<float>(input.learning_rate)};
  }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& slots) {
    auto& [v] = slots;
    v = s.momentum * v + g;
    return p - s.learning_rate * (g + s.momentum * v);
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_NESTEROV_H_
