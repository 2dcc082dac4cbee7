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
#include "core/run/run_spec.h"
#include "core/step/claimed_plan.h"
#include "core/store/initializer.h"

namespace gradd {
namespace {

// A buffer that no step needed for so long goes back to the system.
constexpr absl::Duration kBufferIdleTime = absl::Seconds(5);
// A little less than the 2 MiB that every message stays below.
constexpr size_t kMaxDescriptionBytes = (size_t{2} << 20) - (size_t{16} << 10);

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
  FillLearningRate(&spec);
  return spec;
}

// The parameters and slots that a run begins with.
ParameterStore MakeStore(const Layout& layout, const v1::Run& spec, const UpdatePlan& plan,
                         const RunMemory& memory, const RunEnvironment& environment,
                         const RunOrigin* origin) {
  if (origin == nullptr || origin->snapshot == nullptr) {
    return ParameterStore(layout, spec.seed(), plan.slots(nullptr), environment.pool,
                          environment.block_elements, memory.store);
  }
  return ParameterStore(*origin->snapshot, plan.slots(nullptr), environment.pool, memory.store);
}

}  // namespace

absl::StatusOr<std::shared_ptr<Run>> Run::Create(const std::string& run_id, const v1::Run& spec,
                                                 const RunEnvironment& environment,
                                                 const RunOrigin* origin) {
  const Limits& limits = environment.limits;
  auto layout = Layout::Create(spec.layout(), limits.max_parameters_per_run);
  GRADD_RETURN_IF_ERROR(layout.status());
  v1::Run kept = SpecOf(run_id, spec);
  auto plan = ValidateMutableFields(kept, *layout, environment.block_elements,
                                    StepThreads(environment), limits);
  GRADD_RETURN_IF_ERROR(plan.status());
  plan = ClaimPlan(run_id, *std::move(plan), environment.budget.get());
  GRADD_RETURN_IF_ERROR(plan.status());
  auto memory = ClaimRunMemory(run_id, *MakeStepPolicy(kept.policy()), *layout, **plan,
                               environment.budget.get());
  GRADD_RETURN_IF_ERROR(memory.status());
  *kept.mutable_lease_duration() = ToProto(LeaseDuration(kept));
  std::shared_ptr<Run> run(new Run(run_id, std::move(kept), *std::move(layout), *std::move(plan),
                                   *std::move(memory), environment, origin));
  if (WindowOf(spec.optimizer()) > 1) {
    environment.budget->MakeRoom(MemoryUse::kState, Window::BytesFor(run->layout_.element_count()));
    GRADD_RETURN_IF_ERROR(run->engine_.KeepWindow(true));
  }
  if (origin != nullptr && origin->plan != nullptr) {
    GRADD_RETURN_IF_ERROR(run->engine_.GoOnFrom(*origin->snapshot, *origin->plan));
  }
  return run;
}

Run::Run(std::string run_id, v1::Run spec, Layout layout, const std::shared_ptr<UpdatePlan>& plan,
         RunMemory memory, const RunEnvironment& environment, const RunOrigin* origin)
    : run_id_(std::move(run_id)),
      trial_of_(origin == nullptr ? "" : origin->trial_of),
      layout_(std::move(layout)),
      environment_(environment),
      create_time_(environment.clock->WallTime()),
      memory_(std::move(memory)),
      pool_(environment.pool->Share()),
      staging_blocks_(BlockPool::CreateForPushes(
          memory_.store, environment.budget->Take(MemoryUse::kVersions, 0))),
      engine_(
          {run_id_, &layout_, environment.clock, pool_, environment.budget.get(),
           environment.readers, memory_},
          MakeStore(layout_, spec, *plan, memory_, environment, origin), plan,
          origin == nullptr ? std::optional(LargestInitialValue(layout_.message())) : std::nullopt),
      spec_(std::move(spec)),
      policy_(MakeStepPolicy(spec_.policy())),
      shared_(environment.budget, memory_.store, pool_, layout_.element_count(),
              environment.block_elements),
      room_(environment.push_room.get(), run_id_, layout_.element_count() * int64_t{sizeof(float)},
            [this] { WantRoom(); }),
      plateau_(spec_.schedule()),
      time_(environment.clock->Elapsed()) {
  environment_.readers->AddStore(memory_.store);
  MutexLock lock(&mutex_);
  members_.Configure(WindowOf(spec_.optimizer()), policy_->forgives());
  engine_.SetTimeline(timelines_.present());
  signs_.moved_at = Now();
}

v1::Run Run::Describe(Detail detail) const {
  v1::Run run;
  {
    MutexLock lock(&mutex_);
    run = DescribeNow(detail);
  }
  if (detail == Detail::kFull) *run.mutable_layout() = layout_.message();
  return run;
}

