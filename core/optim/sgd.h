#ifndef GRADD_CORE_OPTIM_SGD_H_
#define GRADD_CORE_OPTIM_SGD_H_

#include <array>
#include <vector>

#include "core/optim/elementwise_optimizer.h"
#include "core/optim/hyper_parameters.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// Stochastic gradient descent: p = p - lr * g (Robbins and Monro 1951, "A Stochastic
// Approximation Method", equation 6).
struct SgdRule : ElementRule {
  static SgdRule Read(const v1::Sgd& /*in*/, HyperParameters* /*read*/) { return {}; }

  static constexpr bool kLazy = true;
  static constexpr int kSlots = 0;
  std::vector<SlotSpec> Slots() const { return {}; }

  struct Scalars {
    float learning_rate;
  };
  Scalars Prepare(const StepInput& input) const {
    return {static_cast<float>(input.learning_rate)};
  }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& /*slots*/) {
    return p - s.learning_rate * g;
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_SGD_H_
