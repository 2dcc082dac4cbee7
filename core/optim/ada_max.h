#ifndef GRADD_CORE_OPTIM_ADA_MAX_H_
#define GRADD_CORE_OPTIM_ADA_MAX_H_

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "core/optim/adam.h"
#include "core/optim/element_math.h"
#include "core/optim/elementwise_optimizer.h"
#include "core/optim/hyper_parameters.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// AdaMax (Kingma and Ba 2015, "Adam: A Method for Stochastic Optimization", algorithm 2), in the
// form of torch.optim.Adamax:
//   m = beta1 * m + (1 - beta1) * g;  u = max(beta2 * u, |g| + epsilon)
//   p = p - lr / (1 - beta1^t) * m / u
// With decoupled weight decay it is AdaMaxW.
struct AdaMaxRule : ElementRule {
  static constexpr bool kFollowsMomentum = true;
  AdamRule adam;

  template <typename Message>
  static AdaMaxRule Read(const Message& in, HyperParameters* read) {
    AdaMaxRule rule;
    rule.adam = AdamRule::Read(in, read);
    return rule;
  }

  static constexpr int kSlots = 2;
  std::vector<SlotSpec> Slots() const { return {{"first_moment", 0}, {"infinity_norm", 0}}; }

  using Scalars = AdamRule::Scalars;
  Scalars Prepare(const StepInput& input) const { return adam.Prepare(input); }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& slots) {
    auto& [m, u] = slots;
    m = Averaged(s.first, m, g);
    u = std::max(FadedSum(s.second, u, 0), std::abs(g) + s.epsilon);
    return p - s.step_size * (m / u);
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_ADA_MAX_H_
