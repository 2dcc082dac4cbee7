#include "core/run/run_registry.h"

#include <algorithm>
#include <functional>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/error.h"
#include "core/base/thread_pool.h"
#include "core/run/run_spec.h"
#include "core/store/layout.h"

namespace gradd {
namespace {

constexpr size_t kMaxRequestIdBytes = 128;

absl::Status CheckIds(const std::string& run_id, const std::string& request_id) {
  GRADD_RETURN_IF_ERROR(ValidateRunId(run_id));
  if (request_id.size() <= kMaxRequestIdBytes) return absl::OkStatus();
  return Error(absl::StatusCode::kInvalidArgument, "OUT_OF_RANGE",
               absl::StrCat("request_id: ", request_id.size(), " bytes, at most ",
                            kMaxRequestIdBytes, " expected"));
}

// A run that the limits allow may still be too large for the machine; that is no reason to end
// the server.
absl::StatusOr<std::shared_ptr<Run>> CreateIfMemoryAllows(const std::string& run_id,
                                                          const v1::Run& spec,
                                                          const RunEnvironment& environment,
                                                          const RunOrigin& origin) {
  try {
    return Run::Create(run_id, spec, environment, origin);
  } catch (const std::bad_alloc&) {
    return Error(absl::StatusCode::kResourceExhausted, "OUT_OF_MEMORY",
                 absl::StrCat("run \"", run_id,
                              "\": the server's machine does not have the memory "
                              "for its parameters and slots; delete a run first"));
  }
}

}  // namespace

RunRegistry::RunRegistry(const Limits& limits, int threads, const Clock* clock,
                         int64_t block_elements)
    : RunRegistry(limits, std::make_unique<ThreadPool>(threads), clock, block_elements) {}

RunRegistry::RunRegistry(const Limits& limits, std::unique_ptr<Executor> pool, const Clock* clock,
                         int64_t block_elements)
    : callers_(limits), pool_(std::move(pool)) {
  environment_.clock = clock;
  environment_.pool = pool_.get();
  environment_.budget = MemoryBudget::Create(BudgetLimits(limits));
  environment_.push_room = PushRoom::Create(environment_.budget, clock);
  environment_.log = std::make_shared<RunLog>();
  environment_.readers = VersionReaders::Create();
  environment_.alarms = std::make_shared<Alarms>(environment_.clock);
  const std::shared_ptr<Executor> turn = pool_->Share();
  environment_.budget->SetReclaim(
      [readers = environment_.readers] { return readers->GiveBack(); },
      [turn](std::function<void()> task) { turn->Schedule(std::move(task)); });
  environment_.limits = limits;
  environment_.block_elements = block_elements;
}

RunRegistry::~RunRegistry() {
  for (const auto& run : All()) run->Delete();
}

absl::StatusOr<std::shared_ptr<Run>> RunRegistry::FindFree(const std::string& run_id,
                                                           const std::string& request_id,
                                                           bool is_trial) const {
  const Limits& limits = environment_.limits;
  if (draining_) return StoppingError();
  if (const auto found = runs_.find(run_id); found != runs_.end()) {
    const bool same_request = !request_id.empty() && found->second.request_id == request_id;
    if (same_request && found->second.run != nullptr) return found->second.run;
    const bool passes = found->second.phase == Entry::Phase::kRecovering ||
                        found->second.phase == Entry::Phase::kPutOff ||
                        found->second.phase == Entry::Phase::kDeleting;
    if (same_request || passes) return UnusableError(run_id, found->second);
    return Error(absl::StatusCode::kAlreadyExists, "RUN_EXISTS",
                 absl::StrCat("run \"", run_id, "\" exists; choose another id or delete it"));
  }
  // Trials have a limit of their own: whoever makes some takes no room for runs from others.
  const auto runs = std::count_if(runs_.begin(), runs_.end(),
                                  [](const auto& entry) { return !entry.second.is_trial; });
  if (!is_trial && runs >= limits.max_runs) {
    return Error(absl::StatusCode::kResourceExhausted, "TOO_MANY_RUNS",
                 absl::StrCat("the server has its limit of ", limits.max_runs,
                              " runs (--max-runs); delete one first"));
  }
  return std::shared_ptr<Run>();
}

absl::Status RunRegistry::Reserve(const std::string& run_id, const std::string& request_id,
                                  bool is_trial, std::shared_ptr<Run>* existing) {
  MutexLock lock(&mutex_);
  auto found = FindFree(run_id, request_id, is_trial);
  GRADD_RETURN_IF_ERROR(found.status());
  *existing = *std::move(found);
  if (*existing != nullptr) return absl::OkStatus();
  Entry entry;
  entry.request_id = request_id;
  entry.is_trial = is_trial;
  runs_[run_id] = std::move(entry);
  return absl::OkStatus();
}

absl::Status RunRegistry::UnusableError(const std::string& run_id, const Entry& entry) {
  const std::string run = absl::StrCat("run \"", run_id, "\"");
  switch (entry.phase) {
    case Entry::Phase::kCreating:
      return Error(absl::StatusCode::kUnavailable, "RUN_BEING_CREATED",
                   absl::StrCat(run, " is being created; try again"));
    case Entry::Phase::kRecovering:
      return Error(absl::StatusCode::kUnavailable, "RUN_RECOVERING",
                   absl::StrCat(run, " is being recovered", entry.text.empty() ? "" : ": ",
                                entry.text, "; try again"));
    case Entry::Phase::kPutOff:
      return Error(absl::StatusCode::kUnavailable, "RUN_RECOVERING",
                   absl::StrCat(run, " ", entry.text));
    case Entry::Phase::kDeleting:
      return Error(absl::StatusCode::kUnavailable, "RUN_BEING_DELETED",
                   absl::StrCat(run, " is being deleted; try again"));
    case Entry::Phase::kDamaged:
      return Error(absl::StatusCode::kDataLoss, "RUN_DAMAGED",
                   absl::StrCat(run, " cannot be recovered: ", entry.text));
    case Entry::Phase::kUsable:
      break;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<Run>> RunRegistry::FindCreated(const std::string& run_id,
                                                              const std::string& request_id) const {
  GRADD_RETURN_IF_ERROR(CheckIds(run_id, request_id));
  MutexLock lock(&mutex_);
  return FindFree(run_id, request_id, /*is_trial=*/false);
}

absl::StatusOr<std::shared_ptr<Run>> RunRegistry::Create(const std::string& run_id,
                                                         const v1::Run& spec,
                                                         const std::string& request_id,
                                                         const RunOrigin* origin, bool* is_new) {
  GRADD_RETURN_IF_ERROR(CheckIds(run_id, request_id));
  std::shared_ptr<Run> existing;
  RunOrigin made_from = origin == nullptr ? RunOrigin() : *origin;
  made_from.request_id = request_id;
  GRADD_RETURN_IF_ERROR(Reserve(run_id, request_id, !made_from.trial_of.empty(), &existing));
  if (existing != nullptr) return existing;
  if (is_new != nullptr) *is_new = true;
  auto run = CreateIfMemoryAllows(run_id, spec, environment_, made_from);
  MutexLock lock(&mutex_);
  // Drain() has not seen it, so no worker may.
  if (run.ok() && draining_) run = StoppingError();
  if (!run.ok()) {
    runs_.erase(run_id);
    return run.status();
  }
  const auto reserved = runs_.find(run_id);
  GRADD_DCHECK(reserved != runs_.end() && reserved->second.run == nullptr,
               absl::StrCat("the place of run \"", run_id, "\" was reserved for it"));
  reserved->second.run = *run;
  reserved->second.phase = Entry::Phase::kUsable;
  ++changes_;
  changed_.NotifyAll();
  return run;
}

void RunRegistry::BeginRecovery(const std::string& run_id) {
  Entry entry;
  entry.phase = Entry::Phase::kRecovering;
  MutexLock lock(&mutex_);
  runs_[run_id] = std::move(entry);
}

void RunRegistry::NoteRecovery(const std::string& run_id, std::string progress) {
  MutexLock lock(&mutex_);
  runs_[run_id].text = std::move(progress);
}

absl::StatusOr<std::shared_ptr<Run>> RunRegistry::Restore(const std::string& run_id,
                                                          const v1::Run& spec,
                                                          const RunOrigin& origin) {
  return CreateIfMemoryAllows(run_id, spec, environment_, origin);
}

void RunRegistry::EndRecovery(const std::string& run_id, absl::StatusOr<std::shared_ptr<Run>> run) {
  bool drains = false;
  state::v1::RunState state;
  if (run.ok()) (*run)->WriteState(&state);
  {
    MutexLock lock(&mutex_);
    Entry& entry = runs_[run_id];
    if (run.ok()) {
      entry.run = *run;
      entry.request_id = state.request_id();
      entry.phase = Entry::Phase::kUsable;
    } else {
      entry.phase = Entry::Phase::kDamaged;
    }
    entry.text = std::string(run.status().message());
    drains = draining_;
    ++changes_;
    changed_.NotifyAll();
  }
  if (drains && run.ok()) (*run)->Drain();
}

void RunRegistry::PutOffRecovery(const std::string& run_id, std::string why) {
  MutexLock lock(&mutex_);
  Entry& entry = runs_[run_id];
  entry.phase = Entry::Phase::kPutOff;
  entry.text = std::move(why);
}

bool RunRegistry::GoOnWithRecovery(const std::string& run_id) {
  MutexLock lock(&mutex_);
  const auto found = runs_.find(run_id);
  if (found == runs_.end() || found->second.phase != Entry::Phase::kPutOff) return false;
  found->second.phase = Entry::Phase::kRecovering;
  return true;
}

void RunRegistry::ForgetRecovery(const std::string& run_id) {
  MutexLock lock(&mutex_);
  runs_.erase(run_id);
}

std::vector<v1::Run> RunRegistry::Unusable() const {
  std::vector<v1::Run> runs;
  MutexLock lock(&mutex_);
  for (const auto& [run_id, entry] : runs_) {
    const bool damaged = entry.phase == Entry::Phase::kDamaged;
    if (!entry.IsLeftOnDisk() && entry.phase != Entry::Phase::kRecovering) continue;
    v1::Run run;
    run.set_name(absl::StrCat("runs/", run_id));
    run.set_kept(true);
    run.set_state(damaged ? v1::RUN_STATE_DAMAGED : v1::RUN_STATE_RECOVERING);
    run.mutable_progress()->set_state(run.state());
    run.mutable_progress()->set_condition(damaged ? v1::RUN_CONDITION_DAMAGED
                                                  : v1::RUN_CONDITION_RECOVERING);
    run.mutable_progress()->set_reason(entry.text);
    runs.push_back(std::move(run));
  }
  return runs;
}

absl::StatusOr<std::shared_ptr<Run>> RunRegistry::Find(absl::string_view name) const {
  auto run_id = ParseRunName(name);
  GRADD_RETURN_IF_ERROR(run_id.status());
  MutexLock lock(&mutex_);
  const auto found = runs_.find(*run_id);
  if (found != runs_.end() && found->second.run != nullptr) return found->second.run;
  if (found != runs_.end() &&
      (found->second.phase == Entry::Phase::kRecovering || found->second.IsLeftOnDisk())) {
    return UnusableError(*run_id, found->second);
  }
  return Error(absl::StatusCode::kNotFound, "RUN_NOT_FOUND",
               absl::StrCat("no run \"", *run_id, "\""));
}

absl::Status RunRegistry::Delete(absl::string_view name, Deleted deleted) {
  if (deleted == nullptr) deleted = [](const absl::Status&) {};
  const auto done = [&](const absl::Status& status) {
    deleted(status);
    return status;
  };
  auto run_id = ParseRunName(name);
  if (!run_id.ok()) return done(run_id.status());
  if (const auto removed = DeleteFromDisk(*run_id); removed.has_value()) return done(*removed);
  auto run = Find(name);
  absl::Status may = run.status();
  if (may.ok()) may = (*run)->CheckChangeable();
  if (!may.ok()) return done(may);
  Remove(run->get(), std::move(deleted));
  return absl::OkStatus();
}

void RunRegistry::Remove(Run* run, Deleted deleted) {
  const std::shared_ptr<Run> alive = run->shared_from_this();
  if (deleted == nullptr) deleted = [](const absl::Status&) {};
  {
    MutexLock lock(&mutex_);
    const auto found = runs_.find(run->run_id());
    if (found != runs_.end() && found->second.run == alive) {
      found->second.run = nullptr;
      found->second.phase = Entry::Phase::kDeleting;
      ++changes_;
      changed_.NotifyAll();
    } else {
      // Somebody else does so, and this one waits for it.
      run = nullptr;
    }
  }
  if (run == nullptr) return alive->WhenDurable(std::move(deleted));
  run->Delete();
  run->WhenDurable([this, alive, deleted = std::move(deleted)](const absl::Status& durable) {
    deleted(EndDeletion(alive->run_id(), durable));
  });
}

absl::Status RunRegistry::EndDeletion(const std::string& run_id, const absl::Status& durable) {
  absl::Status deleted = durable;
  // Where its log is at an end, its files can go all the same; but a server that stops is late.
  const bool stops = draining();
  if (!deleted.ok() && !stops) deleted = remove_from_disk_(run_id);
  MutexLock lock(&mutex_);
  if (deleted.ok()) {
    runs_.erase(run_id);
  } else if (!stops) {
    Entry& entry = runs_[run_id];
    entry.phase = Entry::Phase::kDamaged;
    entry.text = absl::StrCat("it could not be deleted: ", deleted.message());
  }
  return deleted;
}

std::optional<absl::Status> RunRegistry::DeleteFromDisk(const std::string& run_id) {
  Entry::Phase phase;
  {
    MutexLock lock(&mutex_);
    const auto found = runs_.find(run_id);
    if (found == runs_.end() || !found->second.IsLeftOnDisk()) return std::nullopt;
    // Until it is gone, nobody else gets its id, or deletes what has it then.
    phase = std::exchange(found->second.phase, Entry::Phase::kDeleting);
  }
  const absl::Status removed = remove_from_disk_(run_id);
  MutexLock lock(&mutex_);
  if (!removed.ok()) {
    runs_[run_id].phase = phase;
    return removed;
  }
  runs_.erase(run_id);
  ++changes_;
  changed_.NotifyAll();
  return removed;
}

std::vector<std::shared_ptr<Run>> RunRegistry::All() const {
  MutexLock lock(&mutex_);
  std::vector<std::shared_ptr<Run>> runs;
  for (const auto& [run_id, entry] : runs_) {
    if (entry.run != nullptr) runs.push_back(entry.run);
  }
  return runs;
}

int64_t RunRegistry::changes() const {
  MutexLock lock(&mutex_);
  return changes_;
}

void RunRegistry::AwaitChange(int64_t seen) {
  MutexLock lock(&mutex_);
  while (changes_ == seen) changed_.Wait(&mutex_);
}

void RunRegistry::Tick() {
  environment_.alarms->Ring();
  for (const auto& run : All()) run->Tick();
  environment_.budget->Tick();
}

void RunRegistry::Drain() {
  {
    MutexLock lock(&mutex_);
    draining_ = true;
  }
  for (const auto& run : All()) run->Drain();
}

bool RunRegistry::draining() const {
  MutexLock lock(&mutex_);
  return draining_;
}

void RunRegistry::EndAllSessions() {
  for (const auto& run : All()) run->EndAllSessions(StoppingError());
}

}  // namespace gradd
