#include "core/base/clock.h"

#include <chrono>

#include "absl/time/clock.h"

namespace gradd {
namespace {

class RealClock : public Clock {
 public:
  absl::Duration Elapsed() const override {
    return absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
  }
  absl::Time WallTime() const override { return absl::Now(); }
};

}  // namespace

const Clock* Clock::Real() {
  static const RealClock clock;
  return &clock;
}

}  // namespace gradd
