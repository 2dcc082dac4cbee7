#ifndef GRADD_CORE_OPTIM_FTRL_H_
#define GRADD_CORE_OPTIM_FTRL_H_

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "core/optim/element_math.h"
#include "core/optim/elementwise_optimizer.h"
#include "core/optim/hyper_parameters.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// Which powers are cheaper than others.
enum class FtrlPower { kZero, kHalf, kAny };

// FTRL-Proximal (McMahan et al. 2013, "Ad Click Prediction: a View from the Trenches", algorithm
// 1), with a power other than 1/2 as Keras has it and the learning rate's schedule in q:
//   n = n + g^2;  q_t = (beta + n^power) / lr;  z = z + g - (q_t - q_{t-1}) * p
//   p = 0 where |z| <= l1, else -(z - sign(z) * l1) / (q_t + l2)
//
// z is not kept. Where p is not 0, it is -(q_{t-1} + l2) * p - sign(p) * l1, so that l1's share of
// it is all that is to be kept: with d = -z - (q_{t-1} + l2) * p, which is sign(p) * l1, or -z
// where p is 0,
//   y = (q_t + l2) * p + d - g;  d = clip(y, -l1, l1);  p = (y - d) / (q_t + l2)
// Like this no sum grows, p keeps its precision, and a schedule leaves it where it is. At the first
// step -z = q_0 * p: a p which is not 0, unlike in the paper, is where the method starts from, with
// both penalties still to act on it. A row that comes later (lazy) begins with its
// first gradient, and l2 does not act on what it started with.
template <FtrlPower kPower, bool kSparse>
struct FtrlRule : ElementRule {
  double power = 0.5;
  double l1 = 0;
  double l2 = 0;
  double beta = 1;
  double initial_accumulator = 0;

  static FtrlRule Read(const v1::Ftrl& in, HyperParameters* read) {
    FtrlRule rule;
    constexpr Range kNegative = {-1, 0};
    rule.power = -GRADD_HYPER_PARAMETER(read, in, learning_rate_power, -0.5, kNegative);
    rule.l1 = GRADD_HYPER_PARAMETER(read, in, l1, 0, kUpToMillion);
    rule.l2 = GRADD_HYPER_PARAMETER(read, in, l2, 0, kUpToMillion);
    rule.beta = GRADD_HYPER_PARAMETER(read, in, beta, rule.beta, kUpToMillion);
    rule.initial_accumulator =
        GRADD_HYPER_PARAMETER(read, in, initial_accumulator, 0, kUpToMillion);
    return rule;
  }

  static constexpr bool kLazy = true;
  static constexpr int kSlots = kSparse ? 2 : 1;
  std::vector<SlotSpec> Slots() const {
    std::vector<SlotSpec> slots = {{"sum", static_cast<float>(initial_accumulator)}};
    if (kSparse) slots.push_back({"l1_share", 0});
    return slots;
  }

  struct Scalars {
    float learning_rate;
    float inverse_rate;
    float power;
    float constant;  // beta + lr * l2: what n does not change of lr * (q + l2)
    float pull;      // l2 at the first step, 0 at later ones
    float l1;
  };
  Scalars Prepare(const StepInput& input) const {
    // For a rate of 0 q would not be finite.
    const double lr = std::max(input.learning_rate, 1e-15);
    return {static_cast<float>(lr),
            static_cast<float>(1 / lr),
            static_cast<float>(power),
            static_cast<float>(beta + lr * l2),
            input.step == 0 ? static_cast<float>(l2) : 0.0f,
            static_cast<float>(l1)};
  }
  static constexpr bool kWorksAhead = kPower == FtrlPower::kAny;
  // n^power, by logarithm and exponential.
  static float Ahead(const Scalars& s, float g, const std::array<float, kSlots>& slots) {
    return Power(slots[0] + g * g, s.power);
  }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& slots) {
    const float n = slots[0] + g * g;
    return Apply(s, p, g, slots, kPower == FtrlPower::kZero ? 1 : std::sqrt(n));
  }
  // `adapted` is n^power.
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& slots,
                     float adapted) {
    slots[0] = slots[0] + g * g;
    // lr * (q + l2), which is 0 where nothing has come yet and beta is 0.
    const float total = std::max(s.constant + adapted, 1e-30f);
    const float push = g + s.pull * p;
    if constexpr (kSparse) {
      const float before = slots[1];
      const float y = s.inverse_rate * total * p + (before - push);
      slots[1] = std::min(std::max(y, -s.l1), s.l1);
      const float moved = p - s.learning_rate * (push + (slots[1] - before)) / total;
      return std::abs(y) > s.l1 ? moved : 0.0f;
    } else {
      return p - s.learning_rate * push / total;
    }
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_FTRL_H_
