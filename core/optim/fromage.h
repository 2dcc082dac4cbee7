#ifndef GRADD_CORE_OPTIM_FROMAGE_H_
#define GRADD_CORE_OPTIM_FROMAGE_H_

#include <array>
#include <cmath>
#include <vector>

#include "core/optim/element_math.h"
#include "core/optim/elementwise_optimizer.h"
#include "core/optim/hyper_parameters.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// Fromage (Bernstein, Vahdat, Yue and Liu 2020, "On the distance between two neural networks and
// the stability of learning", algorithm 1), for each tensor:
//   p = (p - lr * |p| / |g| * g) / sqrt(1 + lr^2), with 1 for |p| / |g| where one of them is 0.
struct FromageRule : ElementRule {
  static FromageRule Read(const v1::Fromage& /*in*/, HyperParameters* /*read*/) { return {}; }

  static constexpr int kSlots = 0;
  std::vector<SlotSpec> Slots() const { return {}; }
  static constexpr bool kPerTensor = true;

  struct Scalars {
    double learning_rate;
    float rate;
    float shrink;  // 1 - 1 / sqrt(1 + lr^2)
  };
  Scalars Prepare(const StepInput& input) const {
    const double lr = input.learning_rate;
    return {lr, 0, static_cast<float>(1 - 1 / std::sqrt(1 + lr * lr))};
  }
  static constexpr int kSums = 2;
  static std::array<double, kSums> Terms(const Scalars& /*scalars*/, float p, float g,
                                         const std::array<float, kSlots>& /*slots*/) {
    return {static_cast<double>(p) * static_cast<double>(p),
            static_cast<double>(g) * static_cast<double>(g)};
  }
  Scalars WithSums(Scalars s, const double* sums, double* /*kept*/) const {
    const double scale = sums[0] > 0 && sums[1] > 0 ? std::sqrt(sums[0] / sums[1]) : 1;
    s.rate = FiniteFactor(s.learning_rate * scale);
    return s;
  }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& /*slots*/) {
    const float moved = p - s.rate * g;
    // Not moved / sqrt(1 + lr^2): that, rounded to float32, loses the shrinking of a small rate.
    return moved - s.shrink * moved;
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_FROMAGE_H_
