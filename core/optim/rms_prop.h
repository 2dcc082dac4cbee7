#ifndef GRADD_CORE_OPTIM_RMS_PROP_H_
#define GRADD_CORE_OPTIM_RMS_PROP_H_

#include <array>
#include <cmath>
#include <vector>

#include "core/optim/element_math.h"
#include "core/optim/elementwise_optimizer.h"
#include "core/optim/hyper_parameters.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// RMSProp (Tieleman and Hinton 2012, "Neural Networks for Machine Learning", lecture 6.5), and
// its variants as torch.optim.RMSprop has them:
//   s = decay * s + (1 - decay) * g^2;  d = sqrt(s) + epsilon
//   centered (Graves 2013, "Generating Sequences With Recurrent Neural Networks", equations 38
//   to 40, with epsilon outside the root): a = decay * a + (1 - decay) * g;
//   d = sqrt(s - a^2) + epsilon
//   without momentum: p = p - lr * g / d;  with it: b = momentum * b + g / d, p = p - lr * b.
template <bool kCentered, bool kMomentum>
struct RmsPropRule : ElementRule {
  static constexpr bool kFollowsMomentum = kMomentum;
  double decay = 0.99;
  double epsilon = 1e-8;
  double momentum = 0;

  static RmsPropRule Read(const v1::RmsProp& in, HyperParameters* read) {
    RmsPropRule rule;
    rule.decay = GRADD_HYPER_PARAMETER(read, in, decay, rule.decay, kFromZeroBelowOne);
    rule.epsilon = GRADD_HYPER_PARAMETER(read, in, epsilon, rule.epsilon, kAboveZeroToOne);
    rule.momentum = GRADD_HYPER_PARAMETER(read, in, momentum, 0, kFromZeroBelowOne);
    return rule;
  }

  static constexpr bool kLazy = true;
  static constexpr int kSlots = 1 + (kCentered ? 1 : 0) + (kMomentum ? 1 : 0);
  static constexpr size_t kAverage = 1;
  static constexpr size_t kBuffer = kSlots - 1;
  std::vector<SlotSpec> Slots() const {
    std::vector<SlotSpec> slots;
    if (kCentered) {
      slots = {{"gradient_variance", 0}, {"first_moment", 0}};
    } else {
      slots = {{"second_moment", 0}};
    }
    // Of g over its root, not of g.
    if (kMomentum) slots.push_back({"scaled_momentum", 0});
    return slots;
  }

  struct Scalars {
    Fading fading;
    float keep;
    float epsilon;
    float momentum;
    float learning_rate;
  };
  Scalars Prepare(const StepInput& input) const {
    return {Fading::Keeping(decay), static_cast<float>(decay), static_cast<float>(epsilon),
            static_cast<float>(input.MomentumOr(momentum)),
            static_cast<float>(input.learning_rate)};
  }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& slots) {
    if constexpr (kCentered) {
      // s - a^2 follows from itself; as a difference it would lose what s and a^2 have in common.
      const float difference = g - slots[kAverage];
      slots[0] = AveragedSquare(s.fading, slots[0], difference, s.keep);
      slots[kAverage] = Averaged(s.fading, slots[kAverage], g);
    } else {
      slots[0] = AveragedSquare(s.fading, slots[0], g);
    }
    const float scaled = g / (std::sqrt(slots[0]) + s.epsilon);
    if constexpr (kMomentum) {
      slots[kBuffer] = s.momentum * slots[kBuffer] + scaled;
      return p - s.learning_rate * slots[kBuffer];
    }
    return p - s.learning_rate * scaled;
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_RMS_PROP_H_
