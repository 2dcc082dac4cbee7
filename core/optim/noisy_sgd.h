#ifndef GRADD_CORE_OPTIM_NOISY_SGD_H_
#define GRADD_CORE_OPTIM_NOISY_SGD_H_

#include <array>
#include <cmath>
#include <vector>

#include "core/base/mix.h"
#include "core/base/portable_math.h"
#include "core/optim/elementwise_optimizer.h"
#include "core/optim/hyper_parameters.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// SGD with annealed noise (Neelakantan et al. 2015, "Adding Gradient Noise Improves Learning for
// Very Deep Networks", equation 1), with t counted from 1:
//   p = p - lr * (g + sqrt(eta / t^gamma) * noise), noise from the standard normal distribution, or
// nearly (NormalNoise). It follows from seed, t and the element's place: a run that is repeated
// gets the same.
struct NoisySgdRule : ElementRule {
  double eta = 0.01;
  double gamma = 0.55;
  uint64_t seed = 0;

  static NoisySgdRule Read(const v1::NoisySgd& in, HyperParameters* read) {
    NoisySgdRule rule;
    rule.eta = GRADD_HYPER_PARAMETER(read, in, eta, rule.eta, kUpToMillion);
    rule.gamma = GRADD_HYPER_PARAMETER(read, in, gamma, rule.gamma, kUpToMillion);
    rule.seed = in.seed();
    return rule;
  }

  static constexpr int kSlots = 0;
  static constexpr bool kDrawsNoise = true;
  std::vector<SlotSpec> Slots() const { return {}; }

  struct Scalars {
    float learning_rate;
    float deviation;
    uint64_t noise_key;
  };
  Scalars Prepare(const StepInput& input) const {
    const auto t = static_cast<double>(input.step + 1);
    return {static_cast<float>(input.learning_rate),
            static_cast<float>(std::sqrt(eta / Power(t, gamma))),
            MixKey(seed, static_cast<uint64_t>(input.step))};
  }
  static float Apply(const Scalars& s, float p, float g, std::array<float, kSlots>& /*slots*/,
                     float noise) {
    return p - s.learning_rate * (g + s.deviation * noise);
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_NOISY_SGD_H_
