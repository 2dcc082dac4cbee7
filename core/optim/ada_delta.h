#ifndef GRADD_CORE_OPTIM_ADA_DELTA_H_
#define GRADD_CORE_OPTIM_ADA_DELTA_H_

#include <array>
#include <cmath>
#include <vector>

#include "core/optim/element_math.h"
#include "core/optim/elementwise_optimizer.h"
#include "core/optim/hyper_parameters.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// AdaDelta (Zeiler 2012, "ADADELTA: An Adaptive Learning Rate Method", algorithm 1), with a
// learning rate, which the paper's is 1 of:
//   s = decay * s + (1 - decay) * g^2;  d = sqrt(u + epsilon) / sqrt(s + epsilon) * g
//   u = decay * u + (1 - decay) * d^2;  p = p - lr * d.
struct AdaDeltaRule : ElementRule {
  double decay = 0.9;
  double epsilon = 1e-6;

  static AdaDeltaRule Read(const v1::AdaDelta& in, HyperParameters* read) {
    AdaDeltaRule rule;
    rule.decay = GRADD_HYPER_PARAMETER(read, in, decay, rule.decay, kFromZeroBelowOne);
    rule.epsilon = GRADD_HYPER_PARAMETER(read, in, epsilon, rule.epsilon, kAboveZeroToOne);
    return rule;
  }

  static constexpr bool kLazy = true;
  static constexpr int kSlots = 2;
  std::vector<SlotSpec> Slots() const {
    return {{"second_moment", 0}, {"squared_update_average", 0}};
  }

  struct Scalars {
    Fading fading;
    float epsilon;
    float learning_rate;
  };
  Scalars Prepare(const StepInput& input) const {
    return {Fading::Keeping(decay), static_cast<float>(epsilon),
            static_cast<float>(input.learning_rate)};
  }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& slots) {
    auto& [v, u] = slots;
    v = AveragedSquare(s.fading, v, g);
    const float d = std::sqrt((u + s.epsilon) / (v + s.epsilon)) * g;
    u = AveragedSquare(s.fading, u, d);
    return p - s.learning_rate * d;
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_ADA_DELTA_H_
