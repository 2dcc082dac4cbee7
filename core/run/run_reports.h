#ifndef GRADD_CORE_RUN_RUN_REPORTS_H_
#define GRADD_CORE_RUN_RUN_REPORTS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/data/batch_ledger.h"
#include "core/run/run_condition.h"
#include "core/run/run_log.h"
#include "core/run/trial_log.h"
#include "gradd/state/v1/event.pb.h"
#include "gradd/v1/run.pb.h"

namespace gradd {

// What a run tells of itself: to operators in the server's log, and, where it is a trial, to those
// who race it. All of it takes microseconds and waits for nothing. Not thread safe.
class RunReports {
 public:
  // `log` may be null: operators are told nothing.
  RunReports(std::string run_id, bool is_trial, std::shared_ptr<RunLog> log, const Clock* clock)
      : run_id_(std::move(run_id)), is_trial_(is_trial), log_(std::move(log)), clock_(*clock) {}

  // What happens in a trial is recorded there from now on.
  void RecordIn(std::shared_ptr<TrialLog> trial) { trial_ = std::move(trial); }

  void StepMade(const state::v1::StepDecision& decision, int64_t step, double smoothed_loss);
  // The run is no good any more; and for that, the server has paused it.
  void IsNoGood(const std::string& reason);
  void Paused(const std::string& reason, int64_t step);
  // With what `progress` shows.
  void Finished(const v1::RunProgress& progress);
  void TimelineBegun(uint64_t timeline, const std::string& author, int64_t step);

  void PushRejected(const std::string& worker, int64_t sequence, const absl::Status& why,
                    int64_t step);
  // These workers' pushes made room for others, since the run `why`: `is paused`.
  void PushesDropped(const std::vector<std::string>& workers, const std::string& why, int64_t step);
  // The decision does not wait for those who are missing, if any are.
  void StepWithout(const state::v1::StepDecision& decision);
  // Steps do not wait for the worker any more, whose pushes missed so many deadlines in a row.
  void NoLongerExpected(const std::string& worker, int64_t deadlines, int64_t step);
  void ExpectedAgain(const std::string& worker, int64_t step);
  // Its lease of that length ended; `unread`: since it did not read its parameters.
  struct LostWorker {
    std::string worker;
    v1::WorkerState was = v1::WORKER_STATE_UNSPECIFIED;
    absl::Duration lease;
    absl::Duration silent_for;
    bool unread = false;
    int64_t left = 0;  // Live workers.
  };
  void WorkerLost(const LostWorker& lost, int64_t step);
  void ChangeLacksMemory(int64_t step);
  // The run is to be rolled back, and cannot be.
  void GuardGaveUp(const std::string& why, int64_t step);
  // So many batches more are used up, since a push of the worker was skipped as others before.
  void BatchesGivenUp(const std::string& worker, const BatchLedger& batches, int64_t more,
                      int64_t step);

  // Whether it is time to look at the run's condition again: once a second.
  bool WantsCondition();
  // Tells when the condition has become one that somebody should know of, or is one no longer.
  // `pace`: the time that a step takes, if that is known; steps that take long are as they should
  // be.
  void TellCondition(const Condition& condition, std::optional<absl::Duration> pace,
                     bool had_workers, int64_t step);

 private:
  // `fields` come after `run`.
  void Add(LogEntry::Level level, absl::string_view event, LogEntry::Fields fields) const;
  // The same for what may happen many times a second; see RunLog::AddLimited().
  void AddLimited(absl::string_view event, absl::string_view kind, LogEntry::Fields fields) const;

  const std::string run_id_;
  const bool is_trial_;
  const std::shared_ptr<RunLog> log_;
  const Clock& clock_;
  std::shared_ptr<TrialLog> trial_;
  // What the log knows, and when the condition was looked at.
  v1::RunCondition told_condition_ = v1::RUN_CONDITION_UNSPECIFIED;
  absl::Duration judged_at_;
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_RUN_REPORTS_H_
