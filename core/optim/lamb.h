#ifndef GRADD_CORE_OPTIM_LAMB_H_
#define GRADD_CORE_OPTIM_LAMB_H_

#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "core/base/portable_math.h"
#include "core/optim/element_math.h"
#include "core/optim/elementwise_optimizer.h"
#include "core/optim/hyper_parameters.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// LAMB (You et al. 2020, "Large Batch Optimization for Deep Learning: Training BERT in 76 minutes",
// algorithm 2), for each tensor, with phi(x) = x and the decoupled weight decay as lambda there:
//   m = beta1 * m + (1 - beta1) * g;  v = beta2 * v + (1 - beta2) * g^2
//   u = (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon) + weight_decay * p
//   p = p - lr * |p| / |u| * u, with 1 for |p| / |u| where one of them is 0.
struct LambRule : ElementRule {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-6;
  double decoupled = 0;

  static LambRule Read(const v1::Lamb& in, HyperParameters* read) {
    LambRule rule;
    rule.beta1 = GRADD_HYPER_PARAMETER(read, in, beta1, rule.beta1, kFromZeroBelowOne);
    rule.beta2 = GRADD_HYPER_PARAMETER(read, in, beta2, rule.beta2, kFromZeroBelowOne);
    rule.epsilon = GRADD_HYPER_PARAMETER(read, in, epsilon, rule.epsilon, kAboveZeroToOne);
    return rule;
  }
  void TakeDecay(WeightDecay* decay) { decoupled = std::exchange(decay->decoupled, 0); }

  static constexpr int kSlots = 2;
  std::vector<SlotSpec> Slots() const { return {{"first_moment"}, {"second_moment"}}; }
  static constexpr bool kPerTensor = true;

  struct Scalars {
    double learning_rate;
    Fading first;
    Fading second;
    float correction;       // 1 / (1 - beta1^t)
    float root_correction;  // 1 / sqrt(1 - beta2^t)
    float epsilon;
    float decay;
    float rate;
  };
  Scalars Prepare(const StepInput& input) const {
    const auto t = static_cast<double>(input.step + 1);
    return {input.learning_rate,
            Fading::Keeping(beta1),
            Fading::Keeping(beta2),
            static_cast<float>(1 / (1 - Power(beta1, t))),
            static_cast<float>(1 / std::sqrt(1 - Power(beta2, t))),
            static_cast<float>(epsilon),
            static_cast<float>(decoupled),
            0};
  }
  // u, with the moments that it brings up to date.
  static float Direction(const Scalars& s, float p, float g, std::array<float, kSlots>& slots) {
    auto& [m, v] = slots;
    m = Averaged(s.first, m, g);
    v = AveragedSquare(s.second, v, g);
    return s.correction * m / (std::sqrt(v) * s.root_correction + s.epsilon) + s.decay * p;
  }
  static constexpr int kSums = 2;
  static std::array<double, kSums> Terms(const Scalars& s, float p, float g,
                                         const std::array<float, kSlots>& slots) {
    std::array<float, kSlots> next = slots;
    const double u = Direction(s, p, g, next);
    return {static_cast<double>(p) * static_cast<double>(p), u * u};
  }
  Scalars WithSums(Scalars s, const double* sums, double* /*kept*/) const {
    const double trust = sums[0] > 0 && sums[1] > 0 ? std::sqrt(sums[0] / sums[1]) : 1;
    s.rate = FiniteFactor(s.learning_rate * trust);
    return s;
  }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& slots) {
    return p - s.rate * Direction(s, p, g, slots);
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_LAMB_H_
