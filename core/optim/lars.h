#ifndef GRADD_CORE_OPTIM_LARS_H_
#define GRADD_CORE_OPTIM_LARS_H_

#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "core/optim/element_math.h"
#include "core/optim/elementwise_optimizer.h"
#include "core/optim/hyper_parameters.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// LARS (You, Gitman and Ginsburg 2017, "Large Batch Training of Convolutional Networks",
// algorithm 1), for each tensor, with the coupled weight decay as beta there:
//   a = trust_coefficient * |p| / (|g| + weight_decay * |p| + epsilon), 1 where |p| or |g| is 0
//   v = momentum * v + lr * a * (g + weight_decay * p);  p = p - v.
struct LarsRule : ElementRule {
  static constexpr bool kFollowsMomentum = true;
  double momentum = 0.9;
  double trust_coefficient = 0.001;
  double epsilon = 0;
  double coupled = 0;

  static LarsRule Read(const v1::Lars& in, HyperParameters* read) {
    LarsRule rule;
    rule.momentum = GRADD_HYPER_PARAMETER(read, in, momentum, rule.momentum, kFromZeroBelowOne);
    rule.trust_coefficient = GRADD_HYPER_PARAMETER(read, in, trust_coefficient,
                                                   rule.trust_coefficient, kAboveZeroUpToMillion);
    rule.epsilon = GRADD_HYPER_PARAMETER(read, in, epsilon, rule.epsilon, kZeroToOne);
    return rule;
  }
  void TakeDecay(WeightDecay* decay) { coupled = std::exchange(decay->coupled, 0); }

  static constexpr int kSlots = 1;
  // It has the rate in it, unlike `momentum`.
  std::vector<SlotSpec> Slots() const { return {{"step_momentum"}}; }
  static constexpr bool kPerTensor = true;

  struct Scalars {
    double learning_rate;
    float momentum;
    float decay;
    float rate;
  };
  Scalars Prepare(const StepInput& input) const {
    return {input.learning_rate, static_cast<float>(input.MomentumOr(momentum)),
            static_cast<float>(coupled), 0};
  }
  static constexpr int kSums = 2;
  static std::array<double, kSums> Terms(const Scalars& /*scalars*/, float p, float g,
                                         const std::array<float, kSlots>& /*slots*/) {
    return {static_cast<double>(p) * static_cast<double>(p),
            static_cast<double>(g) * static_cast<double>(g)};
  }
  Scalars WithSums(Scalars s, const double* sums, double* /*kept*/) const {
    const double p = std::sqrt(sums[0]);
    const double g = std::sqrt(sums[1]);
    const double trust = p > 0 && g > 0 ? trust_coefficient * p / (g + coupled * p + epsilon) : 1;
    s.rate = FiniteFactor(s.learning_rate * trust);
    return s;
  }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& slots) {
    auto& [v] = slots;
    v = s.momentum * v + s.rate * (g + s.decay * p);
    return p - v;
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_LARS_H_
