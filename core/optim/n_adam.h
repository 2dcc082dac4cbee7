#ifndef GRADD_CORE_OPTIM_N_ADAM_H_
#define GRADD_CORE_OPTIM_N_ADAM_H_

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

// NAdam (Dozat 2016, "Incorporating Nesterov Momentum into Adam", algorithm 2), in the form of
// torch.optim.NAdam: m and v as Adam's,
//   mu_t = beta1 * (1 - 0.5 * 0.96^(t * momentum_decay));  M_t = mu_1 * ... * mu_t
//   p = p - lr * ((1 - mu_t) / (1 - M_t) * g + mu_{t+1} / (1 - M_{t+1}) * m)
//           / (sqrt(v / (1 - beta2^t)) + epsilon)
// M_t is kept from step to step. With decoupled weight decay it is NAdamW.
struct NAdamRule : ElementRule {
  AdamRule adam;
  double momentum_decay = 4e-3;

  template <typename Message>
  static NAdamRule Read(const Message& in, HyperParameters* read) {
    NAdamRule rule;
    rule.adam = AdamRule::Read(in, read);
    rule.momentum_decay =
        GRADD_HYPER_PARAMETER(read, in, momentum_decay, rule.momentum_decay, kUpToMillion);
    return rule;
  }

  static constexpr int kSlots = AdamRule::kSlots;
  std::vector<SlotSpec> Slots() const { return adam.Slots(); }
  static constexpr int kKept = 1;
  std::vector<ScalarSpec> Kept() const { return {{"momentum_product", 1}}; }

  struct Scalars {
    AdamRule::Scalars adam;
    float of_gradient;
    float of_moment;
  };
  double Momentum(double t) const {
    return adam.beta1 * (1 - 0.5 * Power(0.96, t * momentum_decay));
  }
  Scalars Prepare(const StepInput& input, double* momentum_product) const {
    const auto t = static_cast<double>(input.step + 1);
    const double now = Momentum(t);
    const double next = Momentum(t + 1);
    *momentum_product *= now;
    const double lr = input.learning_rate;
    return {adam.Prepare(input), static_cast<float>(lr * (1 - now) / (1 - *momentum_product)),
            static_cast<float>(lr * next / (1 - *momentum_product * next))};
  }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& slots) {
    auto& [m, v] = slots;
    AdamRule::UpdateMoments(s.adam, g, &m, &v);
    return p - (s.of_gradient * g + s.of_moment * m) / AdamRule::Denominator(s.adam, v);
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_N_ADAM_H_
