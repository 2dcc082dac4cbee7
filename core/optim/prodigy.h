#ifndef GRADD_CORE_OPTIM_PRODIGY_H_
#define GRADD_CORE_OPTIM_PRODIGY_H_

#include <algorithm>
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

// Prodigy (Mishchenko and Defazio 2023, "Prodigy: An Expeditiously Adaptive Parameter-Free
// Learner", algorithm 4), with Adam's bias correction, and the new d beside epsilon, as
// optax.contrib.prodigy has it. With the distance d, that at the start d0, the initial parameters
// p0 and rate = d * lr * sqrt(1 - beta2^t) / (1 - beta1^t):
//   r = beta3 * r + rate * (d / d0) * sum(g * (p0 - p))
//   s = beta3 * s + rate * (d / d0) * g
//   m = beta1 * m + (1 - beta1) * d * g;  v = beta2 * v + (1 - beta2) * d^2 * g^2
//   d = max(d, d_coefficient * r / sum(|s|))
//   p = p - rate * m / (sqrt(v) + d * epsilon), with the rate from before.
// Decoupled weight decay: p = p - rate * weight_decay * p.
struct ProdigyRule : ElementRule {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double beta3 = 0;
  double epsilon = 1e-8;
  double initial_distance = 1e-6;
  double d_coefficient = 1;
  double decoupled = 0;
  bool bias_correction = true;

  static ProdigyRule Read(const v1::Prodigy& in, HyperParameters* read) {
    ProdigyRule rule;
    rule.beta1 = GRADD_HYPER_PARAMETER(read, in, beta1, rule.beta1, kFromZeroBelowOne);
    rule.beta2 = GRADD_HYPER_PARAMETER(read, in, beta2, rule.beta2, kFromZeroBelowOne);
    rule.beta3 = GRADD_HYPER_PARAMETER(read, in, beta3, std::sqrt(rule.beta2), kFromZeroBelowOne);
    rule.epsilon = GRADD_HYPER_PARAMETER(read, in, epsilon, rule.epsilon, kAboveZeroToOne);
    rule.initial_distance = GRADD_HYPER_PARAMETER(read, in, initial_distance, rule.initial_distance,
                                                  kAboveZeroUpToMillion);
    rule.d_coefficient =
        GRADD_HYPER_PARAMETER(read, in, d_coefficient, rule.d_coefficient, kAboveZeroUpToMillion);
    rule.bias_correction = !in.has_bias_correction() || in.bias_correction();
    return rule;
  }
  void TakeDecay(WeightDecay* decay) { decoupled = std::exchange(decay->decoupled, 0); }

  static constexpr int kSlots = 4;
  // The distance is in them, in other powers than in those of D-Adaptation.
  std::vector<SlotSpec> Slots() const {
    return {{"scaled_first_moment"},
            {"scaled_second_moment"},
            {"scaled_gradient_sum"},
            {"initial_point", 0, /*starts_at_parameters=*/true}};
  }
  static constexpr int kKept = 2;
  static constexpr int kDistance = 0;
  static constexpr int kNumerator = 1;
  std::vector<ScalarSpec> Kept() const {
    return {{"distance", initial_distance}, {"numerator", 0}};
  }

  struct Scalars {
    double sum_rate;  // rate * d / d0
    float float_sum_rate;
    Fading sum;
    float distance;
    Fading first;
    Fading second;
    float rate;
    float epsilon;
    float decay;
  };
  Scalars Prepare(const StepInput& input, const double* kept) const {
    const auto t = static_cast<double>(input.step + 1);
    const double d = kept[kDistance];
    const double correction =
        bias_correction ? std::sqrt(1 - Power(beta2, t)) / (1 - Power(beta1, t)) : 1;
    const double rate = d * input.learning_rate * correction;
    const double sum_rate = d * input.SharedRate() * correction * d / initial_distance;
    return {sum_rate,
            static_cast<float>(sum_rate),
            Fading::Keeping(beta3),
            static_cast<float>(d),
            Fading::Keeping(beta1),
            Fading::Keeping(beta2),
            static_cast<float>(rate),
            0,
            static_cast<float>(rate * decoupled)};
  }

  static float NextSum(const Scalars& s, float g, float sum) {
    return FadedSum(s.sum, sum, s.float_sum_rate * g);
  }
  static constexpr int kSums = 2;
  static std::array<double, kSums> Terms(const Scalars& s, float p, float g,
                                         const std::array<float, kSlots>& slots) {
    const auto& [m, v, sum, start] = slots;
    const double way = static_cast<double>(start) - static_cast<double>(p);
    return {static_cast<double>(g) * way, std::abs(static_cast<double>(NextSum(s, g, sum)))};
  }
  Scalars WithSums(const Scalars& s, const double* sums, double* kept) const {
    kept[kNumerator] = beta3 * kept[kNumerator] + s.sum_rate * sums[0];
    if (sums[1] > 0) {
      kept[kDistance] = std::max(kept[kDistance], d_coefficient * kept[kNumerator] / sums[1]);
    }
    Scalars result = s;
    result.epsilon = PositiveDivisor(kept[kDistance] * epsilon);
    return result;
  }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& slots) {
    auto& [m, v, sum, start] = slots;
    const float scaled = s.distance * g;
    m = Averaged(s.first, m, scaled);
    v = Averaged(s.second, v, scaled * scaled);
    sum = NextSum(s, g, sum);
    return p - s.decay * p - s.rate * (m / (std::sqrt(v) + s.epsilon));
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_PRODIGY_H_
