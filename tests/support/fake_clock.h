#ifndef GRADD_TESTS_SUPPORT_FAKE_CLOCK_H_
#define GRADD_TESTS_SUPPORT_FAKE_CLOCK_H_

#include <atomic>

#include "absl/time/time.h"
#include "core/base/clock.h"

namespace gradd {

// Time that passes when a test says so.
class FakeClock : public Clock {
 public:
  absl::Duration Elapsed() const override { return absl::Nanoseconds(elapsed_ns_.load()); }
  absl::Time WallTime() const override { return absl::FromUnixSeconds(1'700'000'000) + Elapsed(); }
  void Advance(absl::Duration duration) { elapsed_ns_ += absl::ToInt64Nanoseconds(duration); }

 private:
  std::atomic<int64_t> elapsed_ns_{1'000'000'000};
};

}  // namespace gradd

#endif  // GRADD_TESTS_SUPPORT_FAKE_CLOCK_H_