v1::Run Run::DescribeNow(Detail detail) const {
  v1::Run run = spec_;
  run.set_state(ShownState());
  run.set_parameter_count(layout_.element_count());
  *run.mutable_create_time() = ToProto(create_time_);
  run.set_state_bytes(engine_.state_bytes());
  run.set_memory_bytes(engine_.memory_bytes());
  run.set_timeline(timelines_.present()->number);
  run.set_uid(timelines_.present()->run_uid);
  FillProgress(run.mutable_progress());
  if (detail == Detail::kSummary) return run;
  DescribeWorkers(&run);
  if (detail == Detail::kWorkers) return run;
  constexpr size_t kFieldBytes = 8;  // What the layout's tag and length take at most.
  history_.AppendTo(kMaxDescriptionBytes - layout_.message().ByteSizeLong() - kFieldBytes, &run);
  return run;
}

v1::RunProgress Run::Progress() const {
  MutexLock lock(&mutex_);
  v1::RunProgress progress;
  FillProgress(&progress);
  return progress;
}

RunMetrics Run::ReadMetrics() const {
  MutexLock lock(&mutex_);
  RunMetrics metrics;
  metrics.outcomes = progress_.outcomes();
  metrics.apply_seconds = progress_.apply_seconds();
  metrics.profile = progress_.profile();
  metrics.memory_bytes = engine_.memory_bytes() + staging_blocks_->allocated_bytes();
  metrics.block_allocations = engine_.store().block_allocations();
  metrics.connected_workers = static_cast<int64_t>(sessions_.all().size());
  metrics.diverged = progress_.divergence().has_value();
  return metrics;
}

void Run::Record(const std::string& author, const std::string& field, const std::string& old_value,
                 const std::string& new_value) {
  v1::Change change;
  *change.mutable_time() = ToProto(environment_.clock->WallTime());
  change.set_step(OpenStep());
  change.set_author(author);
  change.set_field(field);
  change.set_old_value(old_value);
  change.set_new_value(new_value);
  history_.Add(std::move(change));
}

void Run::RequestSnapshot(SnapshotContents contents, SnapshotReceiver receive) {
  MutexLock lock(&mutex_);
  if (deleted_) {
    receive(nullptr);
  } else if (!engine_.settled()) {
    snapshot_requests_.emplace_back(contents, std::move(receive));
  } else {
    receive(engine_.TakeSnapshot(contents));
  }
}

absl::Status Run::CheckContents(SnapshotContents contents) const {
  if (contents != SnapshotContents::kAverage) return absl::OkStatus();
  MutexLock lock(&mutex_);
  if (deleted_) return DeletedError();
  if (engine_.keeps_average()) return absl::OkStatus();
  return Error(absl::StatusCode::kFailedPrecondition, "NO_AVERAGE",
               absl::StrCat("the optimizer of run \"", run_id_,
                            "\" keeps no average; set optimizer.parameter_average"));
}

void Run::Tick() {
  bool free_buffers = false;
  {
    MutexLock lock(&mutex_);
    if (deleted_) return;
    const absl::Duration now = Now();
    progress_.Sample(now);
    ExpireLeases();
    if (draining_) EndIdleSessions();
    JudgeRoom();
    LogCondition();
    free_buffers = now - buffers_freed_at_ >= kBufferIdleTime;
    if (free_buffers) buffers_freed_at_ = now;
  }
  if (free_buffers) memory_.store->FreeIdle();
  Advance();
}

absl::Status Run::FinishedError() const {
  return Error(absl::StatusCode::kFailedPrecondition, "RUN_FINISHED",
               absl::StrCat("run \"", run_id_, "\" is finished at step ", engine_.step(),
                            "; a larger max_steps lets it go on"));
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
    if (!deleted_ || !engine_.settled()) return;
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
  EndEverything();
  FreeIfDeleted();
}

void Run::EndEverything() {
  std::vector<PendingPush> pushes;  // Let go of without the lock: they may be large.
  MutexLock lock(&mutex_);
  if (deleted_) return;
  deleted_ = true;
  sessions_.Broadcast(v1::RUN_EVENT_KIND_DELETED, engine_.step());
  const std::map<std::string, SessionPtr> sessions = sessions_.all();  // Ending one detaches it.
  for (const auto& [worker, session] : sessions) DismissSession(session.get(), DeletedError());
  pushes = waiting_.TakeAll();
  for (auto& [contents, receive] : snapshot_requests_) receive(nullptr);
  snapshot_requests_.clear();
  if (held_receiver_) std::exchange(held_receiver_, nullptr)(DeletedError());
}

}  // namespace gradd
