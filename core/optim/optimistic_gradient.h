#ifndef GRADD_CORE_OPTIM_OPTIMISTIC_GRADIENT_H_
#define GRADD_CORE_OPTIM_OPTIMISTIC_GRADIENT_H_

#include <array>
#include <vector>

#include "core/optim/elementwise_optimizer.h"
#include "core/optim/hyper_parameters.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// Generalized optimistic gradient descent (Mokhtari, Ozdaglar and Pattathil 2020, "A Unified
// Analysis of Extra-gradient and Optimistic Gradient Methods for Saddle Point Problems", equation
// 15; optimistic gradient descent where alpha = beta):
//   p = p - lr * ((alpha + beta) * g - beta * g'), g' the step's before, at the first step g.
struct OptimisticGradientRule : ElementRule {
  double alpha = 1;
  double beta = 1;

  static OptimisticGradientRule Read(const v1::OptimisticGradient& in, HyperParameters* read) {
    OptimisticGradientRule rule;
    rule.alpha = GRADD_HYPER_PARAMETER(read, in, alpha, rule.alpha, kUpToMillion);
    rule.beta = GRADD_HYPER_PARAMETER(read, in, beta, rule.beta, kUpToMillion);
    return rule;
  }

  static constexpr int kSlots = 1;
  std::vector<SlotSpec> Slots() const { return {{"previous_gradient", 0}}; }

  struct Scalars {
    float of_gradient;  // lr * alpha
    float of_change;    // lr * beta, 0 at the first step
  };
  Scalars Prepare(const StepInput& input) const {
    return {static_cast<float>(input.learning_rate * alpha),
            input.step == 0 ? 0.0f : static_cast<float>(input.learning_rate * beta)};
  }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& slots) {
    auto& [previous] = slots;
    const float update = s.of_gradient * g + s.of_change * (g - previous);
    previous = g;
    return p - update;
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_OPTIMISTIC_GRADIENT_H_
