#ifndef GRADD_CORE_BASE_CLOCK_H_
#define GRADD_CORE_BASE_CLOCK_H_

#include "absl/time/time.h"

namespace gradd {

// Where time comes from. Thread safe.
class Clock {
 public:
  virtual ~Clock() = default;

  // Time since some fixed point. Never goes back, whatever happens to the wall clock:
  // leases, deadlines and rates are measured with it.
  virtual absl::Duration Elapsed() const = 0;

  // The time of day, for people.
  virtual absl::Time WallTime() const = 0;

  // The machine's clock.
  static const Clock* Real();
};

}  // namespace gradd

#endif  // GRADD_CORE_BASE_CLOCK_H_
