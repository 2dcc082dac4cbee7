#ifndef GRADD_CORE_OPTIM_R_ADAM_H_
#define GRADD_CORE_OPTIM_R_ADAM_H_

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

// RAdam (Liu et al. 2020, "On the Variance of the Adaptive Learning Rate and Beyond", algorithm
// 2), in the form of torch.optim.RAdam: m and v as Adam's,
//   rho_inf = 2 / (1 - beta2) - 1;  rho = rho_inf - 2 * t * beta2^t / (1 - beta2^t)
//   if rho > 5 (the paper has 4):
//     r = sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
//     p = p - lr * r * (m / (1 - beta1^t)) * sqrt(1 - beta2^t) / (sqrt(v) + epsilon)
//   else p = p - lr * m / (1 - beta1^t).
// The authors' code leaves p alone where rho <= 5; the paper has the line above.
struct RAdamRule : ElementRule {
  static constexpr bool kFollowsMomentum = true;
  AdamRule adam;

  static RAdamRule Read(const v1::RAdam& in, HyperParameters* read) {
    RAdamRule rule;
    rule.adam = AdamRule::Read(in, read);
    return rule;
  }

  static constexpr int kSlots = AdamRule::kSlots;
  std::vector<SlotSpec> Slots() const { return adam.Slots(); }

  struct Scalars {
    AdamRule::Scalars adam;
    float step_size;
    float of_root;  // Of sqrt(v) in the denominator: 1, or 0 where only m counts.
    float rest;     // Of the denominator: epsilon, or 1.
  };
  Scalars Prepare(const StepInput& input) const {
    const auto t = static_cast<double>(input.step + 1);
    const double decayed = Power(adam.beta2, t);
    const double longest = 2 / (1 - adam.beta2) - 1;
    const double length = longest - 2 * t * decayed / (1 - decayed);
    const AdamRule::Scalars moments = adam.Prepare(input);
    const double rate = input.learning_rate / (1 - Power(input.MomentumOr(adam.beta1), t));
    if (length <= 5) return {moments, static_cast<float>(rate), 0, 1};
    const double rectification =
        std::sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length));
    return {moments, static_cast<float>(rate * rectification * std::sqrt(1 - decayed)), 1,
            static_cast<float>(adam.epsilon)};
  }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& slots) {
    auto& [m, v] = slots;
    AdamRule::UpdateMoments(s.adam, g, &m, &v);
    return p - s.step_size * (m / (std::sqrt(v) * s.of_root + s.rest));
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_R_ADAM_H_
