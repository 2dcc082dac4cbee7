#ifndef GRADD_CORE_DIAGNOSTICS_STEP_PACE_H_
#define GRADD_CORE_DIAGNOSTICS_STEP_PACE_H_

#include <optional>

#include "absl/time/time.h"

namespace gradd {

// How long a step takes at present: the mean time between the last steps, of some three seconds or
// ten steps, whichever is longer. What the rate over a fixed window has in it and this has not: the
// wait for the first workers, pauses, and the slow first step. Not thread safe.
class StepPace {
 public:
  // A step was made at `now`.
  void AddStep(absl::Duration now);
  // The time until the next step says nothing: the run stood still because it was told to.
  void Interrupt() { last_.reset(); }

  // None before three steps in a row, and when the next one is long overdue.
  std::optional<absl::Duration> TimePerStep(absl::Duration now) const;

 private:
  // Of the intervals between steps, the older the less they count.
  double intervals_ = 0;
  double seconds_ = 0;
  bool warm_ = false;                   // There was an interval that did not count.
  std::optional<absl::Duration> last_;  // When the last step was made.
};

}  // namespace gradd

#endif  // GRADD_CORE_DIAGNOSTICS_STEP_PACE_H_
