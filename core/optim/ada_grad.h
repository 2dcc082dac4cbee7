#ifndef GRADD_CORE_OPTIM_ADA_GRAD_H_
#define GRADD_CORE_OPTIM_ADA_GRAD_H_

#include <array>
#include <cmath>
#include <vector>

#include "core/optim/elementwise_optimizer.h"
#include "core/optim/hyper_parameters.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// AdaGrad (Duchi, Hazan and Singer 2011, "Adaptive Subgradient Methods for Online Learning and
// Stochastic Optimization", equation 1 with the diagonal of G), with torch's optional decay:
//   s = s + g^2;  p = p - lr / (1 + step * decay) * g / (sqrt(s) + epsilon).
struct AdaGradRule : ElementRule {
  double epsilon = 1e-10;
  double initial_accumulator = 0;
  double learning_rate_decay = 0;

  static AdaGradRule Read(const v1::AdaGrad& in, HyperParameters* read) {
    AdaGradRule rule;
    rule.epsilon = GRADD_HYPER_PARAMETER(read, in, epsilon, rule.epsilon, kZeroToOne);
    rule.initial_accumulator =
        GRADD_HYPER_PARAMETER(read, in, initial_accumulator, 0, kUpToMillion);
    rule.learning_rate_decay =
        GRADD_HYPER_PARAMETER(read, in, learning_rate_decay, 0, kUpToMillion);
    return rule;
  }

  static constexpr bool kLazy = true;
  static constexpr int kSlots = 1;
  std::vector<SlotSpec> Slots() const { return {{"sum", static_cast<float>(initial_accumulator)}}; }

  struct Scalars {
    float learning_rate;
    float epsilon;
  };
  Scalars Prepare(const StepInput& input) const {
    const double decayed =
        input.learning_rate / (1 + static_cast<double>(input.step) * learning_rate_decay);
    return {static_cast<float>(decayed), static_cast<float>(epsilon)};
  }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& slots) {
    auto& [sum] = slots;
    sum = sum + g * g;
    // Where nothing has come yet and epsilon is 0, the quotient would be 0 / 0.
    const float denominator = std::sqrt(sum) + s.epsilon;
    return denominator > 0 ? p - s.learning_rate * (g / denominator) : p;
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_ADA_GRAD_H_
