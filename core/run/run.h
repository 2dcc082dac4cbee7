#ifndef GRADD_CORE_RUN_RUN_H_
#define GRADD_CORE_RUN_RUN_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/executor.h"
#include "core/base/mutex.h"
#include "core/diagnostics/progress_tracker.h"
#include "core/members/membership.h"
#include "core/run/blob_room.h"
#include "core/run/checkpoint_facts.h"
#include "core/run/data_leases.h"
#include "core/run/durable_gate.h"
#include "core/run/event_log.h"
#include "core/run/float16_counts.h"
#include "core/run/held_run.h"
#include "core/run/push_answers.h"
#include "core/run/replies.h"
#include "core/run/run_capture.h"
#include "core/run/run_condition.h"
#include "core/run/run_course.h"
#include "core/run/run_environment.h"
#include "core/run/run_events.h"
#include "core/run/run_metrics.h"
#include "core/run/run_record.h"
#include "core/run/run_reports.h"
#include "core/run/run_signs.h"
#include "core/run/session_host.h"
#include "core/run/sessions.h"
#include "core/run/shared_parameters.h"
#include "core/run/snapshot_requests.h"
#include "core/run/staging_room.h"
#include "core/run/step_on_its_way.h"
#include "core/run/update_queue.h"
#include "core/step/step_engine.h"
#include "core/step/step_policy.h"
#include "core/store/layout.h"
#include "core/store/snapshot.h"
#include "gradd/v1/run.pb.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// One training run: puts in order what its parts do. RunRecord is what it goes on from, and changes
// by events; the policy says when a step is due, StepEngine makes it, and sessions are told.
//
// A step is entered as an event when it begins, if it is known that it need not be undone; so the
// record may be a step ahead of what people see.
//
// A step is applied without the lock, by one thread at a time and the pool; everything else happens
// under it and takes microseconds. Nothing here waits: what cannot go on now is kept until it can.
//
// Thread safe.
class Run : public SessionHost, public std::enable_shared_from_this<Run> {
 public:
  // Validates `spec` and sets the initial parameters, or those of `origin`. The run id is valid.
  static absl::StatusOr<std::shared_ptr<Run>> Create(const std::string& run_id, const v1::Run& spec,
                                                     const RunEnvironment& environment,
                                                     const RunOrigin& origin = {});

  const std::string& run_id() const { return run_id_; }
  bool is_trial() const { return !trial_of_.empty(); }
  // FAILED_PRECONDITION for a trial, which belongs to its Trials, as all that changes a run says.
  absl::Status CheckChangeable() const;

  // The run as people see it; of many workers, 1,000: the live ones first.
  enum class Detail { kSummary, kWorkers, kFull };  // Each adds to the one before.
  v1::Run Describe(Detail detail) const;
  // `event`: it may be told when IsDurable(event).
  v1::RunProgress Progress(int64_t* event = nullptr) const;

  RunMetrics ReadMetrics() const;
  // Its steps and evaluations so far, see SelectionOf().
  v1::History ReadHistory(const HistorySelection& selection) const;
  // What it goes on from, but for its vectors, as its events have it.
  void WriteState(state::v1::RunState* state) const;
  // Calls `receive` when whatever happened until now may be told, or will never be: within this
  // call or on some thread, without a lock. See EventLog::durable().
  void WhenDurable(DurableGate::Receiver receive);
  // The same for who only looks, which may also be at what is wrong with the disk: calls it with
  // false as soon as that is known, instead of waiting for it.
  void WhenDurableOrStuck(DurableGate::Look look);
  bool IsDurable(int64_t event) const { return log_->durable() >= event || !log_->failure().ok(); }
  // Why nothing of this run becomes durable any more; OK elsewhere. Takes no lock of the run.
  absl::Status LogFailure() const { return log_->failure(); }
  // For GuardRollback: why its guard has stopped the run, once; and why it stays so.
  std::optional<GuardFacts> TakeGuardRequest();
  void StayStopped(const std::string& why);
  // What decides when the run is to be written down.
  CheckpointFacts ReadCheckpointFacts() const;

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

  // The server stops: sessions are told, end when nothing of them is in flight, and none can join.
  void Drain();
  // Ends those that are left.
  void EndAllSessions(const absl::Status& status);

  // Expires leases and deadlines, and tells the log how the run stands. To be called about ten
  // times a second.
  void Tick();

  // Calls `receive` with a snapshot of the present step: at once, or when the step that is being
  // applied is done.
  void RequestSnapshot(SnapshotContents contents, SnapshotReceiver receive);
  // FAILED_PRECONDITION if the run's optimizer does not keep that.
  absl::Status CheckContents(SnapshotContents contents) const;

  // Calls `receive` with the run as it is between two steps: when the step that is being applied is
  // done, on a thread of the pool. No step begins while optimizers' state is copied.
  // RESOURCE_EXHAUSTED if there is no room for the copy. Run::Create() goes on from it.
  void Capture(CaptureReceiver receive);

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

  // ---- See SessionHost. ----

