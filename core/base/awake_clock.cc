#include "core/base/awake_clock.h"

namespace gradd {

AwakeClock::AwakeClock(const Clock* clock, absl::Duration gap)
    : clock_(clock),
      gap_ns_(absl::ToInt64Nanoseconds(gap)),
      last_look_ns_(absl::ToInt64Nanoseconds(clock->Elapsed())) {}

absl::Duration AwakeClock::Elapsed() const {
  while (true) {
    const int64_t asleep = asleep_ns_.load();
    const int64_t now = absl::ToInt64Nanoseconds(clock_->Elapsed());
    int64_t last = last_look_ns_.load();
    if (now - last > gap_ns_) {
      MutexLock lock(&mutex_);
      last = last_look_ns_.load();
      if (now - last > gap_ns_) {
        // In this order: who sees the new look sees the new sleep.
        asleep_ns_.fetch_add(now - last);
        last_look_ns_.store(now);
      }
    }
    while (now > last && !last_look_ns_.compare_exchange_weak(last, now)) {
    }
    // Else the two do not belong together.
    if (asleep == asleep_ns_.load()) return absl::Nanoseconds(now - asleep);
  }
}

}  // namespace gradd
