#ifndef GRADD_CORE_OPTIM_DOG_H_
#define GRADD_CORE_OPTIM_DOG_H_

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "core/optim/element_math.h"
#include "core/optim/elementwise_optimizer.h"
#include "core/optim/hyper_parameters.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// What DoG and DoWG share: p = p - rate * g, where the rate comes from the largest distance d from
// the initial parameters and a sum G over the gradients. Decoupled weight decay:
// p = p - rate * (g + weight_decay * p).
struct DistanceRule : ElementRule {
  double initial_distance = 0;
  double epsilon = 0;
  double decoupled = 0;

  void TakeDecay(WeightDecay* decay) { decoupled = std::exchange(decay->decoupled, 0); }

  static constexpr int kSlots = 1;
  std::vector<SlotSpec> Slots() const {
    return {{"initial_point", 0, /*starts_at_parameters=*/true}};
  }
  static constexpr int kKept = 2;
  static constexpr int kDistance = 0;
  static constexpr int kSquares = 1;

  struct Scalars {
    double learning_rate;
    float rate;
    float decay;
  };
  static Scalars Prepare(const StepInput& input, const double* /*kept*/) {
    return {input.learning_rate, 0, 0};
  }
  Scalars WithRate(double rate) const {
    return {0, FiniteFactor(rate), FiniteFactor(rate * decoupled)};
  }

  static constexpr int kSums = 3;
  static constexpr int kWay = 0;       // |p - p0|^2
  static constexpr int kGradient = 1;  // |g|^2
  static constexpr int kStart = 2;     // |p0|^2
  static std::array<double, kSums> Terms(const Scalars& /*scalars*/, float p, float g,
                                         const std::array<float, kSlots>& slots) {
    const double start = slots[0];
    const double way = static_cast<double>(p) - start;
    return {way * way, static_cast<double>(g) * static_cast<double>(g), start * start};
  }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& /*slots*/) {
    return p - s.decay * p - s.rate * g;
  }
};

// DoG (Ivgi, Hinder and Carmon 2023, "DoG is SGD's Best Friend: A Parameter-Free Dynamic Step Size
// Schedule", equation 1), with epsilon as the authors' code and optax.contrib.dog have it:
//   d = max(d, |p - p0|), at first initial_distance * (1 + |p0|);  G = G + |g|^2
//   rate = lr * d / sqrt(G + epsilon).
struct DogRule : DistanceRule {
  static DogRule Read(const v1::Dog& in, HyperParameters* read) {
    DogRule rule;
    rule.initial_distance =
        GRADD_HYPER_PARAMETER(read, in, initial_distance, 1e-6, kAboveZeroUpToMillion);
    rule.epsilon = GRADD_HYPER_PARAMETER(read, in, epsilon, 1e-8, kZeroToOne);
    return rule;
  }
  std::vector<ScalarSpec> Kept() const { return {{"distance", 0}, {"gradient_squares", 0}}; }

  Scalars WithSums(const Scalars& s, const double* sums, double* kept) const {
    const double least = initial_distance * (1 + std::sqrt(sums[kStart]));
    kept[kDistance] = std::max({kept[kDistance], least, std::sqrt(sums[kWay])});
    kept[kSquares] += sums[kGradient];
    const double root = std::sqrt(kept[kSquares] + epsilon);
    return WithRate(root > 0 ? s.learning_rate * kept[kDistance] / root : 0);
  }
};

// DoWG (Khaled, Mishchenko and Jin 2023, "DoWG Unleashed: An Efficient Universal Parameter-Free
// Gradient Descent Method", algorithm 1), with epsilon as optax.contrib.dowg has it:
//   d = max(d, |p - p0|), at first initial_distance;  G = G + d^2 * |g|^2
//   rate = lr * d^2 / (sqrt(G) + epsilon).
struct DowgRule : DistanceRule {
  static DowgRule Read(const v1::Dowg& in, HyperParameters* read) {
    DowgRule rule;
    rule.initial_distance =
        GRADD_HYPER_PARAMETER(read, in, initial_distance, 0.01, kAboveZeroUpToMillion);
    rule.epsilon = GRADD_HYPER_PARAMETER(read, in, epsilon, 1e-4, kZeroToOne);
    return rule;
  }
  std::vector<ScalarSpec> Kept() const {
    return {{"distance", initial_distance}, {"weighted_gradient_squares", 0}};
  }

  Scalars WithSums(const Scalars& s, const double* sums, double* kept) const {
    kept[kDistance] = std::max(kept[kDistance], std::sqrt(sums[kWay]));
    const double square = kept[kDistance] * kept[kDistance];
    kept[kSquares] += square * sums[kGradient];
    const double root = std::sqrt(kept[kSquares]) + epsilon;
    return WithRate(root > 0 ? s.learning_rate * square / root : 0);
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_DOG_H_
