#ifndef GRADD_SERVER_TOKEN_BUCKET_H_
#define GRADD_SERVER_TOKEN_BUCKET_H_

#include <algorithm>
#include <cstdint>

#include "absl/time/time.h"

namespace gradd {

// Bounds how often something happens: `most` times at once, and `per_second` times a second in the
// long run. Full at first. Not thread safe.
class TokenBucket {
 public:
  TokenBucket(int64_t most, int64_t per_second)
      : most_(most), per_second_(per_second), left_(most) {}

  // Takes `count` >= 1; false if they are not left. `now` never goes back.
  bool Take(int64_t count, absl::Duration now) {
    Refill(now);
    if (count > left_) return false;
    left_ -= count;
    return true;
  }
  bool IsFull(absl::Duration now) {
    Refill(now);
    return left_ == most_;
  }

 private:
  // In whole seconds, so that no part of a token is lost.
  void Refill(absl::Duration now) {
    if (now - filled_at_ < absl::Seconds(1)) return;
    const int64_t seconds = absl::ToInt64Seconds(now - filled_at_);
    const bool fills = seconds >= (most_ - left_) / per_second_ + 1;
    left_ = fills ? most_ : std::min(most_, left_ + seconds * per_second_);
    filled_at_ = now;
  }

  const int64_t most_;
  const int64_t per_second_;
  int64_t left_;
  absl::Duration filled_at_ = -absl::InfiniteDuration();
};

}  // namespace gradd

#endif  // GRADD_SERVER_TOKEN_BUCKET_H_
