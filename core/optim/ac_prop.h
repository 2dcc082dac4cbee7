#ifndef GRADD_CORE_OPTIM_AC_PROP_H_
#define GRADD_CORE_OPTIM_AC_PROP_H_

#include <array>
#include <cmath>
#include <vector>

#include "core/base/portable_math.h"
#include "core/optim/ada_belief.h"
#include "core/optim/element_math.h"
#include "core/optim/elementwise_optimizer.h"
#include "core/optim/hyper_parameters.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// ACProp (Zhuang et al. 2021, "Momentum Centering and Asynchronous Update for Adaptive Gradient
// Methods", the algorithm of that name), in the form of the authors' code: the denominator does not
// know g yet,
//   p = p - lr * g / (sqrt(s / (1 - beta2^(t - 1))) + epsilon), at the first step p = p - lr * g;
// then m and s as AdaBelief's.
struct AcPropRule : ElementRule {
  AdaBeliefRule belief;

  static AcPropRule Read(const v1::AcProp& in, HyperParameters* read) {
    AcPropRule rule;
    rule.belief = AdaBeliefRule::Read(in, read);
    return rule;
  }

  static constexpr int kSlots = AdaBeliefRule::kSlots;
  std::vector<SlotSpec> Slots() const { return belief.Slots(); }

  struct Scalars {
    AdaBeliefRule::Scalars belief;
    float learning_rate;
    float of_root;  // Of sqrt(s) in the denominator, which is 1 at the first step.
    float rest;
  };
  Scalars Prepare(const StepInput& input) const {
    const auto before = static_cast<double>(input.step);
    const bool first = input.step == 0;
    const double correction = 1 / std::sqrt(1 - Power(belief.adam.beta2, before));
    return {belief.Prepare(input), static_cast<float>(input.learning_rate),
            first ? 0.0f : static_cast<float>(correction),
            first ? 1.0f : static_cast<float>(belief.adam.epsilon)};
  }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& slots) {
    auto& [m, variance] = slots;
    const float denominator = std::sqrt(variance) * s.of_root + s.rest;
    AdaBeliefRule::UpdateMoments(s.belief, g, &m, &variance);
    return p - s.learning_rate * (g / denominator);
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_AC_PROP_H_
