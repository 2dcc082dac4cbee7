#ifndef GRADD_CORE_RUN_RUN_H_
#define GRADD_CORE_RUN_RUN_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/memory_budget.h"
#include "core/base/mutex.h"
#include "core/base/shared_region.h"
#include "core/base/thread_pool.h"
#include "core/diagnostics/progress_tracker.h"
#include "core/optim/update_plan.h"
#include "core/run/departures.h"
#include "core/run/float16_counts.h"
#include "core/run/limits.h"
#include "core/run/run_condition.h"
#include "core/run/run_log.h"
#include "core/run/run_spec.h"
#include "core/run/step_guard.h"
#include "core/run/step_memory.h"
#include "core/run/trial_log.h"
#include "core/run/worker_session.h"
#include "core/schedule/plateau.h"
#include "core/store/layout.h"
#include "core/store/parameter_store.h"
#include "core/store/snapshot.h"
#include "core/sync/aggregate.h"
#include "core/sync/staged_push.h"
#include "google/protobuf/field_mask.pb.h"
#include "gradd/v1/run.pb.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// What runs share.
struct RunEnvironment {
  const Clock* clock = Clock::Real();
  ThreadPool* pool = nullptr;  // In whose turn runs are made; each has its own turn after that.
  std::shared_ptr<MemoryBudget> budget;
  std::shared_ptr<RunLog> log;  // What operators should know.
  std::shared_ptr<VersionReaders> readers;
  Limits limits;
  int64_t block_elements = kBlockElements;
};

// How many threads may work on one step: the pool's, and the one that began it.
inline int StepThreads(const RunEnvironment& environment) {
  return environment.pool->threads() + 1;
}

// What a run is made from that is not only its spec.
struct RunOrigin {
  // Where a copy of a run begins. Null: at the layout's initial values.
  std::shared_ptr<const Snapshot> snapshot;
  // With it and the slots of the snapshot, the optimizer goes on where it was; that of the copy is
  // the same. Null: it begins with its first step. Nobody changes it before the copy is made.
  std::shared_ptr<const UpdatePlan> plan;
  // Whose trial the run is, for people: it lives and dies with those trials, and nobody else may
  // change it. Empty: it is none.
  std::string trial_of;
};

