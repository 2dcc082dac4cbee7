#ifndef GRADD_CORE_OPTIM_ADAM_H_
#define GRADD_CORE_OPTIM_ADAM_H_

#include <array>
#include <cmath>
#include <vector>

#include "core/base/portable_math.h"
#include "core/optim/element_math.h"
#include "core/optim/elementwise_optimizer.h"
#include "core/optim/hyper_parameters.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// Adam (Kingma and Ba 2015, "Adam: A Method for Stochastic Optimization", algorithm 1):
//   m = beta1 * m + (1 - beta1) * g;  v = beta2 * v + (1 - beta2) * g^2
//   p = p - lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
// With decoupled weight decay it is AdamW (Loshchilov and Hutter 2019, "Decoupled Weight Decay
// Regularization", algorithm 2).
struct AdamRule : ElementRule {
  static constexpr bool kFollowsMomentum = true;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;

  // Of any message that has these fields, whose defaults are those of `rule`.
  template <typename Message>
  static AdamRule Read(const Message& in, HyperParameters* read, AdamRule rule) {
    rule.beta1 = GRADD_HYPER_PARAMETER(read, in, beta1, rule.beta1, kFromZeroBelowOne);
    rule.beta2 = GRADD_HYPER_PARAMETER(read, in, beta2, rule.beta2, kFromZeroBelowOne);
    rule.epsilon = GRADD_HYPER_PARAMETER(read, in, epsilon, rule.epsilon, kAboveZeroToOne);
    return rule;
  }
  template <typename Message>
  static AdamRule Read(const Message& in, HyperParameters* read) {
    return Read(in, read, AdamRule());
  }

  static constexpr bool kLazy = true;
  static constexpr int kSlots = 2;
  std::vector<SlotSpec> Slots() const { return {{"first_moment", 0}, {"second_moment", 0}}; }

  struct Scalars {
    Fading first;
    Fading second;
    float root_correction;  // 1 / sqrt(1 - beta2^t)
    float epsilon;
    float step_size;  // lr / (1 - beta1^t)
  };
  Scalars Prepare(const StepInput& input) const {
    const auto t = static_cast<double>(input.step + 1);
    const double keep = input.MomentumOr(beta1);
    return {Fading::Keeping(keep), Fading::Keeping(beta2),
            static_cast<float>(1 / std::sqrt(1 - Power(beta2, t))), static_cast<float>(epsilon),
            static_cast<float>(input.learning_rate / (1 - Power(keep, t)))};
  }
  static void UpdateMoments(const Scalars& s, float g, float* m, float* v) {
    *m = Averaged(s.first, *m, g);
    *v = AveragedSquare(s.second, *v, g);
  }
  // What sqrt(v / (1 - beta2^t)) + epsilon is.
  static float Denominator(const Scalars& s, float v) {
    return std::sqrt(v) * s.root_correction + s.epsilon;
  }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& slots) {
    auto& [m, v] = slots;
    UpdateMoments(s, g, &m, &v);
    return p - s.step_size * (m / Denominator(s, v));
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_ADAM_H_
