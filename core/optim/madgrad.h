#ifndef GRADD_CORE_OPTIM_MADGRAD_H_
#define GRADD_CORE_OPTIM_MADGRAD_H_

#include <array>
#include <cmath>
#include <vector>

#include "core/optim/element_math.h"
#include "core/optim/elementwise_optimizer.h"
#include "core/optim/hyper_parameters.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// MADGRAD (Defazio and Jelassi 2022, "A Momentumized, Adaptive, Dual Averaged Gradient Method for
// Stochastic Optimization", algorithm 1), with w = lr * sqrt(t) and p_0 the parameters at the first
// step:
//   s = s + w * g;  v = v + w * g^2;  z = p_0 - s / (cbrt(v) + epsilon)
//   p = momentum * p + (1 - momentum) * z
struct MadgradRule : ElementRule {
  double momentum = 0.9;
  double epsilon = 1e-6;

  static MadgradRule Read(const v1::Madgrad& in, HyperParameters* read) {
    MadgradRule rule;
    rule.momentum = GRADD_HYPER_PARAMETER(read, in, momentum, rule.momentum, kFromZeroBelowOne);
    rule.epsilon = GRADD_HYPER_PARAMETER(read, in, epsilon, rule.epsilon, kAboveZeroToOne);
    return rule;
  }

  static constexpr int kSlots = 3;
  std::vector<SlotSpec> Slots() const {
    return {{"weighted_sum", 0},
            {"weighted_square_sum", 0},
            {"initial_point", 0, /*starts_at_parameters=*/true}};
  }

  struct Scalars {
    float weight;
    Fading fading;
    float epsilon;
  };
  Scalars Prepare(const StepInput& input) const {
    const auto t = static_cast<double>(input.step + 1);
    return {static_cast<float>(input.learning_rate * std::sqrt(t)), Fading::Keeping(momentum),
            static_cast<float>(epsilon)};
  }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& slots) {
    auto& [sum, squares, initial] = slots;
    sum = sum + s.weight * g;
    squares = squares + s.weight * (g * g);
    return Averaged(s.fading, p, initial - sum / (CubeRoot(squares) + s.epsilon));
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_MADGRAD_H_
