#ifndef GRADD_CTL_BACKOFF_H_
#define GRADD_CTL_BACKOFF_H_

#include <algorithm>
#include <random>

#include "absl/time/time.h"

namespace gradd::ctl {

// How long to wait before the next attempt: a random time between half of the back-off and all of
// it, so that many clients do not come back at once; the back-off doubles up to a maximum.
class Backoff {
 public:
  Backoff() : random_(std::random_device{}()) {}

  absl::Duration Next() {
    const absl::Duration wait = next_ * std::uniform_real_distribution<double>(0.5, 1.0)(random_);
    next_ = std::min(2 * next_, kMaximum);
    return wait;
  }

  void Reset() { next_ = kInitial; }

 private:
  static constexpr absl::Duration kInitial = absl::Milliseconds(100);
  static constexpr absl::Duration kMaximum = absl::Seconds(5);

  std::minstd_rand random_;
  absl::Duration next_ = kInitial;
};

}  // namespace gradd::ctl

#endif  // GRADD_CTL_BACKOFF_H_
