#ifndef GRADD_CORE_DIAGNOSTICS_MEASURED_PUSH_H_
#define GRADD_CORE_DIAGNOSTICS_MEASURED_PUSH_H_

#include <cstdint>
#include <string>

#include "absl/types/span.h"

namespace gradd {

// One push of a step, as it was measured. Its gradient g is the mean over its examples; G is the
// mean over those of all the step's pushes.
struct MeasuredPush {
  std::string worker;
  int64_t examples = 1;     // At least 1.
  double squared_norm = 0;  // |g|^2
  double with_mean = 0;     // <g, G>
};

// What several of them say together.
struct MeasuredMean {
  explicit MeasuredMean(absl::Span<const MeasuredPush> pushes) {
    for (const MeasuredPush& push : pushes) examples += static_cast<double>(push.examples);
    for (const MeasuredPush& push : pushes) {
      squared_norm += static_cast<double>(push.examples) / examples * push.with_mean;
    }
  }

  double examples = 0;
  double squared_norm = 0;  // |G|^2: the mean of all <g, G>, by examples.
};

}  // namespace gradd

#endif  // GRADD_CORE_DIAGNOSTICS_MEASURED_PUSH_H_
