#ifndef GRADD_CORE_RUN_RUN_H_
#define GRADD_CORE_RUN_RUN_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/executor.h"
#include "core/base/mutex.h"
#include "core/diagnostics/progress_tracker.h"
#include "core/members/membership.h"
#include "core/run/float16_counts.h"
#include "core/run/held_run.h"
#include "core/run/run_condition.h"
#include "core/run/run_environment.h"
#include "core/run/run_history.h"
#include "core/run/run_metrics.h"
#include "core/run/run_signs.h"
#include "core/run/sessions.h"
#include "core/run/shared_parameters.h"
#include "core/run/staging_room.h"
#include "core/run/step_on_its_way.h"
#include "core/run/timelines.h"
#include "core/run/training_time.h"
#include "core/run/trial_log.h"
#include "core/run/update_queue.h"
#include "core/run/waiting_pushes.h"
#include "core/run/worker_session.h"
#include "core/schedule/plateau.h"
#include "core/step/step_decision.h"
#include "core/step/step_engine.h"
#include "core/step/step_policy.h"
#include "core/store/layout.h"
#include "core/store/snapshot.h"
#include "gradd/v1/run.pb.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// One training run: it puts in order what its parts do. Membership knows the workers, the policy
// says when a step is due, StepEngine makes it, and sessions are told.
//
// A step is applied without the lock, by one thread at a time together with the pool;
// everything else happens under it and takes microseconds. Nothing here waits: what cannot
// go on now is kept, and taken up again by the event that lets it.
//
// Thread safe.
class Run : public std::enable_shared_from_this<Run> {
 public:
  // Validates `spec` and sets the initial parameters, or those of `origin`. The run id is valid.
  static absl::StatusOr<std::shared_ptr<Run>> Create(const std::string& run_id, const v1::Run& spec,
                                                     const RunEnvironment& environment,
                                                     const RunOrigin* origin = nullptr);

  const std::string& run_id() const { return run_id_; }
  bool is_trial() const { return !trial_of_.empty(); }
  // FAILED_PRECONDITION for a trial, which belongs to its Trials. Checked by Update(), Pause() and
  // Resume().
  absl::Status CheckChangeable() const;
  const Layout& layout() const { return layout_; }

  // The run as people see it.
  enum class Detail { kSummary, kWorkers, kFull };  // Each adds to the one before.
  // Of many workers, 1,000: the live ones first.
  v1::Run Describe(Detail detail) const;
  v1::RunProgress Progress() const;

  RunMetrics ReadMetrics() const;

  // Changes the run. `request.receive` gets the answer when the change is in effect, or refused;
  // without a lock, perhaps within this call and perhaps on a thread of the pool. What is asked for
  // while another change is worked on waits for that one. Takes time: a plan is made, its memory is
  // claimed, and slots may be filled.
  void Update(UpdateRequest request);
  // See the methods of the same names of RunService.
  absl::Status Pause(const std::string& author);
  absl::Status Resume(const std::string& author);
  absl::Status Finish(const std::string& author, const std::string& reason);
  absl::Status ReportEvaluation(const v1::Evaluation& evaluation);
  // Ends the present timeline and begins the next one: at once, or when the step or the change that
  // is on its way is done. Parameters, ledger and window stay as they are then; pushes that wait or
  // come in are answered ROLLED_BACK, and so is whatever else was computed on the timelines before.
  absl::Status BeginTimeline(const std::string& author);

  // Ends all sessions; no step happens any more.
  void Delete();

  // Tells all sessions that the server stops and ends each as soon as nothing of it is in
  // flight. No worker can join any more.
  void Drain();
  // Ends those that are left.
  void EndAllSessions(const absl::Status& status);

  // Expires leases and deadlines, and tells the log how the run stands. To be called about ten
  // times a second.
  void Tick();

  // Calls `receive` with a snapshot of the present step: at once, or when the step that is
  // being applied is done. `receive` is called with the run's lock held. It gets null if the
  // run is deleted.
  using SnapshotReceiver = std::function<void(std::shared_ptr<const Snapshot>)>;
  void RequestSnapshot(SnapshotContents contents, SnapshotReceiver receive);
  // FAILED_PRECONDITION if the run's optimizer does not keep that.
  absl::Status CheckContents(SnapshotContents contents) const;

