#ifndef GRADD_CLIENT_BACKOFF_H_
#define GRADD_CLIENT_BACKOFF_H_

#include <algorithm>
#include <cstdint>
#include <random>

#include "absl/time/time.h"

namespace gradd {

// How long to wait before the next try: a random time between half of the back-off and all of
// it, so that workers which lost their server together do not come back together. The back-off
// doubles from `initial` to `maximum`.
class Backoff {
 public:
  Backoff(absl::Duration initial, absl::Duration maximum, uint64_t seed)
      : initial_(initial), maximum_(maximum), next_(initial), random_(seed) {}

  absl::Duration Next() {
    const absl::Duration backoff = std::min(next_, maximum_);
    next_ = std::min(2 * next_, maximum_);
    return backoff * std::uniform_real_distribution<double>(0.5, 1)(random_);
  }

  // A try succeeded.
  void Reset() { next_ = initial_; }

 private:
  const absl::Duration initial_;
  const absl::Duration maximum_;
  absl::Duration next_;
  std::mt19937_64 random_;
};

}  // namespace gradd

#endif  // GRADD_CLIENT_BACKOFF_H_