// One training run: members, ledger, parameters, and the rule by which pushes become steps.
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

  // What only the metrics show.
  struct Metrics {
    PushOutcomeCounts outcomes;
    SecondsHistogram apply_seconds;
    StepProfile profile;
    int64_t memory_bytes = 0;
    int64_t block_allocations = 0;  // Buffers of the store made so far.
    int64_t connected_workers = 0;
  };
  Metrics ReadMetrics() const;

  // See the methods of the same names of RunService.
  absl::Status Update(const v1::Run& values, const google::protobuf::FieldMask& mask,
                      const std::string& author);
  absl::Status Pause(const std::string& author);
  absl::Status Resume(const std::string& author);
  absl::Status ReportEvaluation(const v1::Evaluation& evaluation);

  // Ends all sessions; no step happens any more.
  void Delete();

  // ---- For Trials. ----

  // Lets no step begin until Release(). Calls `receive` with what copies of the run begin with: at
  // once, or when the step that is being applied is done; with the run's lock held. It gets
  // FAILED_PRECONDITION, and nothing is held, if the run is held already, is finished, or has no
  // worker that is connected or not yet all that a synchronous run starts with.
  struct HeldRun {
    v1::Run spec;
    int connected_workers = 0;
    std::shared_ptr<const Snapshot> snapshot;  // With all slots.
    std::shared_ptr<const UpdatePlan> plan;    // As it is until Release().
  };
  using HeldRunReceiver = std::function<void(absl::StatusOr<HeldRun>)>;
  void Hold(HeldRunReceiver receive);
  // Tells all workers of these runs, and those that join until Release().
  void AnnounceTrials(std::vector<std::string> names);
  void Release();
  // The steps from now on are recorded there.
  void RecordIn(std::shared_ptr<TrialLog> log);

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

 private:
  friend class WorkerSession;
  using Outcome = v1::PushOutcome;
  using SessionPtr = std::shared_ptr<WorkerSession>;

  // How long a push took to arrive.
  struct Arrival {
    absl::Duration receive;  // Without `stage`.
    absl::Duration stage;
    absl::Duration complete_at;  // By Clock::Elapsed().
  };

  // A complete push that waits for its step.
  struct PendingPush {
    std::string worker;
    std::shared_ptr<const StagedPush> push;
    std::shared_ptr<MemoryBudget::Claim> claim;
    SessionPtr session;  // Where the result goes, if it is still the worker's.
    bool want_parameters = false;
    Arrival arrival;
    bool answered = false;  // The result is sent, and the parameters are on their way.
  };

  // A worker that has joined at least once. Its last sequence is the ledger's entry.
  struct Member {
    v1::WorkerState state = v1::WORKER_STATE_COMPUTING;
    SessionPtr session;  // Null while not connected.
    int64_t last_sequence = 0;
    int64_t pending_sequence = 0;  // Of its complete push that waits; 0: none.
    int64_t last_base_step = 0;
    absl::Duration last_sign;  // Of life, by Clock::Elapsed(); when not connected.
    v1::PushOutcome last_outcome = v1::PUSH_OUTCOME_UNSPECIFIED;  // Of last_sequence.
    int64_t applied_pushes = 0;
    int64_t rejected_pushes = 0;
    std::string address;
    std::shared_ptr<WorkerFloat16> float16;
    // The parameters that the worker may be reading in shared memory.
    std::shared_ptr<const Snapshot> mapped;
  };

  // One step on its way: what it needs besides the store.
  struct StepWork {
    explicit StepWork(const StepGuard& now) : guard(now) {}

    std::vector<PendingPush> pushes;
    std::shared_ptr<UpdatePlan> plan;
    int64_t step = 0;
    double learning_rate = 0;
    double momentum = -1;  // See StepInput.
    double rate_without_warm_up = 0;
    int64_t staleness = 0;  // Greatest among the pushes.
    StepStatistics statistics;
    StepGuard guard;               // As it is after the step.
    bool watched = false;          // The result is not known to be finite.
    std::optional<StepUndo> undo;  // Of such a step, where there was memory for it.
    bool finite = true;            // The result is.
    bool undone = false;           // It is not, and everything is as it was before.
    // What leaves block by block, in each encoding that somebody takes.
    EarlySnapshots next;
    absl::Duration begin_at;
  };

  Run(std::string run_id, v1::Run spec, Layout layout, std::shared_ptr<UpdatePlan> plan,
      RunMemory memory, const RunEnvironment& environment, const RunOrigin* origin);

  // Goes on with the origin's slots and state.
  absl::Status GoOnFrom(const RunOrigin& origin);

  // ---- For WorkerSession, in the order of a session's life. ----

  absl::Status Join(const SessionPtr& session, const v1::Join& join);

  // Begins a push.
  absl::StatusOr<PushAdmission> BeginPush(WorkerSession* session, const v1::PushHeader& header);
  // The push that is being staged is not finite. False if it may not be skipped.
  bool SkipPush(WorkerSession* session);
  // Stages the gradient that the session shares.
  absl::Status StageSharedGradient(WorkerSession* session, StagedPush* push);
  // The push is complete and valid: it waits for its step.
  void CommitPush(const SessionPtr& session, std::shared_ptr<const StagedPush> push,
                  bool want_parameters, const Arrival& arrival);
  // The push was ignored.
  void CommitIgnored(const SessionPtr& session, const v1::PushHeader& header, PushAdmission why,
                     bool want_parameters);
  void RejectPush(WorkerSession* session, int64_t sequence, const absl::Status& why);
  void ParametersSent(WorkerSession* session);
  void ResumeReading(WorkerSession* session);
  void Leave(WorkerSession* session);
  void HalfClose(WorkerSession* session);
  void Disconnect(WorkerSession* session);
  // Ends the session because of what it sent.
  void FailSession(WorkerSession* session, const absl::Status& status);

  // ---- Members ----

  static bool Live(const Member& member);
  // The member whose session this is; null if another one took over or the run is gone.
  Member* MemberOf(const WorkerSession* session) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
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
  // The member is no longer live, but in `state`; see Departure for `unread`.
  void Retire(const std::string& worker, Member* member, v1::WorkerState state, bool unread = false)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  int64_t LiveMembers() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return static_cast<int64_t>(live_.size());
  }
  // Whether live_ has the members that are. For checks: it asks all of them.
  bool CountsLive() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ExpireLeases() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Sends `event` to every session.
  void Broadcast(v1::RunEventKind event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SendEvent(WorkerSession* session, v1::RunEventKind event)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SendTrials(WorkerSession* session) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SendParametersTo(const SessionPtr& session) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Takes up what a session holds, on the pool.
  void ScheduleRetry(const SessionPtr& session) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RetryAllHeld() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Counts a push that is not finite as skipped; false if it may not be.
  bool CountSkip() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // While draining: ends the sessions that have nothing in flight.
  void EndIdleSessions() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether a push of the session is coming in, and has not come to a standstill.
  bool ReceivesPush(const WorkerSession& session) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether a push is coming in or waits, or a step is on its way.
  bool AnyInFlight() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Gives the session shared memory and describes it, where that can be had.
  void OfferSharedMemory(WorkerSession* session, v1::Welcome* welcome)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether a worker may map the present parameters for as long as it likes: there is memory for
  // the next ones, and no step has to wait. No step is on its way.
  bool MayBeHeldForLong() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Tells a session that maps the parameters where `snapshot` lies. False if it does not, if they
  // lie elsewhere, or if they may not be held for long.
  bool SendSharedParameters(WorkerSession* session, const std::shared_ptr<const Snapshot>& snapshot)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // ---- Room to stage ----

  // Makes sure that a step's pushes will find room, if it has `live` workers.
  absl::Status AssureStep(const v1::SynchronizationPolicy& policy, int64_t live);
  // Whether the session has room for a push of the present step; claims it if not.
  bool ClaimRoom(WorkerSession* session) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Gives the session's part of a claim back without having used it.
  void ReturnRoom(WorkerSession* session) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // ---- Steps ----

  // The step that pushes computed from the newest parameters will be part of.
  int64_t OpenStep() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return step_ + (step_work_ ? 1 : 0);
  }
  // Enters a push that waited into the ledger and answers it.
  void Resolve(const PendingPush& pending, Outcome outcome) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Counts what became of a push and, unless it is `answered`, tells `session`, if it is still
  // the member's.
  void Answer(Member* member, const SessionPtr& session, const v1::PushHeader& header,
              Outcome outcome, bool want_parameters, bool answered)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SendResult(WorkerSession* session, int64_t sequence, Outcome outcome, int64_t step,
                  bool parameters_follow) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Tells a session, which must be a member's, that its push is refused.
  void SendRejection(WorkerSession* session, int64_t sequence, const absl::Status& why)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status DeletedError() const;
  // What Delete() does under the lock.
  void EndEverything();
  absl::Status RunFinishedError() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Pushes that were accepted under another policy may be too old for a synchronous one.
  void SupersedeOldPushes() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // If a step is due, makes it the one on its way.
  // `room_is_made`: nothing more can be given back for it.
  void BeginStepIfDue(bool room_is_made = false) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Gives back one piece of what others could do without, which takes long, and tries again.
  void MakeRoomForStep();
  // Tells the log who is not part of the synchronous step that `pushes` make.
  void LogMissing(const std::vector<PendingPush>& pushes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether the push is answered when its step begins: only where its result is known to be finite.
  bool LeavesEarly(const StepWork& work, const PendingPush& pending)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Makes sure that the step needs no memory that is not there; false if it cannot be had. The step
  // then waits, and Tick() tries again.
  bool ReserveForStep(StepWork* work, bool room_is_made) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void PutBack(std::unique_ptr<StepWork> work) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Rejects those pushes of the step whose gradient is not known to leave it finite, and puts the
  // others back. False if there is none.
  bool RejectLarge(std::unique_ptr<StepWork> work, absl::string_view why)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Refuses a push that waited: its sequence is not used up.
  void RejectPending(const PendingPush& pending, const absl::Status& why)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Stops a run whose numbers are not finite.
  void PauseBecause(const std::string& reason) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Answers the pushes of the step that begins, whose blocks leave as they become final.
  void AnswerEarly(StepWork* work) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // If there is a next_plan_ and neither a step nor a change is on its way, goes on with it: at
  // once, or makes it the change on its way if its slots take time to fill. The caller then calls
  // FillChanges().
  void BeginChange() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Fills the slots of the change on its way and adopts it, and what has come since. Called without
  // the lock, by the one who made it the change on its way.
  void FillChanges();
  // The run goes on with `plan`.
  void AdoptPlan(std::shared_ptr<UpdatePlan> plan, ParameterStore::SlotChange slots)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Give those who wait for it what holds between two steps and changes, if this is such a time.
  void SendSnapshots() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TellHolder() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether the store stays as it is for as long as the lock is held.
  bool Settled() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !step_work_ && !change_; }
  // Makes sure that the memory that `plan` needs is there, besides that of the present one.
  absl::Status ReserveForPlan(UpdatePlan* plan) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::vector<PendingPush> TakeSynchronousPushes() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::vector<PendingPush> TakeAsynchronousPush() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Begins and applies steps for as long as one is due: small ones here and now, large ones
  // on the pool. Called by whoever may have made a step due, without the lock.
  void Advance();
  void ApplySteps();
  void ApplyStep(StepWork* work);
  // Updates what the gradient has of a block.
  void UpdateSpans(const Aggregate& aggregate, UpdatePlan* plan, int64_t block);
  // Looks at the result of a step that is not known to be finite, and undoes it if it is not.
  void CheckStep(StepWork* work);
  // Returns what the step was made from, to be let go of without the lock: it may be large. Null if
  // it was undone.
  [[nodiscard]] std::unique_ptr<StepWork> CompleteStep() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The step is done.
  void CountStep(const StepWork& work) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Frees the memory of a run that is deleted, unless a step or a change is on its way.
  void FreeIfDeleted();
  // The learning rate of `step` as the schedule has it for the run's optimizer, reduced on
  // plateaus.
  double RateAt(int64_t step) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Enters into the history that the plateau's factor was `old_factor` until now.
  void RecordReduction(double old_factor) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FinishIfDone() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // A snapshot between two steps; all workers of a step share one.
  std::shared_ptr<const Snapshot> TakeSnapshot(SnapshotContents contents)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FillProgress(v1::RunProgress* progress) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Record(const std::string& author, const std::string& field, const std::string& old_value,
              const std::string& new_value) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // `author` is empty where the server itself does it; `reason` says what for: `the result of step
  // 17 is not finite`.
  void SetState(v1::RunState state, const std::string& author, const std::string& reason = "")
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Bytes of parameters, slots, and what the optimizers keep for whole tensors.
  int64_t StateBytes() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The same with versions, and what is kept for the next ones.
  int64_t MemoryBytes() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // ---- How it stands ----

  RunSituation Situation() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Tells the log when the run's condition has become one that somebody should know of.
  void LogCondition() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Something happened that the run may have waited for.
  void NoteMove() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    signs_.moved_at = environment_.clock->Elapsed();
  }
  void NoteRejection(const std::string& worker, int64_t sequence, const absl::Status& why)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // How far the run came, for the log.
  LogEntry::Fields EndFields() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // `fields` come after `run`.
  void LogEvent(LogEntry::Level level, const std::string& event, LogEntry::Fields fields) const;
  int ConnectedWorkers() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What others are told.
  v1::RunState ShownState() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return held_ && state_ != v1::RUN_STATE_FINISHED ? v1::RUN_STATE_HELD : state_;
  }
  // Whether steps happen as pushes come in.
  bool Moves() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return state_ == v1::RUN_STATE_RUNNING && !held_;
  }
  // Takes these over, and the time at which that stops the run or lets it go on.
  void SetMoving(v1::RunState state, bool held) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<HeldRun> DescribeHeld() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Constant after construction.
  const std::string run_id_;
  const std::string trial_of_;  // See RunOrigin.
  const Layout layout_;
  const RunEnvironment environment_;
  const absl::Time create_time_;
  const absl::Duration created_at_;
  const RunMemory memory_;

  // The run's turn among those of others. Shared with tasks that may outlive the run.
  const std::shared_ptr<ThreadPool> pool_;

  // For gradients that are copied out of shared memory.
  const std::shared_ptr<BlockPool> staging_blocks_;

  // Guarded by mutex_ while no step is on its way; by the thread that applies it, while one is.
  // While a change is, nobody writes to it.
  ParameterStore store_;

  mutable Mutex mutex_;
  v1::Run spec_ ABSL_GUARDED_BY(mutex_);  // As created and updated; no output-only fields.
  int64_t spec_version_ ABSL_GUARDED_BY(mutex_) = 0;                    // Changes with it.
  v1::RunState state_ ABSL_GUARDED_BY(mutex_) = v1::RUN_STATE_RUNNING;  // Never HELD.
  bool held_ ABSL_GUARDED_BY(mutex_) = false;                           // By Trials.
  std::vector<std::string> trials_ ABSL_GUARDED_BY(mutex_);      // Names of the runs that hold it.
  HeldRunReceiver held_receiver_ ABSL_GUARDED_BY(mutex_);        // Waits for the step on its way.
  std::shared_ptr<TrialLog> trial_log_ ABSL_GUARDED_BY(mutex_);  // Null: this is no trial.
  bool deleted_ ABSL_GUARDED_BY(mutex_) = false;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<UpdatePlan> plan_ ABSL_GUARDED_BY(mutex_);  // Null once the run has ended.
  // Takes its place as soon as no step is on its way; null: there is none.
  std::shared_ptr<UpdatePlan> next_plan_ ABSL_GUARDED_BY(mutex_);
  // A plan whose fresh slots are being filled. No step begins meanwhile.
  struct Change {
    std::shared_ptr<UpdatePlan> plan;
    ParameterStore::SlotChange slots;
  };
  std::unique_ptr<Change> change_ ABSL_GUARDED_BY(mutex_);
  int64_t step_ ABSL_GUARDED_BY(mutex_) = 0;
  StepGuard guard_ ABSL_GUARDED_BY(mutex_);
  Plateau plateau_ ABSL_GUARDED_BY(mutex_);

  // By worker id: the order in which gradients are summed.
  std::map<std::string, Member> members_ ABSL_GUARDED_BY(mutex_);
  // Those of them that are live, which all that have a session are. Ids that were seen stay in
  // members_, for their ledger, and cost nothing else.
  std::map<std::string, Member*> live_ ABSL_GUARDED_BY(mutex_);
  bool formed_ ABSL_GUARDED_BY(mutex_) = false;  // See SynchronousState.

  int64_t skipped_in_a_row_ ABSL_GUARDED_BY(mutex_) = 0;     // Pushes, since the last step.
  std::deque<PendingPush> pending_ ABSL_GUARDED_BY(mutex_);  // In the order they came.
  absl::Duration first_pending_at_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<StepWork> step_work_ ABSL_GUARDED_BY(mutex_);  // The step on its way.
  bool makes_room_ ABSL_GUARDED_BY(mutex_) = false;              // MakeRoomForStep() will run.
  std::vector<std::pair<SnapshotContents, SnapshotReceiver>> snapshot_requests_
      ABSL_GUARDED_BY(mutex_);

  std::weak_ptr<const Snapshot> training_snapshot_ ABSL_GUARDED_BY(mutex_);

  // Where the parameters lie for those who map them; null until somebody does.
  std::shared_ptr<SharedRegion> parameter_region_ ABSL_GUARDED_BY(mutex_);
  bool parameters_shared_ ABSL_GUARDED_BY(mutex_) = false;  // The store knows the region.

  // Room for all pushes of synchronous step `step`; `left` of them have not begun.
  struct StepClaim {
    std::shared_ptr<MemoryBudget::Claim> claim;
    int64_t step = -1;
    int64_t left = 0;
  };
  StepClaim step_claim_ ABSL_GUARDED_BY(mutex_);

  ProgressTracker progress_ ABSL_GUARDED_BY(mutex_);
  // Shared with workers' sessions, which may outlive the run.
  const std::shared_ptr<Float16Counts> float16_counts_ = std::make_shared<Float16Counts>();
  absl::Duration completed_at_ ABSL_GUARDED_BY(mutex_);  // The last step.
  absl::Duration buffers_freed_at_ ABSL_GUARDED_BY(mutex_);
  v1::Evaluation evaluation_ ABSL_GUARDED_BY(mutex_);
  bool has_evaluation_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<v1::Change> history_ ABSL_GUARDED_BY(mutex_);
  absl::Duration paused_at_ ABSL_GUARDED_BY(mutex_);
  absl::Duration paused_total_ ABSL_GUARDED_BY(mutex_);

  // What its condition is read from beside all this; see RunSituation.
  struct Signs {
    std::string stopped_by;
    std::string stop_reason;
    int64_t non_finite_pushes = 0;
    std::string non_finite_reason;
    absl::Duration non_finite_at;
    Departures departures;
    bool step_lacks_memory = false;
    absl::Duration moved_at;
  };
  Signs signs_ ABSL_GUARDED_BY(mutex_);
  // What the log knows.
  v1::RunCondition logged_condition_ ABSL_GUARDED_BY(mutex_) = v1::RUN_CONDITION_UNSPECIFIED;
  absl::Duration judged_at_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_RUN_H_
