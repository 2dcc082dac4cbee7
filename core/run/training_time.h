#ifndef GRADD_CORE_RUN_TRAINING_TIME_H_
#define GRADD_CORE_RUN_TRAINING_TIME_H_

#include "absl/time/time.h"

namespace gradd {

// How long a run has trained: the time since it was created, without that in which it stood still.
// All times are those of Clock::Elapsed(). Not thread safe.
class TrainingTime {
 public:
  explicit TrainingTime(absl::Duration created_at) : created_at_(created_at) {}

  // The run stands still from now on; or it goes on. In turn.
  void Stop(absl::Duration now) { stopped_at_ = now; }
  void GoOn(absl::Duration now) { stopped_ += now - stopped_at_; }

  // When it stopped last.
  absl::Duration stopped_at() const { return stopped_at_; }
  // Until `now`, up to which it has trained: of a run that stands still, stopped_at().
  absl::Duration Until(absl::Duration now) const { return now - created_at_ - stopped_; }

 private:
  const absl::Duration created_at_;
  absl::Duration stopped_at_;
  absl::Duration stopped_;
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_TRAINING_TIME_H_
