#ifndef GRADD_CORE_OPTIM_SCHEDULE_FREE_H_
#define GRADD_CORE_OPTIM_SCHEDULE_FREE_H_

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

// Schedule-free learning (Defazio, Yang, Mehta, Mishchenko, Khaled and Cutkosky 2024, "The Road
// Less Scheduled"): workers train at y, a point between z, which takes the steps, and p, the
// average of all z (equations 3 to 5):
//   z = z - step of the base method with the gradient at y
//   p = (1 - c) * p + c * z;  y = (1 - beta) * z + beta * p
//   c = w / (sum of all w), w = t^r * l^weight_lr_power with the largest rate so far, l, as the
//   authors' code weighs steps; it makes those of a warm-up count less.
// Decoupled weight decay acts on z, at y: z = z - rate * weight_decay * y.
struct ScheduleFreeRule : ElementRule {
  double beta = 0.9;
  double r = 0;
  double weight_lr_power = 2;
  double decoupled = 0;

  static constexpr Range kPower = {0, 100};
  template <typename In>
  void ReadWeights(const In& in, HyperParameters* read) {
    r = GRADD_HYPER_PARAMETER(read, in, r, r, kPower);
    weight_lr_power = GRADD_HYPER_PARAMETER(read, in, weight_lr_power, weight_lr_power, kPower);
  }
  void TakeDecay(WeightDecay* decay) { decoupled = std::exchange(decay->decoupled, 0); }

  static constexpr int kTrainingSlot = 0;
  static constexpr int kBase = 1;
  static std::vector<SlotSpec> Points() {
    return {{kTrainingPoint, 0, /*starts_at_parameters=*/true},
            {"base_point", 0, /*starts_at_parameters=*/true}};
  }
  template <typename Slots>
  static float GradientPoint(float /*p*/, const Slots& slots) {
    return slots[kTrainingSlot];
  }

  static constexpr int kKept = 2;
  static constexpr int kLargestRate = 0;
  static constexpr int kWeights = 1;
  std::vector<ScalarSpec> Kept() const { return {{"largest_rate", 0}, {"relative_weight_sum", 0}}; }

  struct Average {
    Fading average;  // Of all z: keeps 1 - c.
    Fading point;    // Between z and it: keeps beta.
    float rate;
    float decay;
  };
  // The step's rate is the learning rate times `scale`, and so is that of the weights.
  Average NextAverage(const StepInput& input, double scale, double* kept) const {
    const double rate = input.learning_rate * scale;
    // The sum of all weights is kept as a multiple of the last one: powers of rates and of steps
    // would leave the range of double.
    const auto t = static_cast<double>(input.step + 1);
    const double before = kept[kLargestRate];
    const double largest = std::max(before, input.SharedRate() * scale);
    kept[kLargestRate] = largest;
    const bool counts = largest > 0 || weight_lr_power == 0;
    if (counts) {
      const double last = kept[kWeights] > 0 ? Power((t - 1) / t, r) : 0;  // Over this weight.
      const double smaller = largest > 0 ? Power(before / largest, weight_lr_power) : 1;
      kept[kWeights] = kept[kWeights] * last * smaller + 1;
    }
    return {Fading::Taking(counts ? 1 / kept[kWeights] : 0), Fading::Keeping(beta),
            static_cast<float>(rate), static_cast<float>(rate * decoupled)};
  }
  // The new parameter; `direction` is that of the base method.
  template <typename Slots>
  static float Step(const Average& s, float p, float direction, Slots& slots) {
    float& y = slots[kTrainingSlot];
    float& z = slots[kBase];
    z = z - s.decay * y - s.rate * direction;
    p = Averaged(s.average, p, z);
    y = Averaged(s.point, p, z);
    return p;
  }
};

// Schedule-free SGD: the step is lr * g.
struct ScheduleFreeSgdRule : ScheduleFreeRule {
  static ScheduleFreeSgdRule Read(const v1::ScheduleFreeSgd& in, HyperParameters* read) {
    ScheduleFreeSgdRule rule;
    rule.beta = GRADD_HYPER_PARAMETER(read, in, beta, rule.beta, kZeroToOne);
    rule.ReadWeights(in, read);
    return rule;
  }

  static constexpr int kSlots = 2;
  std::vector<SlotSpec> Slots() const { return Points(); }

  using Scalars = Average;
  Scalars Prepare(const StepInput& input, double* kept) const {
    return NextAverage(input, 1, kept);
  }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& slots) {
    return Step(s, p, g, slots);
  }
};

// Schedule-free AdamW (algorithm 1):
//   v = beta2 * v + (1 - beta2) * g^2;  rate = lr * sqrt(1 - beta2^t)
//   the step is rate * g / (sqrt(v) + epsilon), and the rate also that of the weights.
struct ScheduleFreeAdamRule : ScheduleFreeRule {
  double beta2 = 0.999;
  double epsilon = 1e-8;

  static ScheduleFreeAdamRule Read(const v1::ScheduleFreeAdam& in, HyperParameters* read) {
    ScheduleFreeAdamRule rule;
    rule.beta = GRADD_HYPER_PARAMETER(read, in, beta1, rule.beta, kZeroToOne);
    rule.beta2 = GRADD_HYPER_PARAMETER(read, in, beta2, rule.beta2, kFromZeroBelowOne);
    rule.epsilon = GRADD_HYPER_PARAMETER(read, in, epsilon, rule.epsilon, kAboveZeroToOne);
    rule.ReadWeights(in, read);
    return rule;
  }

  static constexpr int kSlots = 3;
  std::vector<SlotSpec> Slots() const {
    std::vector<SlotSpec> slots = Points();
    slots.push_back({"second_moment"});
    return slots;
  }

  struct Scalars {
    Average average;
    Fading second;
    float epsilon;
  };
  Scalars Prepare(const StepInput& input, double* kept) const {
    const auto t = static_cast<double>(input.step + 1);
    return {NextAverage(input, std::sqrt(1 - Power(beta2, t)), kept), Fading::Keeping(beta2),
            static_cast<float>(epsilon)};
  }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& slots) {
    float& v = slots[2];
    v = AveragedSquare(s.second, v, g);
    return Step(s.average, p, g / (std::sqrt(v) + s.epsilon), slots);
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_SCHEDULE_FREE_H_
