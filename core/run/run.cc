#include "core/run/run.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/check.h"
#include "core/base/duration.h"
#include "core/base/error.h"
#include "core/base/utf8.h"
#include "core/run/claimed_plan.h"
#include "core/run/field_json.h"
#include "core/run/run_spec.h"
#include "core/store/initializer.h"
#include "google/protobuf/util/field_mask_util.h"

namespace gradd {
namespace {

// A buffer that no step needed for so long goes back to the system.
constexpr absl::Duration kBufferIdleTime = absl::Seconds(5);
constexpr size_t kMaxHistory = 1000;
constexpr size_t kMaxHistoryValueBytes = 400;  // So that a whole history fits a message.
constexpr int kMaxDescribedWorkers = 1000;
// A little less than the 2 MiB that every message stays below.
constexpr size_t kMaxDescriptionBytes = (size_t{2} << 20) - (size_t{16} << 10);

// Keeps what a client may set.
v1::Run SpecOf(const std::string& run_id, const v1::Run& run) {
  v1::Run spec;
  spec.set_name(absl::StrCat("runs/", run_id));
  *spec.mutable_optimizer() = run.optimizer();
  *spec.mutable_groups() = run.groups();
  *spec.mutable_schedule() = run.schedule();
  *spec.mutable_policy() = run.policy();
  spec.set_max_steps(run.max_steps());
  spec.set_seed(run.seed());
  if (run.has_lease_duration()) *spec.mutable_lease_duration() = run.lease_duration();
  FillLearningRate(&spec);
  return spec;
}

absl::Status CheckMask(const google::protobuf::FieldMask& mask) {
  using google::protobuf::util::FieldMaskUtil;
  if (mask.paths().empty()) {
    return Error(absl::StatusCode::kInvalidArgument, "MASK_INVALID",
                 "update_mask: empty, at least one field expected");
  }
  for (const std::string& path : mask.paths()) {
    const std::string top = path.substr(0, path.find('.'));
    const bool mutable_field = top == "optimizer" || top == "schedule" || top == "policy" ||
                               top == "groups" || top == "max_steps" || top == "lease_duration";
    if (!mutable_field || !FieldMaskUtil::IsValidPath<v1::Run>(path)) {
      return Error(absl::StatusCode::kInvalidArgument, "MASK_INVALID",
                   absl::StrCat("update_mask: ", Quoted(path),
                                " is no field below optimizer, groups, schedule, policy, "
                                "max_steps or lease_duration"));
    }
  }
  return absl::OkStatus();
}

// Refuses paths into a kind of optimizer, schedule or policy that is not the run's: to set one
// field of it would replace the kind, with defaults for all others.
absl::Status CheckKinds(const google::protobuf::FieldMask& mask, const v1::Run& run) {
  for (const std::string& path : mask.paths()) {
    const google::protobuf::Message* message = &run;
    const std::vector<std::string> parts = absl::StrSplit(path, '.');
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      const auto* const field = message->GetDescriptor()->FindFieldByName(parts[i]);
      const auto* const oneof = field->real_containing_oneof();
      const auto* const used =
          oneof == nullptr ? field
                           : message->GetReflection()->GetOneofFieldDescriptor(*message, oneof);
      if (used != field) {
        return Error(
            absl::StatusCode::kInvalidArgument, "MASK_INVALID",
            absl::StrCat(path, " belongs to the ", parts[0], " ", field->name(),
                         ", and this run's is ", used == nullptr ? "not set" : used->name()));
      }
      message = &message->GetReflection()->GetMessage(*message, field);
    }
  }
  return absl::OkStatus();
}

// A schedule that is replaced whole needs its rate again. To keep the one before would be a guess,
// and a rate of 0 trains nothing.
absl::Status CheckRate(const google::protobuf::FieldMask& mask, const v1::Run& updated) {
  const v1::Schedule& schedule = updated.schedule();
  const bool replaced =
      std::find(mask.paths().begin(), mask.paths().end(), "schedule") != mask.paths().end();
  if (!replaced || schedule.has_learning_rate()) return absl::OkStatus();
  const auto* const shape = schedule.GetReflection()->GetOneofFieldDescriptor(
      schedule, v1::Schedule::descriptor()->FindOneofByName("shape"));
  return InvalidArgument(
      "OUT_OF_RANGE",
      absl::StrCat("schedule.learning_rate: not set, and schedule is replaced whole; expected the "
                   "rate too, or one field instead of the whole, such as schedule.",
                   shape == nullptr ? "learning_rate" : shape->name()));
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
  auto memory = ClaimRunMemory(run_id, kept, *layout, **plan, environment.budget.get());
  GRADD_RETURN_IF_ERROR(memory.status());
  *kept.mutable_lease_duration() = ToProto(LeaseDuration(kept));
  std::shared_ptr<Run> run(new Run(run_id, std::move(kept), *std::move(layout), *std::move(plan),
                                   *std::move(memory), environment, origin));
  if (origin != nullptr && origin->plan != nullptr) {
    GRADD_RETURN_IF_ERROR(run->GoOnFrom(*origin));
  }
  return run;
}

absl::Status Run::GoOnFrom(const RunOrigin& origin) {
  MutexLock lock(&mutex_);
  Snapshot first = *origin.snapshot;
  first.step = 0;
  GRADD_RETURN_IF_ERROR(store_.Restore(first));
  const int64_t copied_bytes = origin.plan->copied_bytes();
  const auto claim = environment_.budget->Take(MemoryUse::kScratch, copied_bytes);
  if (claim == nullptr) return ScratchTooLarge(run_id_, copied_bytes, *environment_.budget);
  GRADD_RETURN_IF_ERROR(plan_->Restore(origin.plan->state()));
  plan_->CountFromZero();
  guard_.Measure(store_, pool_.get());
  return absl::OkStatus();
}

Run::Run(std::string run_id, v1::Run spec, Layout layout, std::shared_ptr<UpdatePlan> plan,
         RunMemory memory, const RunEnvironment& environment, const RunOrigin* origin)
    : run_id_(std::move(run_id)),
      trial_of_(origin == nullptr ? "" : origin->trial_of),
      layout_(std::move(layout)),
      environment_(environment),
      create_time_(environment.clock->WallTime()),
      created_at_(environment.clock->Elapsed()),
      memory_(std::move(memory)),
      pool_(environment.pool->Share()),
      staging_blocks_(BlockPool::CreateForPushes(
          memory_.store, environment.budget->Take(MemoryUse::kVersions, 0))),
      store_(origin == nullptr || origin->snapshot == nullptr
                 ? ParameterStore(layout_, spec.seed(), plan->slots(nullptr), environment.pool,
                                  environment.block_elements, memory_.store)
                 : ParameterStore(*origin->snapshot, plan->slots(nullptr), environment.pool,
                                  memory_.store)),
      spec_(std::move(spec)),
      plan_(std::move(plan)),
      guard_(origin == nullptr ? LargestInitialValue(layout_.message())
                               : store_.LargestParameter(pool_.get())),
      plateau_(spec_.schedule()) {
  environment_.readers->AddStore(memory_.store);
  MutexLock lock(&mutex_);
  signs_.moved_at = created_at_;
}

v1::Run Run::Describe(Detail detail) const {
  MutexLock lock(&mutex_);
  v1::Run run = spec_;
  run.set_state(ShownState());
  run.set_parameter_count(layout_.element_count());
  *run.mutable_create_time() = ToProto(create_time_);
  run.set_state_bytes(StateBytes());
  run.set_memory_bytes(MemoryBytes());
  FillProgress(run.mutable_progress());
  if (detail == Detail::kSummary) return run;
  const absl::Duration now = environment_.clock->Elapsed();
  const absl::Time wall_time = environment_.clock->WallTime();
  const auto describe = [&](const std::string& worker, const Member& member) {
    v1::WorkerStatus& status = *run.add_workers();
    status.set_worker(worker);
    status.set_state(member.state);
    status.set_last_sequence(member.last_sequence);
    status.set_last_base_step(member.last_base_step);
    const absl::Duration last_sign =
        member.session ? absl::Nanoseconds(member.session->last_sign_ns_.load()) : member.last_sign;
    *status.mutable_last_message_time() = ToProto(wall_time - (now - last_sign));
    status.set_applied_pushes(member.applied_pushes);
    status.set_rejected_pushes(member.rejected_pushes);
    status.set_address(member.address);
    status.set_saturated_values(member.float16->saturated_values());
    status.set_widened_chunks(member.float16->widened_chunks());
  };
  for (const auto& [worker, member] : live_) {
    if (run.workers_size() == kMaxDescribedWorkers) break;
    describe(worker, *member);
  }
  for (const auto& [worker, member] : members_) {
    if (run.workers_size() == kMaxDescribedWorkers) break;
    if (!Live(member)) describe(worker, member);
  }
  if (detail == Detail::kWorkers) return run;
  *run.mutable_layout() = layout_.message();
  // The newest changes that fit into a message.
  size_t bytes = run.ByteSizeLong();
  auto first = history_.end();
  while (first != history_.begin()) {
    constexpr size_t kFrameBytes = 4;
    bytes += std::prev(first)->ByteSizeLong() + kFrameBytes;
    if (bytes > kMaxDescriptionBytes) break;
    --first;
  }
  for (; first != history_.end(); ++first) *run.add_history() = *first;
  return run;
}

int64_t Run::StateBytes() const {
  return memory_.store->state_bytes() + (plan_ == nullptr ? 0 : plan_->kept_bytes());
}

int64_t Run::MemoryBytes() const {
  // What is claimed for slots that are yet to come counts too.
  const int64_t beside_store = StateBytes() - memory_.store->state_bytes();
  return std::max(store_.memory_bytes(), memory_.store->state_bytes()) + beside_store;
}

v1::RunProgress Run::Progress() const {
  MutexLock lock(&mutex_);
  v1::RunProgress progress;
  FillProgress(&progress);
  return progress;
}

void Run::FillProgress(v1::RunProgress* progress) const {
  progress->set_step(step_);
  progress->set_max_steps(spec_.max_steps());
  progress->set_state(ShownState());
  progress->set_learning_rate(RateAt(step_));
  progress_.Fill(progress);
  progress->set_saturated_values(float16_counts_->saturated_values);
  progress->set_widened_chunks(float16_counts_->widened_chunks);
  progress->set_live_workers(static_cast<int32_t>(LiveMembers()));
  if (has_evaluation_) *progress->mutable_evaluation() = evaluation_;
  const absl::Duration now = Moves() ? environment_.clock->Elapsed() : paused_at_;
  *progress->mutable_elapsed() = ToProto(now - created_at_ - paused_total_);
  const Condition condition = JudgeCondition(Situation());
  progress->set_condition(condition.kind);
  progress->set_reason(condition.reason);
  if (condition.since.has_value()) {
    *progress->mutable_condition_time() = ToProto(environment_.clock->Elapsed() - *condition.since);
  }
  const std::optional<absl::Duration> pace = progress_.pace().TimePerStep(now);
  if (spec_.max_steps() > 0 && pace.has_value() && Moves()) {
    // A century is as good as unknown, and stays within a Duration.
    const absl::Duration time_left = static_cast<double>(spec_.max_steps() - step_) * *pace;
    if (time_left < absl::Hours(24 * 36525)) {
      *progress->mutable_time_left() = ToProto(time_left);
    }
  }
}

Run::Metrics Run::ReadMetrics() const {
  MutexLock lock(&mutex_);
  Metrics metrics;
  metrics.outcomes = progress_.outcomes();
  metrics.apply_seconds = progress_.apply_seconds();
  metrics.profile = progress_.profile();
  metrics.memory_bytes = MemoryBytes() + staging_blocks_->allocated_bytes();
  metrics.block_allocations = store_.block_allocations();
  metrics.connected_workers = ConnectedWorkers();
  return metrics;
}

int Run::ConnectedWorkers() const {
  return static_cast<int>(std::count_if(live_.begin(), live_.end(), [](const auto& entry) {
    return entry.second->session != nullptr;
  }));
}

void Run::Record(const std::string& author, const std::string& field, const std::string& old_value,
                 const std::string& new_value) {
  v1::Change change;
  *change.mutable_time() = ToProto(environment_.clock->WallTime());
  change.set_step(OpenStep());
  change.set_author(author);
  change.set_field(field);
  change.set_old_value(Abbreviated(old_value, kMaxHistoryValueBytes));
  change.set_new_value(Abbreviated(new_value, kMaxHistoryValueBytes));
  history_.push_back(std::move(change));
  if (history_.size() > kMaxHistory) history_.pop_front();
}

void Run::SetState(v1::RunState state, const std::string& author, const std::string& reason) {
  if (state == state_) return;
  signs_.stopped_by = author;
  signs_.stop_reason = reason;
  Record(author, "state", absl::StrCat("\"", v1::RunState_Name(state_), "\""),
         absl::StrCat("\"", v1::RunState_Name(state), "\""));
  SetMoving(state, held_);
}

void Run::SetMoving(v1::RunState state, bool held) {
  const bool moved = Moves();
  state_ = state;
  held_ = held;
  if (moved == Moves()) return;
  const absl::Duration now = environment_.clock->Elapsed();
  if (moved) {
    paused_at_ = now;
  } else {
    paused_total_ += now - paused_at_;
    progress_.pace().Interrupt();
    first_pending_at_ = now;
    signs_.moved_at = now;
  }
}

absl::Status Run::Update(const v1::Run& values, const google::protobuf::FieldMask& mask,
                         const std::string& author) {
  GRADD_RETURN_IF_ERROR(CheckChangeable());
  GRADD_RETURN_IF_ERROR(CheckMask(mask));
  google::protobuf::util::FieldMaskUtil::MergeOptions replace;
  replace.set_replace_message_fields(true);
  replace.set_replace_repeated_fields(true);
  bool fills = false;
  for (bool updates = false; !updates;) {
    v1::Run before;
    int64_t version = 0;
    {
      MutexLock lock(&mutex_);
      if (deleted_) return DeletedError();
      before = spec_;
      version = spec_version_;
    }
    // A plan takes time to make where there are many tensors: without the lock.
    GRADD_RETURN_IF_ERROR(CheckKinds(mask, before));
    v1::Run updated = before;
    google::protobuf::util::FieldMaskUtil::MergeMessageTo(values, mask, replace, &updated);
    FillLearningRate(&updated);
    GRADD_RETURN_IF_ERROR(CheckRate(mask, updated));
    auto plan = ValidateMutableFields(updated, layout_, environment_.block_elements,
                                      StepThreads(environment_), environment_.limits);
    GRADD_RETURN_IF_ERROR(plan.status());
    plan = ClaimPlan(run_id_, *std::move(plan), environment_.budget.get());
    GRADD_RETURN_IF_ERROR(plan.status());
    environment_.budget->MakeRoom(MemoryUse::kState,
                                  StoreBytes(layout_, **plan) - memory_.store->state_bytes());
    MutexLock lock(&mutex_);
    if (deleted_) return DeletedError();
    updates = version == spec_version_;
    if (!updates) continue;  // Somebody else was faster.
    if (updated.max_steps() != 0 && updated.max_steps() < OpenStep()) {
      return Error(absl::StatusCode::kInvalidArgument, "OUT_OF_RANGE",
                   absl::StrCat("max_steps: ", updated.max_steps(), " is below the present step ",
                                OpenStep()));
    }
    *updated.mutable_lease_duration() = ToProto(LeaseDuration(updated));
    GRADD_RETURN_IF_ERROR(AssureStep(updated.policy(), LiveMembers()));
    if (absl::Status reserved = ReserveForPlan(plan->get()); !reserved.ok()) {
      AssureStep(spec_.policy(), LiveMembers()).IgnoreError();
      return reserved;
    }
    for (const std::string& path : mask.paths()) {
      const std::string old_value = FieldJson(spec_, path);
      const std::string new_value = FieldJson(updated, path);
      if (old_value != new_value) Record(author, path, old_value, new_value);
    }
    spec_ = std::move(updated);
    ++spec_version_;
    plateau_.Configure(spec_.schedule());
    next_plan_ = *std::move(plan);
    if (Settled()) {
      BeginChange();
      fills = change_ != nullptr;
    }
    formed_ = formed_ || (spec_.policy().has_synchronous() &&
                          LiveMembers() >= spec_.policy().synchronous().workers());
    if (!step_work_) SupersedeOldPushes();
    const bool done = spec_.max_steps() != 0 && step_ >= spec_.max_steps();
    if (state_ == v1::RUN_STATE_FINISHED && !done) {
      SetState(v1::RUN_STATE_RUNNING, author);
      Broadcast(v1::RUN_EVENT_KIND_RESUMED);
    }
    FinishIfDone();
  }
  if (fills) FillChanges();
  Advance();
  return absl::OkStatus();
}

absl::Status Run::ReserveForPlan(UpdatePlan* plan) {
  // The present plan goes on until the step on its way is done: slots are there for the larger of
  // the two.
  const int64_t before = memory_.store->state_bytes();
  const int64_t bytes = std::max({StoreBytes(layout_, *plan), StoreBytes(layout_, *plan_),
                                  next_plan_ == nullptr ? 0 : StoreBytes(layout_, *next_plan_),
                                  change_ == nullptr ? 0 : StoreBytes(layout_, *change_->plan)});
  MemoryBudget* const budget = environment_.budget.get();
  if (!budget->WithReclaim(MemoryUse::kState, bytes - before,
                           [&] { return memory_.store->ResizeState(bytes); })) {
    return StateTooLarge(run_id_, bytes - before, *budget);
  }
  const SlotVectors slots = plan->slots(change_ == nullptr ? plan_.get() : change_->plan.get());
  const SlotVectors& present = change_ == nullptr ? store_.slots() : change_->slots.slots();
  const auto reserve = [&] {
    try {
      store_.ReserveForSlots(slots, present);
      return true;
    } catch (const std::bad_alloc&) {
      return false;
    }
  };
  if (!budget->WithReclaim(MemoryUse::kVersions, 0, reserve)) {
    memory_.store->ResizeState(before);
    return SlotsOutOfMemory(run_id_);
  }
  return absl::OkStatus();
}

void Run::BeginChange() {
  if (next_plan_ == nullptr || !Settled()) return;
  ParameterStore::SlotChange slots;
  try {
    slots = store_.BeginChange(next_plan_->slots(plan_.get()));
  } catch (const std::bad_alloc&) {
    // Its blocks are reserved, so that not even the lists of them can be had. The change comes
    // after a later step: here is nobody who could be told.
    LogEvent(LogEntry::Level::kWarning, "change waits for memory", {{"step", absl::StrCat(step_)}});
    return;
  }
  std::shared_ptr<UpdatePlan> plan = std::exchange(next_plan_, nullptr);
  memory_.store->EndReservations(ReservedFor::kChange);
  if (slots.has_fresh()) {
    change_ = std::make_unique<Change>(Change{std::move(plan), std::move(slots)});
  } else {
    AdoptPlan(std::move(plan), std::move(slots));
  }
}

void Run::FillChanges() {
  while (true) {
    const Change* change = nullptr;
    {
      MutexLock lock(&mutex_);
      if (change_ == nullptr) break;
      change = change_.get();
    }
    store_.FillChange(change->slots, pool_.get());
    MutexLock lock(&mutex_);
    const std::unique_ptr<Change> done = std::move(change_);
    AdoptPlan(std::move(done->plan), std::move(done->slots));
    BeginChange();
    SendSnapshots();
    TellHolder();
  }
  Advance();
  FreeIfDeleted();
}

void Run::AdoptPlan(std::shared_ptr<UpdatePlan> plan, ParameterStore::SlotChange slots) {
  plan->Continue(*plan_);
  store_.Adopt(std::move(slots));
  plan_ = std::move(plan);
  // Nothing is refused here: ReserveForPlan() has claimed the larger of the two.
  if (next_plan_ == nullptr) {
    const bool resized = memory_.store->ResizeState(StoreBytes(layout_, *plan_));
    GRADD_DCHECK(resized, "the plan takes more than was claimed for it");
  }
  guard_.PlanChanged();
  training_snapshot_.reset();  // Another vector may be what workers train at.
}

void Run::SendSnapshots() {
  if (!Settled()) return;
  std::vector<std::pair<SnapshotContents, SnapshotReceiver>> requests;
  requests.swap(snapshot_requests_);
  for (auto& [contents, receive] : requests) receive(TakeSnapshot(contents));
}

void Run::TellHolder() {
  if (!Settled() || !held_receiver_) return;
  std::exchange(held_receiver_, nullptr)(DescribeHeld());
}

absl::Status Run::CheckChangeable() const {
  if (!is_trial()) return absl::OkStatus();
  return Error(absl::StatusCode::kFailedPrecondition, "RUN_IS_TRIAL",
               absl::StrCat("run \"", run_id_, "\" is one of the trials of ", trial_of_,
                            "; it can only be watched, and ends with them"));
}

absl::Status Run::Pause(const std::string& author) {
  GRADD_RETURN_IF_ERROR(CheckChangeable());
  MutexLock lock(&mutex_);
  if (state_ == v1::RUN_STATE_FINISHED) {
    return RunFinishedError();
  }
  if (state_ == v1::RUN_STATE_PAUSED) return absl::OkStatus();
  SetState(v1::RUN_STATE_PAUSED, author);
  Broadcast(v1::RUN_EVENT_KIND_PAUSED);
  return absl::OkStatus();
}

absl::Status Run::Resume(const std::string& author) {
  GRADD_RETURN_IF_ERROR(CheckChangeable());
  {
    MutexLock lock(&mutex_);
    if (state_ == v1::RUN_STATE_FINISHED) {
      return RunFinishedError();
    }
    if (state_ == v1::RUN_STATE_RUNNING) return absl::OkStatus();
    SetState(v1::RUN_STATE_RUNNING, author);
    Broadcast(v1::RUN_EVENT_KIND_RESUMED);
  }
  Advance();
  return absl::OkStatus();
}

absl::Status Run::ReportEvaluation(const v1::Evaluation& evaluation) {
  const auto invalid = [](absl::string_view message) {
    return Error(absl::StatusCode::kInvalidArgument, "EVALUATION_INVALID", message);
  };
  if (!std::isfinite(evaluation.loss())) {
    return invalid(absl::StrCat("evaluation.loss: ", evaluation.loss(), " is not finite"));
  }
  if (evaluation.has_accuracy() && !(evaluation.accuracy() >= 0 && evaluation.accuracy() <= 1)) {
    return invalid(
        absl::StrCat("evaluation.accuracy: ", evaluation.accuracy(), " is outside [0, 1]"));
  }
  if (evaluation.examples() < 1) {
    return invalid(
        absl::StrCat("evaluation.examples: ", evaluation.examples(), ", at least 1 expected"));
  }
  MutexLock lock(&mutex_);
  // A worker may have the parameters of the step that is on its way.
  if (evaluation.step() < 0 || evaluation.step() > OpenStep()) {
    return invalid(absl::StrCat("evaluation.step: ", evaluation.step(), " is outside [0, ",
                                OpenStep(), "], the steps so far"));
  }
  if (has_evaluation_ && evaluation.step() < evaluation_.step()) return absl::OkStatus();
  evaluation_ = evaluation;
  has_evaluation_ = true;
  const double factor = plateau_.factor();
  if (plateau_.ObserveEvaluation(evaluation)) RecordReduction(factor);
  return absl::OkStatus();
}

void Run::RequestSnapshot(SnapshotContents contents, SnapshotReceiver receive) {
  MutexLock lock(&mutex_);
  if (deleted_) {
    receive(nullptr);
  } else if (!Settled()) {
    snapshot_requests_.emplace_back(contents, std::move(receive));
  } else {
    receive(TakeSnapshot(contents));
  }
}

absl::Status Run::CheckContents(SnapshotContents contents) const {
  if (contents != SnapshotContents::kAverage) return absl::OkStatus();
  MutexLock lock(&mutex_);
  if (deleted_) return DeletedError();
  if (plan_->slots(nullptr).average_slot >= 0) return absl::OkStatus();
  return Error(absl::StatusCode::kFailedPrecondition, "NO_AVERAGE",
               absl::StrCat("the optimizer of run \"", run_id_,
                            "\" keeps no average; set optimizer.parameter_average"));
}

std::shared_ptr<const Snapshot> Run::TakeSnapshot(SnapshotContents contents) {
  if (contents != SnapshotContents::kTraining) return store_.TakeSnapshot(contents);
  std::shared_ptr<const Snapshot> snapshot = training_snapshot_.lock();
  if (snapshot == nullptr || snapshot->step != step_) {
    snapshot = store_.TakeSnapshot(contents);
    training_snapshot_ = snapshot;
  }
  return snapshot;
}

void Run::Tick() {
  bool free_buffers = false;
  {
    MutexLock lock(&mutex_);
    if (deleted_) return;
    const absl::Duration now = environment_.clock->Elapsed();
    progress_.Sample(now);
    ExpireLeases();
    if (draining_) EndIdleSessions();
    LogCondition();
    free_buffers = now - buffers_freed_at_ >= kBufferIdleTime;
    if (free_buffers) buffers_freed_at_ = now;
  }
  if (free_buffers) memory_.store->FreeIdle();
  Advance();
}

}  // namespace gradd