  const Layout& layout() const override { return layout_; }
  absl::Status Join(const SessionPtr& session, const v1::Join& join) override;
  absl::Status HandleBatches(WorkerSession* session, const v1::TrainRequest& request) override;
  absl::StatusOr<PushAdmission> BeginPush(WorkerSession* session, v1::PushHeader* header) override;
  absl::Status StageSharedGradient(WorkerSession* session, StagedPush* push) override;
  bool SkipPush(WorkerSession* session) override;
  void RejectPush(WorkerSession* session, int64_t sequence, const absl::Status& why) override;
  void CommitPush(const SessionPtr& session, std::shared_ptr<const StagedPush> push,
                  bool want_parameters, const PushArrival& arrival) override;
  void CommitIgnored(const SessionPtr& session, const v1::PushHeader& header, PushAdmission why,
                     bool want_parameters) override;
  bool AbortWaiting(const SessionPtr& session, int64_t sequence, bool since_earlier) override;
  std::optional<PushAdmission> ReturnIfInVain(WorkerSession* session,
                                              const v1::PushHeader& header) override;
  StagingRoom::Claim TakeBackRoom(WorkerSession* session) override;
  void ParametersSent(WorkerSession* session) override;
  void ResumeReading(WorkerSession* session) override;
  void Leave(WorkerSession* session) override;
  void HalfClose(WorkerSession* session) override;
  void Disconnect(WorkerSession* session) override;
  void FailSession(WorkerSession* session, const absl::Status& status) override;

 private:
  friend class RunReplay;
  friend class RunRestore;
  Run(std::string run_id, const v1::Run& spec, Layout layout,
      const std::shared_ptr<UpdatePlan>& plan, RunMemory memory, ParameterStore store,
      const RunEnvironment& environment, const RunOrigin& origin);

  // ---- Sessions (run_sessions.cc, run_draining.cc) ----

  // Whether the worker may join with that session now; takes over from an older one of its own.
  absl::Status Admit(const v1::Join& join) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ExpireLeases() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether the next step can be made by those who are connected: while draining, nobody joins.
  bool StepCanCome() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // While draining: ends the sessions that have nothing in flight.
  void EndIdleSessions() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether a push of the session is coming in, and has not come to a standstill.
  bool ReceivesPush(const WorkerSession& session) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether a push is coming in or waits, or a step is on its way.
  bool AnyInFlight() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // ---- Room for pushes (run_room.cc) ----

  // Makes sure that pushes find room for a step of `live` workers, of the present policy or this.
  absl::Status AssureStep(const StepPolicy& policy, int64_t live)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether the session has room for a push of the present step; claims it if not.
  bool ClaimRoom(WorkerSession* session) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // How the run stands, for room_. After it has changed, and now and then.
  void JudgeRoom() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Others need the room: drops the pushes that are not part of a step yet, and tells their
  // workers.
  void GiveUpRoom();
  std::vector<PendingPush> DropPushes() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // ---- Pushes (run_pushes.cc) ----

  // What becomes of a push whose header is valid, if it is not staged; see PushAdmission.
  absl::StatusOr<PushAdmission> AdmitPush(WorkerSession* session, const v1::PushHeader& header,
                                          Member* member) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The complete push of the worker that is not answered yet: it waits, or its step is on its way.
  // Null if there is none.
  PendingPush* FindPending(const std::string& worker) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The session's push that comes in is not finite and will be skipped; false if it may not be.
  bool CountSkip(WorkerSession* session) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Room for what the push brings beside its gradient.
  absl::Status ClaimBlob(const std::string& worker, const v1::PushHeader& header)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether a push of that base can be part of a step.
  bool Admits(int64_t base_step) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Answers those whose step was made without them.
  void SupersedeOldPushes() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // ---- Steps (run_steps.cc) ----

  PolicyState StateForPolicy() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // If a step is due, makes it the one on its way. `room_is_made`: no more can be freed for it.
  void BeginStepIfDue(bool room_is_made = false) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CompleteDecision(const Verdict& verdict, state::v1::StepDecision* decision)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The same for what has been decided; false if it came to nothing, so that something else may be
  // due. A step that finds no memory waits: for MakeRoomForStep(), and after it for Tick().
  bool BeginStep(std::unique_ptr<StepOnItsWay> step, bool room_is_made)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WakeAt(absl::Duration at) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool BeginFold(std::unique_ptr<StepOnItsWay> step) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void BeginCorrection(const Verdict& verdict, std::unique_ptr<StepOnItsWay> step)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AnswerDropped(const Verdict& verdict) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // It is decided for good, and in the log.
  void EnterStep(StepOnItsWay* step) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Gives back one piece of what others could do without, which takes long, and tries again.
  void MakeRoomForStep();
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
  // What came of a step that was complete at `time`.
  void AddProgress(const StepWork& work, absl::Time time) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CountStep(const StepOnItsWay& step) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // ---- Timelines (run_timeline.cc) ----

  // Begins those that were asked for, if nothing is on its way.
  void BeginTimelines() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TellOfTimeline(const std::string& author) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // The log has moved; the log is at an end, and so is the run (run_durable.cc).
  void LogMoved();
  void StopForDisk() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // ---- Captures (run_capture.cc) ----

