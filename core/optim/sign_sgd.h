#ifndef GRADD_CORE_OPTIM_SIGN_SGD_H_
#define GRADD_CORE_OPTIM_SIGN_SGD_H_

#include <array>
#include <vector>

#include "core/optim/element_math.h"
#include "core/optim/elementwise_optimizer.h"
#include "core/optim/hyper_parameters.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// signSGD (Bernstein et al. 2018, "signSGD: Compressed Optimisation for Non-Convex Problems",
// algorithm 1):
//   p = p - lr * sign(g), with sign(0) = 0.
struct SignSgdRule : ElementRule {
  static SignSgdRule Read(const v1::SignSgd& /*in*/, HyperParameters* /*read*/) { return {}; }

  static constexpr int kSlots = 0;
  std::vector<SlotSpec> Slots() const { return {}; }

  struct Scalars {
    float learning_rate;
  };
  Scalars Prepare(const StepInput& input) const {
    return {static_cast<float>(input.learning_rate)};
  }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& /*slots*/) {
    return p - s.learning_rate * Sign(g);
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_SIGN_SGD_H_
