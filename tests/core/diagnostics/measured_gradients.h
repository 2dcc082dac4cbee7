#ifndef GRADD_TESTS_CORE_DIAGNOSTICS_MEASURED_GRADIENTS_H_
#define GRADD_TESTS_CORE_DIAGNOSTICS_MEASURED_GRADIENTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "core/diagnostics/measured_push.h"

namespace gradd {

struct Gradient {
  int64_t examples;
  std::vector<double> values;
};

// The gradients as pushes of workers "w0", "w1", ..., measured as the formulas say.
inline std::vector<MeasuredPush> Measured(const std::vector<Gradient>& gradients) {
  double examples = 0;
  for (const Gradient& gradient : gradients) examples += static_cast<double>(gradient.examples);
  std::vector<double> mean(gradients.empty() ? 0 : gradients[0].values.size());
  for (const Gradient& gradient : gradients) {
    const double share = static_cast<double>(gradient.examples) / examples;
    for (size_t i = 0; i < mean.size(); ++i) mean[i] += share * gradient.values[i];
  }
  std::vector<MeasuredPush> pushes;
  for (const Gradient& gradient : gradients) {
    MeasuredPush push;
    push.worker = "w" + std::to_string(pushes.size());
    push.examples = gradient.examples;
    for (size_t i = 0; i < mean.size(); ++i) {
      push.squared_norm += gradient.values[i] * gradient.values[i];
      push.with_mean += gradient.values[i] * mean[i];
    }
    pushes.push_back(push);
  }
  return pushes;
}

}  // namespace gradd

#endif  // GRADD_TESTS_CORE_DIAGNOSTICS_MEASURED_GRADIENTS_H_
