#ifndef GRADD_CORE_BASE_AWAKE_CLOCK_H_
#define GRADD_CORE_BASE_AWAKE_CLOCK_H_

#include <atomic>
#include <cstdint>

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"

namespace gradd {

// A clock that stands still while the process does: when it was stopped (SIGSTOP), or its machine
// was suspended or had no time for it. What is measured with it, such as leases, deadlines and
// grace times, does not pass while nobody could be heard.
//
// Whoever has the clock looks at it all the time: if nobody has for `gap`, the process stood still
// since the last look, and that time does not count. The first look after it finds that out,
// whichever thread has it. Thread safe.
class AwakeClock : public Clock {
 public:
  // Somebody calls Elapsed() much more often than once in `gap`. `clock` must live as long.
  AwakeClock(const Clock* clock, absl::Duration gap);

  absl::Duration Elapsed() const override;
  absl::Time WallTime() const override { return clock_->WallTime(); }

  // How long the process has stood still so far.
  absl::Duration asleep() const { return absl::Nanoseconds(asleep_ns_.load()); }

 private:
  const Clock* const clock_;
  const int64_t gap_ns_;
  mutable Mutex mutex_;  // Held to change asleep_ns_.
  mutable std::atomic<int64_t> asleep_ns_{0};
  mutable std::atomic<int64_t> last_look_ns_;  // By clock_.
};

}  // namespace gradd

#endif  // GRADD_CORE_BASE_AWAKE_CLOCK_H_
