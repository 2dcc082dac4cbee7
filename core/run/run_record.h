#ifndef GRADD_CORE_RUN_RUN_RECORD_H_
#define GRADD_CORE_RUN_RUN_RECORD_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/data/batch_ledger.h"
#include "core/diagnostics/evaluation_history.h"
#include "core/diagnostics/loss_tracker.h"
#include "core/diagnostics/push_outcomes.h"
#include "core/members/membership.h"
#include "core/members/worker_blobs.h"
#include "core/run/run_history.h"
#include "core/run/run_past.h"
#include "core/schedule/plateau.h"
#include "core/step/step_decision.h"
#include "core/step/step_policy.h"
#include "core/step/window_facts.h"
#include "core/store/timeline.h"
#include "gradd/state/v1/event.pb.h"
#include "gradd/state/v1/run_state.pb.h"
#include "gradd/v1/checkpoint.pb.h"
#include "gradd/v1/run.pb.h"

namespace gradd {

// All that a run goes on from but its vectors. It changes by events alone, and the same events
// lead to the same record: it has no clock, no lock, no thread and no tensor in it.
//
//   RunRecord record;
//   for (const state::v1::Event& event : log) record.Apply(event);  // The first one is `created`.
//
// Before the first event only Apply() and Read() may be called. Not thread safe.
class RunRecord {
 public:
  RunRecord() = default;
  RunRecord(const RunRecord&) = delete;
  RunRecord& operator=(const RunRecord&) = delete;

  // The next event: its number is events() + 1. What it says of a worker that has never joined is
  // ignored.
  void Apply(const state::v1::Event& event);

  // Number of the last one.
  int64_t events() const { return events_; }
  // No event comes any more.
  bool deleted() const { return deleted_; }
  // As created and changed; without the layout, which is fixed, and with no output-only fields.
  const v1::Run& spec() const { return spec_; }
  const google::protobuf::Timestamp& create_time() const { return create_time_; }
  // See CreateRunRequest.
  const std::string& request_id() const { return request_id_; }
  // Of the spec.
  const StepPolicy& policy() const { return *policy_; }
  // Which run it is, and which timeline of it is the present one.
  const std::shared_ptr<const Timeline>& timeline() const { return timeline_; }
  // Whether what was computed on `timeline` was computed on another one.
  bool IsForeign(uint64_t timeline) const { return timeline != timeline_->number; }
  // Steps made.
  int64_t step() const { return step_; }
  // The spec's `max_steps` are made, or all of its data set is used up and in steps.
  bool done() const {
    const bool used_up = batches_.has_value() && batches_->used_up() && window_.pushes == 0;
    return used_up || (spec_.max_steps() != 0 && step_ >= spec_.max_steps());
  }

  // RUNNING, PAUSED or FINISHED; who put it there (empty: the server), what for, and when.
  v1::RunState state() const { return state_; }
  const std::string& state_author() const { return state_author_; }
  const std::string& state_reason() const { return state_reason_; }
  absl::Time state_time() const;

  // The workers. Of a member, whoever has a run may change what does not outlive the server: how it
  // is connected, and which push of it waits. Departures are in time since the Unix epoch.
  Membership& members() { return members_; }
  const Membership& members() const { return members_; }

  // Null where the run has no data set.
  const BatchLedger* batches() const { return batches_.has_value() ? &*batches_ : nullptr; }
  const WorkerBlobs& blobs() const { return blobs_; }
  const WindowFacts& window() const { return window_; }
  const LossTracker& losses() const { return losses_; }
  const PushOutcomes& outcomes() const { return outcomes_; }
  // Smoothed, see PolicyState; 0 before the first.
  absl::Duration quorum_lag() const { return absl::Seconds(quorum_lag_seconds_.value_or(0)); }
  int64_t skipped_in_a_row() const { return skipped_in_a_row_; }
  // How often the guard has rolled the run back.
  int64_t guard_rollbacks() const { return guard_rollbacks_; }
  // The first step that was no good when the run was last stopped for that; and whether it is now,
  // and is to be rolled back.
  const std::optional<int64_t>& guarded_since() const { return guarded_since_; }
  bool awaits_rollback() const { return awaits_rollback_; }
  // Whether one more push that is not finite may be skipped, beside `others` that will be.
  bool MaySkip(int64_t others) const;
  const std::optional<v1::Evaluation>& evaluation() const { return evaluation_; }
  const EvaluationHistory& evaluations() const { return evaluations_; }
  const RunHistory& history() const { return history_; }
  // What a request to go back was answered; null if none of that id is remembered.
  const v1::RestoreRunResponse* FindRestore(const std::string& request_id) const;

  // What the schedule says of `step`, reduced on plateaus.
  StepRates RatesAt(int64_t step) const;
  // The learning rate of `step` as people are told it: that of RatesAt(), for the run's optimizer.
  double RateAt(int64_t step) const;

  void Write(state::v1::RunState* state) const;
  // Becomes what was written. Live members have given their last sign of life at `now`, see
  // Membership::Read(). INVALID_ARGUMENT names what no record has; this one is of no use then.
  absl::Status Read(const state::v1::RunState& state, absl::Duration now);

 private:
  using Time = google::protobuf::Timestamp;

  void Create(const state::v1::RunCreated& created, const Time& time);
  void MakeStep(const state::v1::StepDecision& decision, const Time& time);
  void Fold(const state::v1::FoldedPush& fold);
  void Answer(const state::v1::AnsweredPush& answer);
  void ChangeMember(const state::v1::MemberChange& change, const Time& time);
  void ChangeLease(const state::v1::DataLease& lease);
  void ChangeSpec(const state::v1::SpecChange& change, const Time& time);
  void Evaluate(const v1::Evaluation& evaluation, const Time& time);
  void BeginTimeline(const state::v1::TimelineBegun& begun, const Time& time);
  void Restore(const state::v1::RunRestored& restored);
  void ChangeState(v1::RunState state, const std::string& author, const std::string& reason,
                   const Time& time);

  // Enters a push that was taken into the ledger.
  void EnterTaken(const state::v1::DecidedPush& push, v1::PushOutcome outcome);
  // The spec is another one.
  void ConfigureParts();
  void AddToHistory(const Time& time, const std::string& author, const std::string& field,
                    const std::string& old_value, const std::string& new_value);
  // The plateau's factor was `old_factor` until now.
  void AddReduction(const Time& time, double old_factor);

  int64_t events_ = 0;
  bool deleted_ = false;
  v1::Run spec_;
  Time create_time_;
  std::string request_id_;
  std::unique_ptr<const StepPolicy> policy_;
  std::shared_ptr<const Timeline> timeline_;
  int64_t step_ = 0;
  v1::RunState state_ = v1::RUN_STATE_RUNNING;
  std::string state_author_;
  std::string state_reason_;
  Time state_time_;
  Membership members_;
  WorkerBlobs blobs_;
  std::optional<BatchLedger> batches_;
  WindowFacts window_;
  LossTracker losses_;
  Plateau plateau_{v1::Schedule()};
  PushOutcomes outcomes_;
  int64_t skipped_in_a_row_ = 0;
  int64_t guard_rollbacks_ = 0;
  std::optional<int64_t> guarded_since_;
  bool awaits_rollback_ = false;
  std::optional<double> quorum_lag_seconds_;
  std::optional<v1::Evaluation> evaluation_;
  EvaluationHistory evaluations_;
  RunHistory history_;
  RunPast past_;
  std::deque<state::v1::AnsweredRestore> restores_;
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_RUN_RECORD_H_