  // ---- For Trials. ----

  // Lets no step begin until Release(). Calls `receive` with what copies of the run begin with: at
  // once, or when the step that is being applied is done; with the run's lock held. It gets
  // FAILED_PRECONDITION, and nothing is held, if the run is held already, is finished, or has no
  // worker that is connected or not yet all that a synchronous run starts with.
  void Hold(HeldRunReceiver receive);
  // Tells all workers of these runs, and those that join until Release().
  void AnnounceTrials(std::vector<std::string> names);
  void Release();
  // The steps from now on are recorded there.
  void RecordIn(std::shared_ptr<TrialLog> log);

  // ---- For WorkerSession, in the order of a session's life. ----

  absl::Status Join(const SessionPtr& session, const v1::Join& join);
  // Begins a push. Fills in the timeline where the header leaves it to the session's welcome.
  absl::StatusOr<PushAdmission> BeginPush(WorkerSession* session, v1::PushHeader* header);
  // The push that is being staged is not finite. False if it may not be skipped.
  bool SkipPush(WorkerSession* session);
  // Stages the gradient that the session shares.
  absl::Status StageSharedGradient(WorkerSession* session, StagedPush* push);
  // The push is complete and valid: it waits for its step.
  void CommitPush(const SessionPtr& session, std::shared_ptr<const StagedPush> push,
                  bool want_parameters, const PushArrival& arrival);
  // The push was ignored, or taken back before its end.
  void CommitIgnored(const SessionPtr& session, const v1::PushHeader& header, PushAdmission why,
                     bool want_parameters);
  void RejectPush(WorkerSession* session, int64_t sequence, const absl::Status& why);
  // Takes back the complete push that waits for its step and came in this session, or in an earlier
  // one; false, with nothing done, if there is none.
  bool AbortWaiting(const SessionPtr& session, int64_t sequence, bool since_earlier);
  // Why a push that is coming in cannot become part of a step any more: its step was made without
  // it, or a new timeline began. Then its room is given back.
  std::optional<PushAdmission> ReturnIfInVain(WorkerSession* session, const v1::PushHeader& header);
  // The room of the push that is coming in, if others need it; otherwise null.
  StagingRoom::Claim TakeBackRoom(WorkerSession* session);
  void ParametersSent(WorkerSession* session);
  void ResumeReading(WorkerSession* session);
  void Leave(WorkerSession* session);
  void HalfClose(WorkerSession* session);
  void Disconnect(WorkerSession* session);
  // Ends the session because of what it sent.
  void FailSession(WorkerSession* session, const absl::Status& status);

 private:
  using Outcome = v1::PushOutcome;

  Run(std::string run_id, v1::Run spec, Layout layout, const std::shared_ptr<UpdatePlan>& plan,
      RunMemory memory, const RunEnvironment& environment, const RunOrigin* origin);

  // ---- Sessions (run_sessions.cc) ----

  // The member whose session this is; null if another one took over or the run is gone.
  Member* MemberOf(const WorkerSession* session) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether the worker may join with that session now; takes over from an older one of its own.
  absl::Status Admit(const v1::Join& join) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  v1::Welcome WelcomeFor(const Member& member, v1::Encoding encoding)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SendParametersTo(const SessionPtr& session) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Tells a session that maps the parameters where `snapshot` lies. False if it does not, if they
  // lie elsewhere, or if they may not be held for long.
  bool SendSharedParameters(WorkerSession* session, const std::shared_ptr<const Snapshot>& snapshot)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Ends the session's stream; the worker stays a member until its lease ends.
  void EndSession(WorkerSession* session, const absl::Status& status)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The same for a worker that may not read any more.
  void AbandonSession(WorkerSession* session, const absl::Status& status)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Ends a session that has no claim to what is still on its way: it left, it failed, or the run is
  // deleted. A peer that does not read could otherwise keep the parameters for ever.
  void DismissSession(WorkerSession* session, const absl::Status& status)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Ends a half-closed session that waits for nothing any more.
  void EndIfHalfClosed(WorkerSession* session) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Detach(WorkerSession* session) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ExpireLeases() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Takes up what a session holds, on the pool.
  void ScheduleRetry(const SessionPtr& session) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RetryAllHeld() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether the next step can be made by those who are connected: while draining, nobody joins.
  bool StepCanCome() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // While draining: ends the sessions that have nothing in flight.
  void EndIdleSessions() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether a push of the session is coming in, and has not come to a standstill.
  bool ReceivesPush(const WorkerSession& session) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether a push is coming in or waits, or a step is on its way.
  bool AnyInFlight() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // ---- Room for pushes (run_room.cc) ----

