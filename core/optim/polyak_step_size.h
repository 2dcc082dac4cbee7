#ifndef GRADD_CORE_OPTIM_POLYAK_STEP_SIZE_H_
#define GRADD_CORE_OPTIM_POLYAK_STEP_SIZE_H_

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "core/optim/elementwise_optimizer.h"
#include "core/optim/hyper_parameters.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// Stochastic Polyak step size with a bound, SPS_max (Loizou, Vaswani, Laradji and Lacoste-Julien
// 2021, "Stochastic Polyak Step-size for SGD: An Adaptive Learning Rate for Fast Convergence",
// equation 3; the learning rate is their gamma_b):
//   rate = min(lr, max(loss - f_min, 0) / (c * |g|^2));  p = p - rate * g.
// Decoupled weight decay: p = p - rate * (g + weight_decay * p).
struct PolyakStepSizeRule : ElementRule {
  double f_min = 0;
  double c = 0.5;
  double decoupled = 0;

  static PolyakStepSizeRule Read(const v1::PolyakStepSize& in, HyperParameters* read) {
    PolyakStepSizeRule rule;
    rule.f_min = GRADD_HYPER_PARAMETER(read, in, f_min, rule.f_min, kPlusMinusMillion);
    rule.c = GRADD_HYPER_PARAMETER(read, in, c, rule.c, kAboveZeroUpToMillion);
    return rule;
  }
  void TakeDecay(WeightDecay* decay) { decoupled = std::exchange(decay->decoupled, 0); }

  static constexpr int kSlots = 0;
  std::vector<SlotSpec> Slots() const { return {}; }

  struct Scalars {
    double most;    // lr
    double excess;  // max(loss - f_min, 0)
    float rate;
    float decay;
  };
  Scalars Prepare(const StepInput& input) const {
    return {input.learning_rate, std::max(input.loss - f_min, 0.0), 0, 0};
  }
  static constexpr int kSums = 1;
  static std::array<double, kSums> Terms(const Scalars& /*scalars*/, float /*p*/, float g,
                                         const std::array<float, kSlots>& /*slots*/) {
    return {static_cast<double>(g) * static_cast<double>(g)};
  }
  Scalars WithSums(const Scalars& s, const double* sums, double* /*kept*/) const {
    const double rate = sums[0] > 0 ? std::min(s.most, s.excess / (c * sums[0])) : 0;
    return {0, 0, static_cast<float>(rate), static_cast<float>(rate * decoupled)};
  }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& /*slots*/) {
    return p - s.decay * p - s.rate * g;
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_POLYAK_STEP_SIZE_H_
