#ifndef GRADD_CORE_STEP_QUORUM_LAG_H_
#define GRADD_CORE_STEP_QUORUM_LAG_H_

#include <algorithm>
#include <cstdint>
#include <optional>

#include "absl/time/time.h"

namespace gradd {

// How long after the push that makes a step's quorum the last one comes that was computed from the
// same parameters, late ones included. All times are by one clock. Not thread safe.
class QuorumLag {
 public:
  // A push from the parameters after `base_step` steps is complete, in time or late.
  void PushArrived(int64_t base_step, absl::Duration at) {
    if (base_step == open_step_) last_of_open_ = at;
    if (base_step == made_step_) last_of_made_ = at;
  }

  // The step of the pushes from `base_step` was made, with a quorum since `quorum_at`; unset: it
  // has none.
  void StepMade(int64_t base_step, std::optional<absl::Duration> quorum_at) {
    made_step_ = base_step;
    last_of_made_ = last_of_open_;
    quorum_at_ = quorum_at;
    open_step_ = base_step + 1;
    last_of_open_.reset();
  }

  // Of the last step, as far as its pushes have come; unset where it had no quorum.
  std::optional<absl::Duration> OfLastStep() const {
    if (!quorum_at_.has_value() || !last_of_made_.has_value()) return std::nullopt;
    return std::max(*last_of_made_ - *quorum_at_, absl::ZeroDuration());
  }

 private:
  int64_t made_step_ = -1;  // That the last step's pushes were computed from.
  std::optional<absl::Duration> quorum_at_;
  std::optional<absl::Duration> last_of_made_;
  int64_t open_step_ = 0;
  std::optional<absl::Duration> last_of_open_;
};

}  // namespace gradd

#endif  // GRADD_CORE_STEP_QUORUM_LAG_H_
