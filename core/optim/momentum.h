#ifndef GRADD_CORE_OPTIM_MOMENTUM_H_
#define GRADD_CORE_OPTIM_MOMENTUM_H_

#include <array>
#include <vector>

#include "core/optim/elementwise_optimizer.h"
#include "core/optim/hyper_parameters.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// Heavy-ball momentum (Polyak 1964, "Some methods of speeding up the convergence of iteration
// methods", equation 9), in the form of torch.optim.SGD:
//   v = momentum * v + (1 - dampening) * g, at the first step v = g;  p = p - lr * v.
struct MomentumRule : ElementRule {
  static constexpr bool kFollowsMomentum = true;
  double momentum = 0.9;
  double dampening = 0;

  static MomentumRule Read(const v1::Momentum& in, HyperParameters* read) {
    MomentumRule rule;
    rule.momentum = GRADD_HYPER_PARAMETER(read, in, momentum, rule.momentum, kFromZeroBelowOne);
    rule.dampening = GRADD_HYPER_PARAMETER(read, in, dampening, rule.dampening, kZeroToOne);
    return rule;
  }

  static constexpr bool kLazy = true;
  static constexpr int kSlots = 1;
  std::vector<SlotSpec> Slots() const { return {{"momentum", 0}}; }

  struct Scalars {
    float momentum;
    float take;
    float learning_rate;
  };
  Scalars Prepare(const StepInput& input) const {
    return {static_cast<float>(input.MomentumOr(momentum)),
            input.step == 0 ? 1.0f : static_cast<float>(1 - dampening),
            static_cast<float>(input.learning_rate)};
  }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& slots) {
    auto& [v] = slots;
    v = s.momentum * v + s.take * g;
    return p - s.learning_rate * v;
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_MOMENTUM_H_
