#ifndef GRADD_CORE_OPTIM_MOMO_H_
#define GRADD_CORE_OPTIM_MOMO_H_

#include <algorithm>
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

// What MoMo and MoMo-Adam share (Schaipp, Ohana, Eickenberg, Defazio and Gower 2023, "MoMo:
// Momentum Models for Adaptive Learning Rates"): the step size follows from averages of losses f,
// of products q and of gradients m, with the preconditioner D and the share b that the averages
// have of what they are averages of:
//   f = beta * f + (1 - beta) * loss;  q = beta * q + (1 - beta) * <g, p>
//   m = beta * m + (1 - beta) * g
//   rate = min(lr / b, max(f - b * f_min - q + <m, p>, 0) / <m, m / D>);  p = p - rate * m / D.
// Decoupled weight decay is proximal, with k = 1 + lr * weight_decay:
// k * (f - b * f_min - q) in place of f - b * f_min - q, and in the end p = p / k.
struct MomentumModelRule : ElementRule {
  double beta = 0.9;
  double f_min = 0;
  double decoupled = 0;

  void TakeDecay(WeightDecay* decay) { decoupled = std::exchange(decay->decoupled, 0); }

  static constexpr int kKept = 2;
  static constexpr int kLoss = 0;
  static constexpr int kProduct = 1;
  std::vector<ScalarSpec> Kept() const { return {{"average_loss", 0}, {"average_product", 0}}; }

  static constexpr int kSums = 3;  // <g, p>, <m, p> and <m, m / D>.
  struct Model {
    double most;   // lr
    double keep;   // Of the averages.
    double share;  // b
    Fading first;
    float rate;
    float shrink;  // 1 - 1 / k
  };
  Model NextModel(const StepInput& input, double keep, double share, double* kept) const {
    AddToAverage(keep, input.loss, &kept[kLoss]);
    const double k = 1 + input.learning_rate * decoupled;
    return {input.learning_rate,   keep, share,
            Fading::Keeping(keep), 0,    static_cast<float>(1 - 1 / k)};
  }
  Model WithRate(Model s, const double* sums, double* kept) const {
    AddToAverage(s.keep, sums[0], &kept[kProduct]);
    const double k = 1 + s.most * decoupled;
    const double excess = k * (kept[kLoss] - s.share * f_min - kept[kProduct]) + sums[1];
    const double rate =
        sums[2] > 0 ? std::min(s.most / s.share, std::max(excess, 0.0) / sums[2]) : 0;
    s.rate = static_cast<float>(rate);
    return s;
  }
  static std::array<double, kSums> Products(float p, float g, float m, float scaled) {
    const double point = p;
    return {g * point, m * point, static_cast<double>(m) * static_cast<double>(scaled)};
  }
  static float Step(const Model& s, float p, float scaled) {
    const float moved = p - s.rate * scaled;
    // Not moved / k: k, rounded to float32, loses the decay of a small learning rate.
    return moved - s.shrink * moved;
  }
};

// MoMo (algorithm 1): D = 1, and the averages are at the first step what is averaged, so b = 1.
struct MomoRule : MomentumModelRule {
  static MomoRule Read(const v1::Momo& in, HyperParameters* read) {
    MomoRule rule;
    rule.beta = GRADD_HYPER_PARAMETER(read, in, beta, rule.beta, kFromZeroBelowOne);
    rule.f_min = GRADD_HYPER_PARAMETER(read, in, f_min, rule.f_min, kPlusMinusMillion);
    return rule;
  }

  static constexpr int kSlots = 1;
  std::vector<SlotSpec> Slots() const { return {{"first_moment"}}; }

  using Scalars = Model;
  Scalars Prepare(const StepInput& input, double* kept) const {
    return NextModel(input, input.step == 0 ? 0 : beta, 1, kept);
  }
  static float NextMoment(const Scalars& s, float g, float m) { return Averaged(s.first, m, g); }
  static std::array<double, kSums> Terms(const Scalars& s, float p, float g,
                                         const std::array<float, kSlots>& slots) {
    const float m = NextMoment(s, g, slots[0]);
    return Products(p, g, m, m);
  }
  Scalars WithSums(const Scalars& s, const double* sums, double* kept) const {
    return WithRate(s, sums, kept);
  }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& slots) {
    slots[0] = NextMoment(s, g, slots[0]);
    return Step(s, p, slots[0]);
  }
};

// MoMo-Adam (algorithm 2): beta is beta1, the averages are at first 0, b = 1 - beta1^t,
//   v = beta2 * v + (1 - beta2) * g^2;  D = epsilon + sqrt(v / (1 - beta2^t)).
struct MomoAdamRule : MomentumModelRule {
  double beta2 = 0.999;
  double epsilon = 1e-8;

  static MomoAdamRule Read(const v1::MomoAdam& in, HyperParameters* read) {
    MomoAdamRule rule;
    rule.beta = GRADD_HYPER_PARAMETER(read, in, beta1, rule.beta, kFromZeroBelowOne);
    rule.beta2 = GRADD_HYPER_PARAMETER(read, in, beta2, rule.beta2, kFromZeroBelowOne);
    rule.epsilon = GRADD_HYPER_PARAMETER(read, in, epsilon, rule.epsilon, kAboveZeroToOne);
    rule.f_min = GRADD_HYPER_PARAMETER(read, in, f_min, rule.f_min, kPlusMinusMillion);
    return rule;
  }

  static constexpr int kSlots = 2;
  std::vector<SlotSpec> Slots() const { return {{"first_moment"}, {"second_moment"}}; }

  struct Scalars {
    Model model;
    Fading second;
    float root_correction;  // 1 / sqrt(1 - beta2^t)
    float epsilon;
  };
  Scalars Prepare(const StepInput& input, double* kept) const {
    const auto t = static_cast<double>(input.step + 1);
    return {NextModel(input, beta, 1 - Power(beta, t), kept), Fading::Keeping(beta2),
            static_cast<float>(1 / std::sqrt(1 - Power(beta2, t))), static_cast<float>(epsilon)};
  }
  // m / D, with the moments that it brings up to date.
  static float Direction(const Scalars& s, float g, std::array<float, kSlots>& slots) {
    auto& [m, v] = slots;
    m = Averaged(s.model.first, m, g);
    v = AveragedSquare(s.second, v, g);
    return m / (s.epsilon + std::sqrt(v) * s.root_correction);
  }
  static std::array<double, kSums> Terms(const Scalars& s, float p, float g,
                                         const std::array<float, kSlots>& slots) {
    std::array<float, kSlots> next = slots;
    const float scaled = Direction(s, g, next);
    return Products(p, g, next[0], scaled);
  }
  Scalars WithSums(Scalars s, const double* sums, double* kept) const {
    s.model = WithRate(s.model, sums, kept);
    return s;
  }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& slots) {
    return Step(s.model, p, Direction(s, g, slots));
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_MOMO_H_
