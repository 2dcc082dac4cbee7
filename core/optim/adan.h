#ifndef GRADD_CORE_OPTIM_ADAN_H_
#define GRADD_CORE_OPTIM_ADAN_H_

#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "core/base/portable_math.h"
#include "core/optim/element_math.h"
#include "core/optim/elementwise_optimizer.h"
#include "core/optim/hyper_parameters.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// Adan (Xie et al. 2022, "Adan: Adaptive Nesterov Momentum Algorithm for Faster Optimizing Deep
// Models", algorithm 1), in the form of the authors' code: each beta is 1 minus the
// paper's, and m, d and n are corrected as Adam's moments are. With c = g - g', g' the gradient of
// the step before, at the first step g:
//   m = beta1 * m + (1 - beta1) * g;  d = beta2 * d + (1 - beta2) * c
//   n = beta3 * n + (1 - beta3) * (g + beta2 * c)^2
//   p = p - lr * (m / (1 - beta1^t) + beta2 * d / (1 - beta2^t))
//           / (sqrt(n / (1 - beta3^t)) + epsilon)
// Decoupled weight decay is proximal: in the end p = p / (1 + lr * weight_decay).
struct AdanRule : ElementRule {
  double beta1 = 0.98;
  double beta2 = 0.92;
  double beta3 = 0.99;
  double epsilon = 1e-8;
  double decoupled = 0;

  static AdanRule Read(const v1::Adan& in, HyperParameters* read) {
    AdanRule rule;
    rule.beta1 = GRADD_HYPER_PARAMETER(read, in, beta1, rule.beta1, kFromZeroBelowOne);
    rule.beta2 = GRADD_HYPER_PARAMETER(read, in, beta2, rule.beta2, kFromZeroBelowOne);
    rule.beta3 = GRADD_HYPER_PARAMETER(read, in, beta3, rule.beta3, kFromZeroBelowOne);
    rule.epsilon = GRADD_HYPER_PARAMETER(read, in, epsilon, rule.epsilon, kAboveZeroToOne);
    return rule;
  }
  void TakeDecay(WeightDecay* decay) { decoupled = std::exchange(decay->decoupled, 0); }

  static constexpr int kSlots = 4;
  std::vector<SlotSpec> Slots() const {
    return {{"first_moment", 0},
            {"change_moment", 0},
            {"look_ahead_second_moment", 0},
            {"previous_gradient", 0}};
  }

  struct Scalars {
    Fading first;
    Fading second;
    Fading third;
    float of_change;  // 1, at the first step 0
    float keep2;
    float of_moment;         // lr / (1 - beta1^t)
    float of_change_moment;  // lr * beta2 / (1 - beta2^t)
    float root_correction;   // 1 / sqrt(1 - beta3^t)
    float epsilon;
    float shrink;  // 1 - 1 / (1 + lr * weight_decay)
  };
  Scalars Prepare(const StepInput& input) const {
    const auto t = static_cast<double>(input.step + 1);
    const double lr = input.learning_rate;
    return {Fading::Keeping(beta1),
            Fading::Keeping(beta2),
            Fading::Keeping(beta3),
            input.step == 0 ? 0.0f : 1.0f,
            static_cast<float>(beta2),
            static_cast<float>(lr / (1 - Power(beta1, t))),
            static_cast<float>(lr * beta2 / (1 - Power(beta2, t))),
            static_cast<float>(1 / std::sqrt(1 - Power(beta3, t))),
            static_cast<float>(epsilon),
            static_cast<float>(1 - 1 / (1 + lr * decoupled))};
  }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& slots) {
    auto& [m, d, n, previous] = slots;
    const float change = s.of_change * (g - previous);
    const float look_ahead = g + s.keep2 * change;
    m = Averaged(s.first, m, g);
    d = Averaged(s.second, d, change);
    n = AveragedSquare(s.third, n, look_ahead);
    previous = g;
    const float moved = p - (s.of_moment * m + s.of_change_moment * d) /
                                (std::sqrt(n) * s.root_correction + s.epsilon);
    // Not moved / (1 + lr * weight_decay): that, rounded to float32, loses the decay of a small
    // rate.
    return moved - s.shrink * moved;
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_ADAN_H_