  // Makes sure that a step's pushes will find room, if it has `live` workers.
  absl::Status AssureStep(const StepPolicy& policy, int64_t live);
  // Whether the session has room for a push of the present step; claims it if not.
  bool ClaimRoom(WorkerSession* session) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // How the run stands, for room_. After it has changed, and now and then.
  void JudgeRoom() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Others need the room: has GiveUpRoom() called, on the pool.
  void WantRoom();
  // Drops the pushes that are not part of a step yet, and tells their workers.
  void GiveUpRoom();
  std::vector<PendingPush> DropPushes() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // ---- Pushes (run_pushes.cc) ----

  // What becomes of a push whose header is valid, if it is not staged; see PushAdmission.
  absl::StatusOr<PushAdmission> AdmitPush(WorkerSession* session, const v1::PushHeader& header,
                                          Member* member) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The complete push of the worker that is not answered yet: it waits, or its step is on its way.
  // Null if there is none.
  PendingPush* FindPending(const std::string& worker) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Counts a push that is not finite as skipped; false if it may not be.
  bool CountSkip() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Enters a push that waited into the ledger and answers it.
  void Resolve(const PendingPush& pending, Outcome outcome) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Counts what became of a push and tells `session` what it has not been `told`, if it is still
  // the member's.
  void Answer(Member* member, const SessionPtr& session, const v1::PushHeader& header,
              Outcome outcome, bool want_parameters, Told told)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SendResult(WorkerSession* session, int64_t sequence, Outcome outcome, int64_t step,
                  bool parameters_follow) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Tells a session, which must be a member's, that its push is refused.
  void SendRejection(WorkerSession* session, int64_t sequence, const absl::Status& why)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Refuses pushes that waited: their sequences are not used up.
  void RejectPending(std::vector<PendingPush> pushes, const absl::Status& why)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Answers those whose step was made without them.
  void SupersedeOldPushes() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // ---- Steps (run_steps.cc) ----

