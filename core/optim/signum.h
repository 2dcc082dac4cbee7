#ifndef GRADD_CORE_OPTIM_SIGNUM_H_
#define GRADD_CORE_OPTIM_SIGNUM_H_

#include <array>
#include <vector>

#include "core/optim/element_math.h"
#include "core/optim/elementwise_optimizer.h"
#include "core/optim/hyper_parameters.h"
#include "core/optim/sign_sgd.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// Signum (Bernstein et al. 2018, "signSGD: Compressed Optimisation for Non-Convex Problems",
// algorithm 2): signSGD of the average gradient,
//   m = momentum * m + (1 - momentum) * g;  p = p - lr * sign(m).
struct SignumRule : ElementRule {
  double momentum = 0.9;

  static SignumRule Read(const v1::Signum& in, HyperParameters* read) {
    SignumRule rule;
    rule.momentum = GRADD_HYPER_PARAMETER(read, in, momentum, rule.momentum, kFromZeroBelowOne);
    return rule;
  }

  static constexpr int kSlots = 1;
  std::vector<SlotSpec> Slots() const { return {{"first_moment", 0}}; }

  struct Scalars {
    Fading fading;
    SignSgdRule::Scalars sign_sgd;
  };
  Scalars Prepare(const StepInput& input) const {
    return {Fading::Keeping(momentum), SignSgdRule().Prepare(input)};
  }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& slots) {
    auto& [m] = slots;
    m = Averaged(s.fading, m, g);
    std::array<float, SignSgdRule::kSlots> none;
    return SignSgdRule::Apply(s.sign_sgd, p, m, none);
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_SIGNUM_H_
