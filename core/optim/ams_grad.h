#ifndef GRADD_CORE_OPTIM_AMS_GRAD_H_
#define GRADD_CORE_OPTIM_AMS_GRAD_H_

#include <algorithm>
#include <array>
#include <vector>

#include "core/optim/adam.h"
#include "core/optim/element_math.h"
#include "core/optim/elementwise_optimizer.h"
#include "core/optim/hyper_parameters.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// AMSGrad (Reddi, Kale and Kumar 2018, "On the Convergence of Adam and Beyond", algorithm 2), in
// the form of torch.optim.Adam(amsgrad=True): m and v as Adam's,
//   w = max(w, v);  p = p - lr * (m / (1 - beta1^t)) / (sqrt(w / (1 - beta2^t)) + epsilon).
struct AmsGradRule : ElementRule {
  static constexpr bool kFollowsMomentum = true;
  AdamRule adam;

  static AmsGradRule Read(const v1::AmsGrad& in, HyperParameters* read) {
    AmsGradRule rule;
    rule.adam = AdamRule::Read(in, read);
    return rule;
  }

  static constexpr bool kLazy = true;
  static constexpr int kSlots = 3;
  std::vector<SlotSpec> Slots() const {
    return {{"first_moment", 0},
            {"second_moment", 0},
            {"max_second_moment", 0, /*starts_at_parameters=*/false, /*may_join=*/true}};
  }

  using Scalars = AdamRule::Scalars;
  Scalars Prepare(const StepInput& input) const { return adam.Prepare(input); }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& slots) {
    auto& [m, v, largest] = slots;
    AdamRule::UpdateMoments(s, g, &m, &v);
    largest = std::max(largest, v);
    return p - s.step_size * (m / AdamRule::Denominator(s, largest));
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_AMS_GRAD_H_