  // If somebody asked for one, and this is a time between two steps and changes.
  void BeginCapture() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CompleteCapture(const std::shared_ptr<RunCapture>& capture,
                       const std::vector<CaptureReceiver>& receivers);
  absl::Status GoOnFrom(const RunCapture& capture);

  // ---- Changes of the plan (run_changes.cc) ----

  // Goes on with the next plan, if there is one and it can.
  void ChangePlan() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The same for one for which there was no memory when its time came.
  void RetryChange() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Fills the slots of the plan that is on its way and goes on with it, and what has come since.
  // Called without the lock, by the one who made it the one on its way.
  void FillChanges();
  // Whatever waits for a time between two steps and changes has its turn, if this is such a time.
  void Settle() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Goes on, stands still, or is over.
  void EnterState(v1::RunState state, const std::string& author, const std::string& reason = "")
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Stops a run that is no good from that step on, so that its guard rolls it back, if it is to;
  // has that taken up; and stops it if its loss has left, or if pushes are refused since they are
  // not finite (run_guarding.cc).
  void StopFor(const std::string& reason, int64_t bad_since_step)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RequestRollback() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void GuardAgainstDivergence() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void GuardAgainstRefusals() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // No step happens any more: those who wait and all that are connected are told.
  void FinishNow() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The same if its last step was made, or its data used up, and people have not been told.
  void FinishIfDone() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

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
  void EnterChange(const UpdateQueue::Accepted& update) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // ---- How it stands (run.cc, run_situation.cc) ----

  absl::Status DeletedError() const;
  absl::Status FinishedError() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Frees the memory of a run that is deleted, unless a step or a change is on its way.
  void FreeIfDeleted();
  // The same as Describe(), without the layout, which may be large.
  v1::Run DescribeNow(Detail detail) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FillProgress(v1::RunProgress* progress) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // To be called when course_ may have changed whether it moves.
  void NoteMoving() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<HeldRun> DescribeHeld() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  RunSituation Situation() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Something happened that the run may have waited for.
  void NoteMove() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { signs_.moved_at = Now(); }
  absl::Duration Now() const { return environment_.clock->Elapsed(); }

  // Constant after construction.
  const std::string run_id_;
  const std::string trial_of_;  // See RunOrigin.
  const Layout layout_;
  const RunEnvironment environment_;
  const RunMemory memory_;
  // The run's turn among those of others. Shared with tasks that may outlive the run.
  const std::shared_ptr<Executor> pool_;
  // For gradients that are copied out of shared memory.
  const std::shared_ptr<BlockPool> staging_blocks_;

  // Used without the lock by the thread that applies a step or fills a change; see there.
  StepEngine engine_;

  const std::shared_ptr<EventLog> log_;
  mutable Mutex mutex_;
  DurableGate gate_ ABSL_GUARDED_BY(mutex_);
  RunRecord record_ ABSL_GUARDED_BY(mutex_);
  RunEvents events_ ABSL_GUARDED_BY(mutex_);  // Which change it.
  RunCourse course_ ABSL_GUARDED_BY(mutex_);
  RunReports reports_ ABSL_GUARDED_BY(mutex_);
  UpdateQueue updates_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> trials_ ABSL_GUARDED_BY(mutex_);  // Names of the runs that hold it.
  HeldRunReceiver held_receiver_ ABSL_GUARDED_BY(mutex_);    // Waits for the step on its way.
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::string> asked_timelines_ ABSL_GUARDED_BY(mutex_);  // By whom.
  Sessions sessions_ ABSL_GUARDED_BY(mutex_);
  SnapshotRequests snapshots_ ABSL_GUARDED_BY(mutex_);
  ProgressTracker progress_ ABSL_GUARDED_BY(mutex_);
  RunSigns signs_ ABSL_GUARDED_BY(mutex_);
  Replies replies_ ABSL_GUARDED_BY(mutex_);
  PushAnswers answers_ ABSL_GUARDED_BY(mutex_);
  DataLeases leases_ ABSL_GUARDED_BY(mutex_);
  BlobRoom blob_room_ ABSL_GUARDED_BY(mutex_);
  SharedParameters shared_ ABSL_GUARDED_BY(mutex_);
  StagingRoom room_ ABSL_GUARDED_BY(mutex_);
  WaitingPushes waiting_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<StepOnItsWay> step_ ABSL_GUARDED_BY(mutex_);
  absl::Duration wakes_at_ ABSL_GUARDED_BY(mutex_);  // May be over.
  bool makes_room_ ABSL_GUARDED_BY(mutex_) = false;  // MakeRoomForStep() will run.
  std::vector<CaptureReceiver> capture_requests_ ABSL_GUARDED_BY(mutex_);
  // Shared with workers' sessions, which may outlive the run.
  const std::shared_ptr<Float16Counts> float16_counts_ = std::make_shared<Float16Counts>();
  absl::Duration buffers_freed_at_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_RUN_H_
