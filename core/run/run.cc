#include "core/run/run.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/duration.h"
#include "core/base/error.h"
#include "core/data/data_set.h"
#include "core/run/recent_events.h"
#include "core/run/run_checkpoints.h"
#include "core/run/run_replay.h"
#include "core/run/run_spec.h"
#include "core/run/timelines.h"
#include "core/step/claimed_plan.h"
#include "core/store/initializer.h"

namespace gradd {
namespace {

// A buffer that no step needed for so long goes back to the system.
constexpr absl::Duration kBufferIdleTime = absl::Seconds(5);
// Of events that nobody else keeps.
constexpr size_t kKeptEventBytes = size_t{64} << 10;

// Keeps what a client may set.
v1::Run SpecOf(const std::string& run_id, const v1::Run& run) {
  v1::Run spec;
  spec.set_name(absl::StrCat("runs/", run_id));
  *spec.mutable_optimizer() = run.optimizer();
  *spec.mutable_groups() = run.groups();
  *spec.mutable_schedule() = run.schedule();
  // It counts from this run's first step, also where it is that of a run that it was changed in.
  spec.mutable_schedule()->clear_begins_at();
  *spec.mutable_policy() = run.policy();
  spec.set_max_steps(run.max_steps());
  spec.set_seed(run.seed());
  if (run.has_lease_duration()) *spec.mutable_lease_duration() = run.lease_duration();
  *spec.mutable_labels() = run.labels();
  if (run.has_checkpoints()) *spec.mutable_checkpoints() = run.checkpoints();
  spec.set_journal(run.journal());
  spec.set_journal_max_bytes(run.journal_max_bytes());
  if (run.has_guard()) *spec.mutable_guard() = run.guard();
  if (run.has_data()) *spec.mutable_data() = run.data();
  FillLearningRate(&spec);
  return spec;
}

// How long the run has been at it already.
absl::Duration ElapsedBefore(const RunOrigin& origin) {
  return origin.capture == nullptr || origin.fork != nullptr
             ? absl::ZeroDuration()
             : FromProto(origin.capture->state.elapsed());
}

std::shared_ptr<EventLog> OpenLog(const std::string& run_id, const RunEnvironment& environment,
                                  const RunOrigin& origin) {
  if (origin.log != nullptr) return origin.log;
  const bool is_trial = !origin.trial_of.empty();
  if (environment.open_log && !is_trial) return environment.open_log(run_id);
  return std::make_shared<RecentEvents>(kKeptEventBytes);
}

// The parameters and slots that a run begins with; where it was captured, they are still to come.
absl::StatusOr<ParameterStore> MakeStore(const Layout& layout, const v1::Run& spec,
                                         const UpdatePlan& plan, const RunMemory& memory,
                                         const RunEnvironment& environment, const RunOrigin& origin,
                                         const RunPlace* place) {
  if (origin.capture != nullptr) {
    const int64_t block_elements = origin.capture->vectors.snapshot->block_elements;
    return ParameterStore(layout.element_count(), block_elements, plan.slots(nullptr),
                          place == nullptr ? StorePools::Create(memory.store) : place->pools());
  }
  if (origin.snapshot != nullptr) {
    return ParameterStore(*origin.snapshot, plan.slots(nullptr), environment.pool, memory.store);
  }
  const LayoutInitializer initializer(layout.message(), spec.seed());
  const InitialValues& values = origin.values == nullptr ? initializer : *origin.values;
  return ParameterStore::Create(layout.element_count(), values, plan.slots(nullptr),
                                environment.pool, environment.block_elements, memory.store);
}

// The memory of a run: claimed, or that of `place`, where it is claimed already.
absl::StatusOr<RunMemory> MemoryOf(const std::string& run_id, const v1::Run& spec,
                                   const Layout& layout, const UpdatePlan& plan,
                                   const RunEnvironment& environment, const RunPlace* place) {
  const std::unique_ptr<const StepPolicy> policy = MakeStepPolicy(spec.policy());
  if (place == nullptr) {
    return ClaimRunMemory(run_id, *policy, layout, plan, environment.budget.get());
  }
  const int64_t bytes = StoreBytes(layout, plan, policy->kept_steps());
  if (!place->memory().store->ResizeState(bytes)) {
    return StateTooLarge(run_id, bytes, *environment.budget);
  }
  return place->memory();
}

}  // namespace

absl::StatusOr<std::shared_ptr<Run>> Run::Create(const std::string& run_id, const v1::Run& spec,
                                                 const RunEnvironment& environment,
                                                 const RunOrigin& origin) {
  const Limits& limits = environment.limits;
  auto layout = Layout::Create(spec.layout(), limits.max_parameters_per_run);
  GRADD_RETURN_IF_ERROR(layout.status());
  const RunCapture* const capture = origin.capture.get();
  v1::Run kept = SpecOf(run_id, capture == nullptr ? spec : capture->state.spec());
  if (capture != nullptr) {
    // It counts from where it did.
    *kept.mutable_schedule() = capture->state.spec().schedule();
  }
  if (origin.trial_of.empty()) {
    GRADD_RETURN_IF_ERROR(ValidateCheckpoints(kept, environment.open_log != nullptr));
  } else {
    kept.clear_checkpoints();
    kept.clear_journal();
    kept.clear_journal_max_bytes();
    kept.clear_guard();
  }
  if (kept.has_data()) {
    GRADD_RETURN_IF_ERROR(ValidateDataSet(kept.data()));
    kept.mutable_data()->set_most_skips(DataSet(kept.data()).most_skips());
  }
  auto plan = ValidateMutableFields(kept, *layout, environment.block_elements,
                                    StepThreads(environment), limits);
  GRADD_RETURN_IF_ERROR(plan.status());
  plan = ClaimPlan(run_id, *std::move(plan), environment.budget.get());
  GRADD_RETURN_IF_ERROR(plan.status());
  RunPlace* place = capture == nullptr ? nullptr : capture->vectors.place.get();
  if (place != nullptr && !place->Take()) place = nullptr;
  auto memory = MemoryOf(run_id, kept, *layout, **plan, environment, place);
  GRADD_RETURN_IF_ERROR(memory.status());
  *kept.mutable_lease_duration() = ToProto(LeaseDuration(kept));
  std::shared_ptr<MemoryBudget::Claim> scratch;  // Until the parameters are set.
  if (!origin.given()) {
    auto claimed = ClaimInitialScratch(run_id, *layout, environment.budget.get());
    GRADD_RETURN_IF_ERROR(claimed.status());
    scratch = *std::move(claimed);
  }
  auto store = MakeStore(*layout, kept, **plan, *memory, environment, origin, place);
  GRADD_RETURN_IF_ERROR(store.status());
  std::shared_ptr<Run> run(new Run(run_id, kept, *std::move(layout), *std::move(plan),
                                   *std::move(memory), *std::move(store), environment, origin));
  scratch.reset();
  run->log_->SetListener([weak = std::weak_ptr<Run>(run)] {
    if (const std::shared_ptr<Run> alive = weak.lock()) alive->LogMoved();
  });
  if (capture != nullptr) {
    GRADD_RETURN_IF_ERROR(origin.fork == nullptr ? run->GoOnFrom(*capture)
                                                 : RunReplay(run).Fork(origin));
    return run;
  }
  if (WindowOf(spec.optimizer()) > 1) {
    environment.budget->MakeRoom(MemoryUse::kState, Window::BytesFor(run->layout_.element_count()));
    GRADD_RETURN_IF_ERROR(run->engine_.BeginWithWindow());
  }
  if (origin.plan != nullptr) {
    GRADD_RETURN_IF_ERROR(run->engine_.GoOnFrom(*origin.snapshot, *origin.plan));
  }
  *kept.mutable_layout() = run->layout_.message();
  MutexLock lock(&run->mutex_);
  if (origin.created != nullptr) {
    run->record_.Apply(*origin.created);
  } else {
    const bool waits = origin.values != nullptr;  // For its first checkpoint.
    run->events_.Create(std::move(kept), MakeRunUid(), origin.request_id, waits);
  }
  run->engine_.SetTimeline(run->record_.timeline());
  return run;
}

Run::Run(std::string run_id, const v1::Run& spec, Layout layout,
         const std::shared_ptr<UpdatePlan>& plan, RunMemory memory, ParameterStore store,
         const RunEnvironment& environment, const RunOrigin& origin)
    : run_id_(std::move(run_id)),
      trial_of_(origin.trial_of),
      layout_(std::move(layout)),
      environment_(environment),
      memory_(std::move(memory)),
      pool_(environment.pool->Share()),
      staging_blocks_(BlockPool::CreateForPushes(
          memory_.store, environment.budget->Take(MemoryUse::kVersions, 0))),
      engine_({run_id_, &layout_, environment.clock, pool_, environment.budget.get(),
               environment.readers, memory_},
              std::move(store), plan,
              origin.given() ? std::nullopt : std::optional(LargestInitialValue(layout_.message())),
              MakeStepPolicy(spec.policy())->kept_steps()),
      log_(OpenLog(run_id_, environment, origin)),
      gate_(log_),
      events_(log_, environment.clock, &record_),
      course_(&record_, environment.clock->Elapsed() - ElapsedBefore(origin)),
      reports_(run_id_, is_trial(), environment.log, environment.clock),
      sessions_(&record_.members(), pool_),
      snapshots_(&engine_),
      replies_({&layout_, environment.clock, &record_, &course_, &engine_, &sessions_, &snapshots_,
                &leases_, &progress_.profile()}),
      answers_({&record_, &events_, &engine_, &sessions_, &replies_, &leases_, &reports_, &signs_,
                environment.clock}),
      leases_({&record_, &events_, &course_, &sessions_, &waiting_}),
      blob_room_(&record_, environment.budget.get()),
      shared_(environment.budget, memory_.store, pool_, layout_.element_count(),
              environment.block_elements),
      room_(environment.push_room.get(), run_id_, layout_.element_count() * int64_t{sizeof(float)},
            [this] {
              pool_->Schedule([weak = weak_from_this()] {
                if (const std::shared_ptr<Run> run = weak.lock()) run->GiveUpRoom();
              });
            }) {
  environment_.readers->AddStore(memory_.store);
  MutexLock lock(&mutex_);
  NoteMove();
}

RunMetrics Run::ReadMetrics() const {
  MutexLock lock(&mutex_);
  RunMetrics metrics;
  metrics.outcomes = record_.outcomes().counts();
  for (size_t i = 0; i < metrics.outcomes.size(); ++i) {
    metrics.outcomes[i] += replies_.outcomes().counts()[i] + signs_.undone_outcomes[i];
  }
  metrics.steps = engine_.step() + signs_.undone_steps;
  metrics.examples = record_.losses().summary().examples + signs_.undone_examples;
  metrics.apply_seconds = progress_.apply_seconds();
  metrics.profile = progress_.profile();
  metrics.memory_bytes = engine_.memory_bytes() + staging_blocks_->allocated_bytes();
  metrics.block_allocations = engine_.store().block_allocations();
  metrics.connected_workers = static_cast<int64_t>(sessions_.all().size());
  metrics.durability = log_->signs();
  metrics.guard_rollbacks = record_.guard_rollbacks();
  metrics.diverged = record_.losses().divergence().has_value();
  return metrics;
}

void Run::WriteState(state::v1::RunState* state) const {
  MutexLock lock(&mutex_);
  record_.Write(state);
}

void Run::RequestSnapshot(SnapshotContents contents, SnapshotReceiver receive) {
  MutexLock lock(&mutex_);
  if (record_.deleted()) return receive(nullptr);
  if (!record_.spec().journal()) return snapshots_.Add(contents, std::move(receive));
  snapshots_.Add(
      contents, [this, receive = std::move(receive)](std::shared_ptr<const Snapshot> snapshot) {
        mutex_.AssertHeld();
        gate_.Say(record_.events(), [receive, snapshot = std::move(snapshot)](bool is_durable) {
          receive(is_durable ? snapshot : nullptr);
        });
      });
}

absl::Status Run::CheckContents(SnapshotContents contents) const {
  if (contents != SnapshotContents::kAverage) return absl::OkStatus();
  MutexLock lock(&mutex_);
  if (record_.deleted()) return DeletedError();
  if (engine_.keeps_average()) return absl::OkStatus();
  return Error(absl::StatusCode::kFailedPrecondition, "NO_AVERAGE",
               absl::StrCat("the optimizer of run \"", run_id_,
                            "\" keeps no average; set optimizer.parameter_average"));
}

void Run::Tick() {
  bool free_buffers = false;
  {
    MutexLock lock(&mutex_);
    if (record_.deleted()) return;
    const absl::Duration now = Now();
    progress_.Sample(now);
    ExpireLeases();
    if (draining_) EndIdleSessions();
    JudgeRoom();
    RetryChange();
    if (reports_.WantsCondition()) {
      reports_.TellCondition(JudgeCondition(Situation()), progress_.pace().TimePerStep(now),
                             !record_.members().departures().all().empty(), engine_.step());
    }
    free_buffers = now - buffers_freed_at_ >= kBufferIdleTime;
    if (free_buffers) buffers_freed_at_ = now;
  }
  if (free_buffers) memory_.store->FreeIdle();
  Advance();
}

absl::Status Run::FinishedError() const {
  const BatchLedger* const batches = record_.batches();
  const bool used_up = batches != nullptr && batches->used_up();
  return Error(absl::StatusCode::kFailedPrecondition, "RUN_FINISHED",
               absl::StrCat("run \"", run_id_, "\" is finished at step ", record_.step(),
                            used_up ? ": all batches of its data set are used up"
                                    : "; a larger max_steps lets it go on"));
}

absl::Status Run::DeletedError() const {
  return Error(absl::StatusCode::kNotFound, "RUN_NOT_FOUND",
               absl::StrCat("run \"", run_id_, "\" was deleted"));
}

void Run::FreeIfDeleted() {
  StepEngine::Remains remains;
  std::shared_ptr<const SharedRegion> region;
  {
    MutexLock lock(&mutex_);
    if (!record_.deleted() || !engine_.settled()) return;
    remains = engine_.TakeAll();
    region = shared_.TakeRegion();
  }
  // Whoever still has the run, or shows it, keeps none of its memory.
  remains = {};
  memory_.store->FreeUnused();
  memory_.store->Foresee(0);
  memory_.store->ResizeState(0);
  memory_.step_room->Resize(0);
}

void Run::Delete() {
  std::vector<PendingPush> pushes;  // Let go of without the lock: they may be large.
  {
    MutexLock lock(&mutex_);
    if (record_.deleted()) return;
    events_.Delete();
    sessions_.Broadcast(v1::RUN_EVENT_KIND_DELETED, engine_.step());
    for (const SessionPtr& session : sessions_.List())
      sessions_.Dismiss(session.get(), DeletedError());
    pushes = waiting_.TakeAll();
    for (const CaptureReceiver& receive : std::exchange(capture_requests_, {})) {
      pool_->Schedule([receive, error = DeletedError()] { receive(error); });
    }
    snapshots_.Cancel();
    if (held_receiver_) std::exchange(held_receiver_, nullptr)(DeletedError());
    CompleteUpdate();  // One that is late.
  }
  pushes.clear();
  FreeIfDeleted();
}

}  // namespace gradd
