#ifndef GRADD_CORE_RUN_RUN_COURSE_H_
#define GRADD_CORE_RUN_RUN_COURSE_H_

#include "absl/time/time.h"
#include "core/run/run_record.h"
#include "gradd/v1/run.pb.h"

namespace gradd {

// Whether a run goes on, and for how long it has. Its record says whether it is paused or finished;
// here is what does not outlive the server. All times are by Clock::Elapsed(). Not thread safe.
class RunCourse {
 public:
  // The run goes on from `begin`. `record` outlives this.
  RunCourse(const RunRecord* record, absl::Duration begin) : record_(*record), begin_(begin) {}

  // Where the run is: its last step ends it when that is complete, and SetOver() was called.
  v1::RunState State() const {
    const v1::RunState state = record_.state();
    return state == v1::RUN_STATE_FINISHED && !over_ ? v1::RUN_STATE_RUNNING : state;
  }
  // The same as people are told it: HELD, if it is, and not finished.
  v1::RunState ShownState() const {
    return held_ && State() != v1::RUN_STATE_FINISHED ? v1::RUN_STATE_HELD : State();
  }
  // Whether steps happen as pushes come in.
  bool Moves() const { return State() == v1::RUN_STATE_RUNNING && !held_ && !disk_failed_; }

  // It is finished, and people are told.
  bool over() const { return over_; }
  void SetOver(bool over) { over_ = over; }
  // It stands still for its trials.
  bool held() const { return held_; }
  void SetHeld(bool held) { held_ = held; }
  // What happens cannot be made durable any more.
  bool disk_failed() const { return disk_failed_; }
  void SetDiskFailed() { disk_failed_ = true; }

  // To be called when Moves() may have changed; true if it has.
  bool Note(absl::Duration now);
  // The record was read at `now` from what had been written down.
  void GoOn(absl::Duration now);

  // Since when it does not move, where it does not.
  absl::Duration stopped_at() const { return stopped_at_; }
  // Until when it trained: `now`, or the time when it stopped.
  absl::Duration Until(absl::Duration now) const { return Moves() ? now : stopped_at_; }
  // For how long it has trained at `now`.
  absl::Duration Elapsed(absl::Duration now) const { return Until(now) - begin_ - stopped_for_; }

 private:
  const RunRecord& record_;
  const absl::Duration begin_;
  bool over_ = false;
  bool held_ = false;
  bool disk_failed_ = false;
  bool moved_ = true;  // Moves() at the last Note().
  absl::Duration stopped_at_;
  absl::Duration stopped_for_;  // Before that, in all.
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_RUN_COURSE_H_
