#ifndef GRADD_CORE_OPTIM_AD_EMA_MIX_H_
#define GRADD_CORE_OPTIM_AD_EMA_MIX_H_

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "core/base/portable_math.h"
#include "core/optim/adam.h"
#include "core/optim/element_math.h"
#include "core/optim/elementwise_optimizer.h"
#include "core/optim/hyper_parameters.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// AdEMAMix (Pagliardini, Ablin and Grangier 2024, "The AdEMAMix Optimizer: Better, Faster, Older",
// algorithm 1): m and v as Adam's, and a slow average beside m,
//   l = b * l + (1 - b) * g
//   p = p - lr * (m / (1 - beta1^t) + a * l) / (sqrt(v / (1 - beta2^t)) + epsilon)
// While they warm up, with x = t / warmup_steps (the paper's schedulers),
//   a = x * alpha;  b = exp(log(beta1) * log(beta3) / ((1 - x) * log(beta3) + x * log(beta1)))
// then a = alpha and b = beta3.
struct AdEmaMixRule : ElementRule {
  AdamRule adam;
  double beta3 = 0.9999;
  double alpha = 5;
  double alpha_warmup_steps = 0;
  double beta3_warmup_steps = 0;

  static AdEmaMixRule Read(const v1::AdEmaMix& in, HyperParameters* read) {
    AdEmaMixRule rule;
    rule.adam = AdamRule::Read(in, read);
    rule.beta3 = GRADD_HYPER_PARAMETER(read, in, beta3, rule.beta3, kAboveZeroBelowOne);
    rule.alpha = GRADD_HYPER_PARAMETER(read, in, alpha, rule.alpha, kUpToMillion);
    rule.alpha_warmup_steps = GRADD_HYPER_PARAMETER(read, in, alpha_warmup_steps, 0, kUpToTrillion);
    rule.beta3_warmup_steps = GRADD_HYPER_PARAMETER(read, in, beta3_warmup_steps, 0, kUpToTrillion);
    if (rule.beta3 < rule.adam.beta1) {
      read->Refuse("beta3", absl::StrCat(rule.beta3, " is below beta1, ", rule.adam.beta1,
                                         ": expected the slower of the two"));
    }
    return rule;
  }

  static constexpr int kSlots = 3;
  std::vector<SlotSpec> Slots() const {
    return {{"first_moment", 0},
            {"second_moment", 0},
            {"slow_moment", 0, /*starts_at_parameters=*/false, /*may_join=*/true}};
  }

  struct Scalars {
    AdamRule::Scalars adam;
    Fading slow;
    float of_slow;  // lr * a
  };
  double Keep3(double t) const {
    if (t >= beta3_warmup_steps) return beta3;
    const double x = t / beta3_warmup_steps;
    const double slow = Logarithm(beta3);
    // What it tends to for beta1 to 0.
    if (adam.beta1 == 0) return Exponential(slow / x);
    const double fast = Logarithm(adam.beta1);
    return Exponential(fast * slow / ((1 - x) * slow + x * fast));
  }
  Scalars Prepare(const StepInput& input) const {
    const auto t = static_cast<double>(input.step + 1);
    const double a = t < alpha_warmup_steps ? t / alpha_warmup_steps * alpha : alpha;
    return {adam.Prepare(input), Fading::Keeping(Keep3(t)),
            static_cast<float>(input.learning_rate * a)};
  }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& slots) {
    auto& [m, v, slow] = slots;
    AdamRule::UpdateMoments(s.adam, g, &m, &v);
    slow = Averaged(s.slow, slow, g);
    return p - (s.adam.step_size * m + s.of_slow * slow) / AdamRule::Denominator(s.adam, v);
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_AD_EMA_MIX_H_
