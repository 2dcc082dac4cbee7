#ifndef GRADD_CORE_OPTIM_COCOB_H_
#define GRADD_CORE_OPTIM_COCOB_H_

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "core/optim/elementwise_optimizer.h"
#include "core/optim/hyper_parameters.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// COCOB-Backprop (Orabona and Tommasi 2017, "Training Deep Networks without Learning Rates Through
// Coin Betting", algorithm 2), with the schedule's rate in front as optax.contrib.cocob has it:
// for every element with its initial value p0, and u = lr * g,
//   L = max(L, |u|), at first epsilon;  G = G + |u|;  R = max(R - u * (p - p0), 0);  b = b - u
//   p = p0 + b / (L * max(G + L, alpha * L)) * (L + R).
struct CocobRule : ElementRule {
  double alpha = 100;
  double epsilon = 1e-8;

  static CocobRule Read(const v1::Cocob& in, HyperParameters* read) {
    CocobRule rule;
    rule.alpha = GRADD_HYPER_PARAMETER(read, in, alpha, rule.alpha, kAboveZeroUpToMillion);
    rule.epsilon = GRADD_HYPER_PARAMETER(read, in, epsilon, rule.epsilon, kAboveZeroToOne);
    return rule;
  }

  static constexpr int kSlots = 5;
  std::vector<SlotSpec> Slots() const {
    return {{"initial_point", 0, /*starts_at_parameters=*/true},
            {"largest_gradient", static_cast<float>(epsilon)},
            {"gradient_magnitudes"},
            {"reward"},
            {"bet"}};
  }

  struct Scalars {
    float alpha;
    float learning_rate;
  };
  Scalars Prepare(const StepInput& input) const {
    return {static_cast<float>(alpha), static_cast<float>(input.learning_rate)};
  }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& slots) {
    auto& [start, largest, magnitudes, reward, bet] = slots;
    const float u = s.learning_rate * g;
    largest = std::max(largest, std::abs(u));
    magnitudes = magnitudes + std::abs(u);
    reward = std::max(reward - u * (p - start), 0.0f);
    bet = bet - u;
    // Two quotients, so that no product leaves the range of float32.
    return start +
           bet / std::max(magnitudes + largest, s.alpha * largest) * ((largest + reward) / largest);
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_COCOB_H_