  // The step that pushes computed from the newest parameters will be part of comes after so many.
  int64_t OpenStep() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return engine_.step() + (step_ != nullptr && !step_->fold.has_value() ? 1 : 0);
  }
  PolicyState StateForPolicy() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  StepRates RatesAt(int64_t step) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // If a step is due, makes it the one on its way. `room_is_made`: nothing more can be given back
  // for it.
  void BeginStepIfDue(bool room_is_made = false) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The same for what has been decided; false if it came to nothing, so that something else may be
  // due. A step that finds no memory waits: for MakeRoomForStep(), and after it for Tick().
  bool BeginStep(state::v1::StepDecision decision, std::vector<PendingPush> pushes,
                 bool room_is_made) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool BeginFold(state::v1::FoldedPush fold, std::vector<PendingPush> push)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Gives back one piece of what others could do without, which takes long, and tries again.
  void MakeRoomForStep();
  void CompleteFold(StepOnItsWay* step) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether the push is answered when its step begins: only where its result is known to be finite.
  bool LeavesEarly(const PendingPush& pending) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Answers the pushes of the step that begins, whose blocks leave as they become final.
  void AnswerEarly(StepOnItsWay* step) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Rejects those pushes of the step whose gradient is not known to leave it finite, and puts the
  // others back. False if there is none.
  bool RejectLarge(std::vector<PendingPush> pushes, absl::string_view why)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Begins and applies steps for as long as one is due: small ones here and now, large ones
  // on the pool. Called by whoever may have made a step due, without the lock.
  void Advance();
  void ApplySteps();
  // Returns what the step was made from, to be let go of without the lock: it may be large.
  [[nodiscard]] std::unique_ptr<StepOnItsWay> CompleteStep() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The step is done.
  void CountStep(const StepOnItsWay& step) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // ---- Timelines (run_timeline.cc) ----

  // Begins those that were asked for, if nothing is on its way.
  void BeginTimelines() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void BeginNextTimeline(const std::string& author) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // ---- Changes of the plan (run_changes.cc) ----

  // Goes on with the next plan, if there is one and it can.
  void ChangePlan() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Fills the slots of the plan that is on its way and goes on with it, and what has come since.
  // Called without the lock, by the one who made it the one on its way.
  void FillChanges();
  // Give those who wait for it what holds between two steps and changes, if this is such a time.
  void SendSnapshots() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TellHolder() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Stops a run whose numbers are not finite.
  void PauseBecause(const std::string& reason) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // No step happens any more: those who wait and all that are connected are told.
  void FinishNow(const std::string& author, const std::string& reason)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FinishIfDone() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The learning rate of `step` as the schedule has it for the run's optimizer, reduced on
  // plateaus.
  double RateAt(int64_t step) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Enters into the history that the plateau's factor was `old_factor` until now.
  void RecordReduction(double old_factor) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // ---- Changes (run_update.cc) ----

  // Works on changes, this one first, until one has to wait for the step on its way or none is
  // left.
  void WorkOn(UpdateRequest request);
  std::optional<UpdateRequest> NextUpdate();
  // Makes the change the accepted one, to come into effect as soon as the engine is settled; that
  // may be at once. True if slots have to be filled first, by the caller.
  absl::StatusOr<bool> Accept(UpdateRequest request);
  // If the engine is settled and a change was accepted, that is in effect now: has it answered, and
  // the next one begun, on the pool.
  void CompleteUpdate() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Enters into the history, and into the run's state, that it is in effect from here on.
  void EnterUpdate(const UpdateQueue::Accepted& update) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The spec is another one from now on.
  void AdoptSpec(v1::Run spec) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // ---- How it stands (run.cc, run_situation.cc) ----

  absl::Status DeletedError() const;
  absl::Status FinishedError() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What Delete() does under the lock.
  void EndEverything();
  // Frees the memory of a run that is deleted, unless a step or a change is on its way.
  void FreeIfDeleted();
  // The same as Describe(), without the layout, which may be large and always is the same.
  v1::Run DescribeNow(Detail detail) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FillProgress(v1::RunProgress* progress) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DescribeWorkers(v1::Run* run) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Record(const std::string& author, const std::string& field, const std::string& old_value,
              const std::string& new_value) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // `author` is empty where the server itself does it; `reason` says what for: `the result of step
  // 17 is not finite`.
  void SetState(v1::RunState state, const std::string& author, const std::string& reason = "")
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Takes these over, and the time at which that stops the run or lets it go on.
  void SetMoving(v1::RunState state, bool held) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether steps happen as pushes come in.
  bool Moves() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return state_ == v1::RUN_STATE_RUNNING && !held_;
  }
  // What others are told.
  v1::RunState ShownState() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return held_ && state_ != v1::RUN_STATE_FINISHED ? v1::RUN_STATE_HELD : state_;
  }
  absl::StatusOr<HeldRun> DescribeHeld() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  RunSituation Situation() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Explanation ExplainWait() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Tells the log who is no longer waited for, or is again.
  void LogForgiveness(const std::string& worker, bool expected) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Tells the log when the run's condition has become one that somebody should know of.
  void LogCondition() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LogMissing(const state::v1::StepDecision& decision) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Tells the log whose pushes had to make room for others.
  void LogDropped(std::vector<std::string> workers) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Something happened that the run may have waited for.
  void NoteMove() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { signs_.moved_at = Now(); }
  void NoteRejection(const std::string& worker, int64_t sequence, const absl::Status& why)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // How far the run came, for the log.
  LogEntry::Fields EndFields() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // `fields` come after `run`.
  void LogEvent(LogEntry::Level level, const std::string& event, LogEntry::Fields fields) const;
  absl::Duration Now() const { return environment_.clock->Elapsed(); }

  // Constant after construction.
  const std::string run_id_;
  const std::string trial_of_;  // See RunOrigin.
  const Layout layout_;
  const RunEnvironment environment_;
  const absl::Time create_time_;
  const RunMemory memory_;
  // The run's turn among those of others. Shared with tasks that may outlive the run.
  const std::shared_ptr<Executor> pool_;
  // For gradients that are copied out of shared memory.
  const std::shared_ptr<BlockPool> staging_blocks_;

  // Used without the lock by the thread that applies a step or fills a change; see there.
  StepEngine engine_;

  mutable Mutex mutex_;
  // As created and updated; no output-only fields. Changed only by whoever works on an update.
  v1::Run spec_ ABSL_GUARDED_BY(mutex_);
  UpdateQueue updates_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<const StepPolicy> policy_ ABSL_GUARDED_BY(mutex_);    // Of the spec.
  v1::RunState state_ ABSL_GUARDED_BY(mutex_) = v1::RUN_STATE_RUNNING;  // Never HELD.
  bool held_ ABSL_GUARDED_BY(mutex_) = false;                           // By Trials.
  std::vector<std::string> trials_ ABSL_GUARDED_BY(mutex_);      // Names of the runs that hold it.
  HeldRunReceiver held_receiver_ ABSL_GUARDED_BY(mutex_);        // Waits for the step on its way.
  std::shared_ptr<TrialLog> trial_log_ ABSL_GUARDED_BY(mutex_);  // Null: this is no trial.
  bool deleted_ ABSL_GUARDED_BY(mutex_) = false;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;

  Timelines timelines_ ABSL_GUARDED_BY(mutex_);
  Membership members_ ABSL_GUARDED_BY(mutex_);
  Sessions sessions_ ABSL_GUARDED_BY(mutex_);
  SharedParameters shared_ ABSL_GUARDED_BY(mutex_);
  StagingRoom room_ ABSL_GUARDED_BY(mutex_);
  WaitingPushes waiting_ ABSL_GUARDED_BY(mutex_);
  absl::Duration first_waiting_at_ ABSL_GUARDED_BY(mutex_);
  int64_t skipped_in_a_row_ ABSL_GUARDED_BY(mutex_) = 0;  // Pushes, since the last step.
  std::unique_ptr<StepOnItsWay> step_ ABSL_GUARDED_BY(mutex_);
  bool makes_room_ ABSL_GUARDED_BY(mutex_) = false;  // MakeRoomForStep() will run.
  std::vector<std::pair<SnapshotContents, SnapshotReceiver>> snapshot_requests_
      ABSL_GUARDED_BY(mutex_);

  Plateau plateau_ ABSL_GUARDED_BY(mutex_);
  ProgressTracker progress_ ABSL_GUARDED_BY(mutex_);
  // Shared with workers' sessions, which may outlive the run.
  const std::shared_ptr<Float16Counts> float16_counts_ = std::make_shared<Float16Counts>();
  absl::Duration completed_at_ ABSL_GUARDED_BY(mutex_);  // The last step.
  absl::Duration buffers_freed_at_ ABSL_GUARDED_BY(mutex_);
  std::optional<v1::Evaluation> evaluation_ ABSL_GUARDED_BY(mutex_);
  RunHistory history_ ABSL_GUARDED_BY(mutex_);
  TrainingTime time_ ABSL_GUARDED_BY(mutex_);
  RunSigns signs_ ABSL_GUARDED_BY(mutex_);
  // What the log knows.
  v1::RunCondition logged_condition_ ABSL_GUARDED_BY(mutex_) = v1::RUN_CONDITION_UNSPECIFIED;
  absl::Duration judged_at_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_RUN_H_
