#ifndef GRADD_CORE_OPTIM_WEIGHT_DECAY_H_
#define GRADD_CORE_OPTIM_WEIGHT_DECAY_H_

#include <utility>
#include <vector>

#include "core/optim/optimizer.h"

namespace gradd {

// L2 penalty in front of another rule: g = g + decay * p, where p is the point at which g was
// taken.
template <typename Rule>
struct CoupledWeightDecay : Rule {
  CoupledWeightDecay(Rule rule, double amount) : Rule(std::move(rule)), weight_decay(amount) {}

  struct Scalars {
    typename Rule::Scalars rule;
    float decay = 0;
  };
  Scalars Prepare(const StepInput& input) const {
    return {Rule::Prepare(input), static_cast<float>(weight_decay)};
  }
  template <typename Slots>
  static float Apply(const Scalars& s, float p, float g, Slots& slots) {
    return Rule::Apply(s.rule, p, g + s.decay * Rule::GradientPoint(p, slots), slots);
  }

  double weight_decay;
};

// Decay apart from the gradient: p = p - lr * decay * p in front of another rule (Loshchilov
// and Hutter 2019, "Decoupled Weight Decay Regularization", algorithms 1 and 2, line 9 resp.
// 12, with the learning rate as their schedule multiplier).
template <typename Rule>
struct DecoupledWeightDecay : Rule {
  DecoupledWeightDecay(Rule rule, double amount) : Rule(std::move(rule)), weight_decay(amount) {}

  struct Scalars {
    typename Rule::Scalars rule;
    float decay = 0;
  };
  Scalars Prepare(const StepInput& input) const {
    return {Rule::Prepare(input), static_cast<float>(input.learning_rate * weight_decay)};
  }
  template <typename Slots>
  static float Apply(const Scalars& s, float p, float g, Slots& slots) {
    // Not p * (1 - decay): that factor, rounded to float32, is off by more than the decay of
    // a small learning rate can bear.
    return Rule::Apply(s.rule, p - s.decay * p, g, slots);
  }

  double weight_decay;
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_WEIGHT_DECAY_H_
