#ifndef GRADD_CORE_OPTIM_NOVO_GRAD_H_
#define GRADD_CORE_OPTIM_NOVO_GRAD_H_

#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "core/optim/element_math.h"
#include "core/optim/elementwise_optimizer.h"
#include "core/optim/hyper_parameters.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// NovoGrad (Ginsburg et al. 2019, "Stochastic Gradient Methods with Layer-wise Adaptive Moments for
// Training of Deep Networks", algorithm 1), with one v for each tensor, epsilon at the first step
// too, and the decoupled weight decay as d there:
//   v = beta2 * v + (1 - beta2) * |g|^2, at the first step |g|^2
//   m = beta1 * m + g / (sqrt(v) + epsilon) + weight_decay * p;  p = p - lr * m.
struct NovoGradRule : ElementRule {
  double beta1 = 0.95;
  double beta2 = 0.98;
  double epsilon = 1e-8;
  double decoupled = 0;

  static NovoGradRule Read(const v1::NovoGrad& in, HyperParameters* read) {
    NovoGradRule rule;
    rule.beta1 = GRADD_HYPER_PARAMETER(read, in, beta1, rule.beta1, kFromZeroBelowOne);
    rule.beta2 = GRADD_HYPER_PARAMETER(read, in, beta2, rule.beta2, kFromZeroBelowOne);
    rule.epsilon = GRADD_HYPER_PARAMETER(read, in, epsilon, rule.epsilon, kAboveZeroToOne);
    return rule;
  }
  void TakeDecay(WeightDecay* decay) { decoupled = std::exchange(decay->decoupled, 0); }

  static constexpr int kSlots = 1;
  std::vector<SlotSpec> Slots() const { return {{"momentum"}}; }
  static constexpr bool kPerTensor = true;
  static constexpr int kKept = 1;
  std::vector<ScalarSpec> Kept() const { return {{"second_moment", 0}}; }

  struct Scalars {
    double keep2;
    Fading first;
    float scale;  // 1 / (sqrt(v) + epsilon)
    float decay;
    float learning_rate;
  };
  Scalars Prepare(const StepInput& input, const double* /*kept*/) const {
    return {input.step == 0 ? 0 : beta2, Fading::Keeping(beta1), 0, static_cast<float>(decoupled),
            static_cast<float>(input.learning_rate)};
  }
  static constexpr int kSums = 1;
  static std::array<double, kSums> Terms(const Scalars& /*scalars*/, float /*p*/, float g,
                                         const std::array<float, kSlots>& /*slots*/) {
    return {static_cast<double>(g) * static_cast<double>(g)};
  }
  Scalars WithSums(Scalars s, const double* sums, double* kept) const {
    AddToAverage(s.keep2, sums[0], &kept[0]);
    s.scale = static_cast<float>(1 / (std::sqrt(kept[0]) + epsilon));
    return s;
  }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& slots) {
    auto& [m] = slots;
    m = FadedSum(s.first, m, s.scale * g + s.decay * p);
    return p - s.learning_rate * m;
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_NOVO_GRAD_H_
