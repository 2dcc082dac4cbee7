#ifndef GRADD_CORE_OPTIM_ASGD_H_
#define GRADD_CORE_OPTIM_ASGD_H_

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "core/base/portable_math.h"
#include "core/optim/element_math.h"
#include "core/optim/elementwise_optimizer.h"
#include "core/optim/hyper_parameters.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// Averaged SGD (Polyak and Juditsky 1992, "Acceleration of Stochastic Approximation by Averaging")
// with the step sizes of Bottou 2010, "Large-Scale Machine Learning with Stochastic Gradient
// Descent", section 5.1, as torch.optim.ASGD has it:
//   lr' = lr / (1 + decay * lr * (t - 1))^alpha
//   p = p - lr' * decay * p - lr' * g
//   a = a + (p - a) / max(1, t - 1 - averaging_start): until then a is p.
// a is a result beside p, in a slot.
struct AsgdRule : ElementRule {
  double decay = 1e-4;
  double alpha = 0.75;
  double averaging_start = 1e6;

  static AsgdRule Read(const v1::Asgd& in, HyperParameters* read) {
    AsgdRule rule;
    rule.decay = GRADD_HYPER_PARAMETER(read, in, decay, rule.decay, kUpToMillion);
    rule.alpha = GRADD_HYPER_PARAMETER(read, in, alpha, rule.alpha, kZeroToOne);
    rule.averaging_start =
        GRADD_HYPER_PARAMETER(read, in, averaging_start, rule.averaging_start, kUpToTrillion);
    return rule;
  }

  static constexpr int kSlots = 1;
  std::vector<SlotSpec> Slots() const { return {{"average", 0, /*starts_at_parameters=*/true}}; }

  struct Scalars {
    float learning_rate;
    float pull;
    Fading fading;
  };
  Scalars Prepare(const StepInput& input) const {
    const auto before = static_cast<double>(input.step);
    const double rate =
        input.learning_rate / Power(1 + decay * input.learning_rate * before, alpha);
    return {static_cast<float>(rate), static_cast<float>(rate * decay),
            Fading::Taking(1 / std::max(1.0, before - averaging_start))};
  }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& slots) {
    auto& [average] = slots;
    p = p - (s.pull * p + s.learning_rate * g);
    average = Averaged(s.fading, average, p);
    return p;
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_ASGD_H_
