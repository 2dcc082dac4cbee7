#ifndef GRADD_CORE_STEP_MEASUREMENTS_H_
#define GRADD_CORE_STEP_MEASUREMENTS_H_

#include <cstddef>
#include <vector>

#include "core/diagnostics/measured_push.h"
#include "gradd/state/v1/event.pb.h"

namespace gradd {

// What a policy, a merge rule or a diagnostic wants to know of the pushes of a step. Nothing is
// measured that nobody asks for.
struct WantedMeasurements {
  bool any() const { return norms || with_mean || pairs; }

  bool norms = false;      // Of each push by itself; with any of the others they come along.
  bool with_mean = false;  // Of each push with the mean of all.
  bool pairs = false;      // Of each push with each other one.
};

// What came out of it. Only elements count that are trained: not those of frozen groups, as in the
// norm of the gradient. Sums are in double, exact to some 1e-12 of the product of the norms, and
// depend on the pushes, their order and their coefficients alone: not on chunks, encodings, blocks,
// threads or the processor.
struct Measurements {
  struct OfPush {
    // No element has a larger magnitude, whether it is trained or not. Known since the push was
    // checked: of INT8, the range of the encoding at its scale.
    double largest = 0;
    double squared_norm = 0;
    // The inner product with the mean: the sum of all pushes, each times its coefficient, divided
    // by the sum of the coefficients. 0 where that was not asked for.
    double with_mean = 0;
  };
  std::vector<OfPush> pushes;    // In the order in which they are merged.
  double mean_squared_norm = 0;  // As with_mean.
  // The inner product of push i with push j < i at PairIndex(i, j); empty where nobody asked.
  std::vector<double> pairs;

  static size_t PairIndex(size_t i, size_t j) { return i * (i - 1) / 2 + j; }
  static size_t PairCount(size_t pushes) { return pushes * (pushes - 1) / 2; }
};

// The pushes of a step as diagnostics see them: those that `decision` names as used, which were
// measured in that order.
std::vector<MeasuredPush> MeasuredPushes(const state::v1::StepDecision& decision,
                                         const Measurements& measurements);

}  // namespace gradd

#endif  // GRADD_CORE_STEP_MEASUREMENTS_H_
