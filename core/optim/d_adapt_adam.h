#ifndef GRADD_CORE_OPTIM_D_ADAPT_ADAM_H_
#define GRADD_CORE_OPTIM_D_ADAPT_ADAM_H_

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

// D-Adaptation for Adam (Defazio and Mishchenko 2023, "Learning-Rate-Free Learning by
// D-Adaptation", algorithm 5), in the form of the authors' code (dadaptation 3.2) and of
// optax.contrib.dadapt_adamw (Optax 0.2.8), whose bias correction it has too. With the distance d,
// rate = d * lr * sqrt(1 - beta2^t) / (1 - beta1^t) and b = sqrt(beta2), in this order:
//   r = b * r + (1 - b) * rate * sum(g * s / (sqrt(v) + epsilon))
//   m = beta1 * m + (1 - beta1) * rate * g;  v = beta2 * v + (1 - beta2) * g^2
//   s = b * s + (1 - b) * rate * g
//   p = p - m / (sqrt(v) + epsilon);  d = max(d, r / ((1 - b) * sum(|s|)))
// r sees s and v of the step before, as in both of these codes; the paper writes it with the new v.
// The new d counts from the next step on. Decoupled weight decay: p = p - rate * weight_decay * p.
struct DAdaptAdamRule : ElementRule {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double initial_distance = 1e-6;
  double decoupled = 0;
  bool bias_correction = true;

  static DAdaptAdamRule Read(const v1::DAdaptAdam& in, HyperParameters* read) {
    DAdaptAdamRule rule;
    rule.beta1 = GRADD_HYPER_PARAMETER(read, in, beta1, rule.beta1, kFromZeroBelowOne);
    rule.beta2 = GRADD_HYPER_PARAMETER(read, in, beta2, rule.beta2, kFromZeroBelowOne);
    rule.epsilon = GRADD_HYPER_PARAMETER(read, in, epsilon, rule.epsilon, kAboveZeroToOne);
    rule.initial_distance = GRADD_HYPER_PARAMETER(read, in, initial_distance, rule.initial_distance,
                                                  kAboveZeroUpToMillion);
    rule.bias_correction = !in.has_bias_correction() || in.bias_correction();
    return rule;
  }
  void TakeDecay(WeightDecay* decay) { decoupled = std::exchange(decay->decoupled, 0); }

  static constexpr int kSlots = 3;
  std::vector<SlotSpec> Slots() const {
    return {{"first_moment"}, {"second_moment"}, {"gradient_sum"}};
  }
  static constexpr int kKept = 2;
  static constexpr int kDistance = 0;
  static constexpr int kNumerator = 1;
  std::vector<ScalarSpec> Kept() const {
    return {{"distance", initial_distance}, {"numerator", 0}};
  }

  struct Scalars {
    double sum_rate;  // Of s and r.
    float float_sum_rate;
    float rate;
    Fading first;
    Fading second;
    Fading sum;
    float epsilon;
    float decay;
  };
  Scalars Prepare(const StepInput& input, const double* kept) const {
    const auto t = static_cast<double>(input.step + 1);
    const double correction =
        bias_correction ? std::sqrt(1 - Power(beta2, t)) / (1 - Power(beta1, t)) : 1;
    const double rate = kept[kDistance] * input.learning_rate * correction;
    const double sum_rate = kept[kDistance] * input.SharedRate() * correction;
    return {sum_rate,
            static_cast<float>(sum_rate),
            static_cast<float>(rate),
            Fading::Keeping(beta1),
            Fading::Keeping(beta2),
            Fading::Keeping(std::sqrt(beta2)),
            static_cast<float>(epsilon),
            static_cast<float>(rate * decoupled)};
  }

  static float NextSum(const Scalars& s, float g, float sum) {
    return Averaged(s.sum, sum, s.float_sum_rate * g);
  }
  static constexpr int kSums = 2;
  static std::array<double, kSums> Terms(const Scalars& s, float /*p*/, float g,
                                         const std::array<float, kSlots>& slots) {
    const auto& [m, v, sum] = slots;
    const double scaled = sum / (std::sqrt(v) + s.epsilon);
    return {static_cast<double>(g) * scaled, std::abs(static_cast<double>(NextSum(s, g, sum)))};
  }
  Scalars WithSums(const Scalars& s, const double* sums, double* kept) const {
    const double keep = std::sqrt(beta2);
    AddToAverage(keep, s.sum_rate * sums[0], &kept[kNumerator]);
    if (sums[1] > 0) {
      kept[kDistance] = std::max(kept[kDistance], kept[kNumerator] / ((1 - keep) * sums[1]));
    }
    return s;
  }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& slots) {
    auto& [m, v, sum] = slots;
    m = Averaged(s.first, m, s.rate * g);
    v = AveragedSquare(s.second, v, g);
    sum = NextSum(s, g, sum);
    return p - s.decay * p - m / (std::sqrt(v) + s.epsilon);
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_D_ADAPT_ADAM_H_
