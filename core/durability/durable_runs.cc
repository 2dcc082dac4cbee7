#include "core/durability/durable_runs.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/durability/checkpoint_reader.h"
#include "core/durability/run_recovery.h"
#include "core/run/run_log.h"
#include "core/run/timelines.h"

namespace gradd {
namespace {

constexpr absl::Duration kRetryInterval = absl::Seconds(1);
// Between two attempts to read runs that could not be read.
constexpr absl::Duration kReadInterval = absl::Seconds(10);
constexpr absl::Duration kWritingInterval = absl::Milliseconds(100);

// How many things are not done yet, for who waits for them. Thread safe.
class Countdown {
 public:
  void Add(int number) {
    MutexLock lock(&mutex_);
    left_ += number;
  }
  void Done() {
    MutexLock lock(&mutex_);
    --left_;
    changed_.NotifyAll();
  }
  // For so long at most; whether all are.
  bool Wait(absl::Duration patience) {
    MutexLock lock(&mutex_);
    if (left_ > 0) changed_.WaitFor(&mutex_, patience);
    return left_ == 0;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  int left_ ABSL_GUARDED_BY(mutex_) = 0;
};

// The checkpoints in a folder, as far as they can be read, up to the one that the run goes on from:
// what is newer is damaged, or was given up.
std::vector<KeptCheckpoint> ReadKept(const RunFolder& folder,
                                     const std::optional<RunFolder::Checkpoint>& newest) {
  std::vector<KeptCheckpoint> kept;
  const auto found = folder.Checkpoints();
  if (!found.ok() || !newest.has_value()) return kept;
  for (const RunFolder::Checkpoint& checkpoint : *found) {
    if (std::tie(checkpoint.timeline, checkpoint.step) > std::tie(newest->timeline, newest->step)) {
      break;
    }
    const auto info = ReadCheckpointInfo(&folder.files(), folder.CheckpointPath(checkpoint));
    if (!info.ok() || info->timeline != checkpoint.timeline || info->step != checkpoint.step) {
      continue;
    }
    KeptCheckpoint one;
    one.name = checkpoint;
    one.events = info->events;
    one.evaluation_loss = info->evaluation_loss;
    one.time = info->time;
    one.bytes = info->bytes;
    kept.push_back(one);
  }
  return kept;
}

}  // namespace

absl::StatusOr<std::unique_ptr<DurableRuns>> DurableRuns::Open(FileSystem* files, Options options,
                                                               Executor* io,
                                                               RunRegistry* registry) {
  auto directory = StateDirectory::Open(files, options.directory);
  GRADD_RETURN_IF_ERROR(directory.status());
  auto run_ids = (*directory)->RunIds();
  GRADD_RETURN_IF_ERROR(run_ids.status());
  for (const std::string& run_id : *run_ids) registry->BeginRecovery(run_id);
  return std::unique_ptr<DurableRuns>(new DurableRuns(std::move(options), *std::move(directory),
                                                      *std::move(run_ids), io, registry));
}

DurableRuns::DurableRuns(Options options, std::unique_ptr<StateDirectory> directory,
                         std::vector<std::string> found, Executor* io, RunRegistry* registry)
    : options_(std::move(options)),
      guard_(registry, io->Share()),
      directory_(std::move(directory)),
      found_(std::move(found)),
      io_(io->Share()),
      registry_(*registry) {
  registry_.SetEventLogs([this](const std::string& run_id) { return OpenLog(run_id); });
  registry_.SetRemoveFromDisk([this](const std::string& run_id) { return RemoveFromDisk(run_id); });
}

DurableRuns::~DurableRuns() { Stop(absl::ZeroDuration()); }

std::shared_ptr<EventLog> DurableRuns::OpenLog(const std::string& run_id) {
  auto log = std::make_shared<DurableLog>(directory_->FolderOf(run_id), io_->Share());
  log->Start();
  MutexLock lock(&mutex_);
  logs_[run_id] = log;
  return log;
}

absl::Status DurableRuns::RemoveFromDisk(const std::string& run_id) {
  std::shared_ptr<DurableLog> log;
  {
    MutexLock lock(&mutex_);
    if (const auto found = logs_.find(run_id); found != logs_.end()) log = found->second.lock();
  }
  // The folder may be another run's next.
  if (log != nullptr) log->LeaveFolder();
  const auto folder = directory_->FolderOf(run_id);
  const std::string uid = MakeRunUid();
  GRADD_RETURN_IF_ERROR(folder->Bury(uid));
  io_->Schedule([folder, uid] { folder->RemoveBuried(uid).IgnoreError(); });
  return absl::OkStatus();
}

void DurableRuns::Recover() {
  io_->Schedule([directory = directory_] { directory->RemoveBuried(); });
  MutexLock lock(&mutex_);
  RecoverLater(found_, /*again=*/false);
}

void DurableRuns::RecoverLater(std::vector<std::string> run_ids, bool again) {
  to_recover_.assign(std::make_move_iterator(run_ids.begin()),
                     std::make_move_iterator(run_ids.end()));
  // The other threads are for those that serve already.
  const int threads = std::max(1, io_->threads() / 2);
  for (int i = 0; i < threads; ++i) {
    ++recovering_;
    io_->Schedule([this, again] { RecoverNext(again); });
  }
}

void DurableRuns::RecoverNext(bool again) {
  std::string run_id;
  {
    MutexLock lock(&mutex_);
    if (to_recover_.empty() || stopped_) {
      --recovering_;
      changed_.NotifyAll();
      return;
    }
    run_id = std::move(to_recover_.front());
    to_recover_.pop_front();
  }
  RecoverRun(run_id, again);
  // Others have their turn.
  io_->Schedule([this, again] { RecoverNext(again); });
}

void DurableRuns::RecoverPutOff(absl::Duration now) {
  MutexLock lock(&mutex_);
  if (stopped_ || recovering_ > 0 || put_off_.empty() || now - put_off_at_ < kReadInterval) return;
  std::vector<std::string> run_ids;
  for (std::string& run_id : std::exchange(put_off_, {})) {
    if (registry_.GoOnWithRecovery(run_id)) run_ids.push_back(std::move(run_id));
  }
  RecoverLater(std::move(run_ids), /*again=*/true);
}

void DurableRuns::RecoverRun(const std::string& run_id, bool again) {
  {
    MutexLock lock(&mutex_);
    if (stopped_) return;
  }
  const auto folder = directory_->FolderOf(run_id);
  RunLog& log = *registry_.log();
  const absl::Duration begin = registry_.clock().Elapsed();
  auto recovered = gradd::RecoverRun(folder, io_->Share(), &registry_);
  if (ReasonOf(recovered.status()) == "RUN_NOT_FOUND") {
    // Of a creation that nobody was told of.
    RemoveFromDisk(run_id).IgnoreError();
    return registry_.ForgetRecovery(run_id);
  }
  if (MayBeReadLater(recovered.status())) {
    const bool lacks_memory = recovered.status().code() == absl::StatusCode::kResourceExhausted;
    const std::string why = absl::StrCat(
        lacks_memory ? "waits for memory: " : "cannot be read now: ", recovered.status().message());
    registry_.PutOffRecovery(run_id, why);
    if (!again) {
      log.Add({LogEntry::Level::kWarning, "run not read yet", {{"run", run_id}, {"why", why}}});
    }
    MutexLock lock(&mutex_);
    put_off_.push_back(run_id);
    put_off_at_ = registry_.clock().Elapsed();
    return;
  }
  if (!recovered.ok()) {
    log.Add({LogEntry::Level::kWarning,
             "run damaged",
             {{"run", run_id}, {"why", std::string(recovered.status().message())}}});
    return registry_.EndRecovery(run_id, recovered.status());
  }
  for (const std::string& note : recovered->notes) {
    log.Add({LogEntry::Level::kWarning, "run file", {{"run", run_id}, {"note", note}}});
  }
  const CheckpointFacts facts = recovered->run->ReadCheckpointFacts();
  LogEntry::Fields fields = {
      {"run", run_id},
      {"step", absl::StrCat(facts.step)},
      {"replayed_events", absl::StrCat(recovered->replayed_events)},
      {"took", absl::FormatDuration(
                   absl::Trunc(registry_.clock().Elapsed() - begin, absl::Milliseconds(1)))}};
  if (recovered->steps_are_lost) {
    fields.emplace_back("lost", absl::StrCat("what came after step ", facts.step,
                                             ", evaluations included: it goes on on a new "
                                             "timeline"));
  }
  log.Add({recovered->steps_are_lost ? LogEntry::Level::kWarning : LogEntry::Level::kInfo,
           "run recovered", std::move(fields)});
  recovered->log->Start();
  const auto checkpointer = MakeCheckpointer(recovered->run, recovered->log);
  checkpointer->GoOnFrom(ReadKept(*folder, recovered->checkpoint));
  {
    MutexLock lock(&mutex_);
    logs_[run_id] = recovered->log;
    checkpointers_[run_id] = checkpointer;
  }
  // Workers may be told of the new timeline when it is durable; joins wait for that.
  registry_.EndRecovery(run_id, recovered->run);
}

std::shared_ptr<Checkpointer> DurableRuns::MakeCheckpointer(std::shared_ptr<Run> run,
                                                            std::shared_ptr<DurableLog> log) {
  Checkpointer::Options options;
  options.clock = &registry_.clock();
  options.log = registry_.log();
  options.io = io_->Share();
  options.bytes_per_second = options_.checkpoint_bytes_per_second;
  options.made = options_.checkpoint_made;
  return std::make_shared<Checkpointer>(std::move(run), std::move(log), std::move(options));
}

std::vector<std::shared_ptr<Checkpointer>> DurableRuns::Checkpointers() {
  std::vector<std::shared_ptr<Checkpointer>> all;
  std::vector<std::shared_ptr<Checkpointer>> gone;
  const auto runs = registry_.All();
  {
    MutexLock lock(&mutex_);
    for (const auto& run : runs) {
      if (run->is_trial()) continue;
      std::shared_ptr<Checkpointer>& checkpointer = checkpointers_[run->run_id()];
      if (checkpointer == nullptr || checkpointer->run() != run) {
        if (checkpointer != nullptr) gone.push_back(std::move(checkpointer));
        const std::shared_ptr<DurableLog> log = logs_[run->run_id()].lock();
        if (log == nullptr) continue;
        checkpointer = MakeCheckpointer(run, log);
      }
      all.push_back(checkpointer);
    }
    for (auto next = checkpointers_.begin(); next != checkpointers_.end();) {
      const auto found = next++;
      if (found->second != nullptr) {
        if (!found->second->run()->ReadCheckpointFacts().deleted) continue;
        gone.push_back(std::move(found->second));
      }
      checkpointers_.erase(found);
    }
    for (auto next = logs_.begin(); next != logs_.end();) {
      const auto found = next++;
      if (found->second.expired()) logs_.erase(found);
    }
  }
  for (const auto& checkpointer : gone) checkpointer->Stop(checkpointer->DeletedError());
  return all;
}

std::vector<std::shared_ptr<DurableLog>> DurableRuns::Logs() const {
  std::vector<std::shared_ptr<DurableLog>> logs;
  MutexLock lock(&mutex_);
  for (const auto& [run_id, weak] : logs_) {
    if (auto log = weak.lock(); log != nullptr) logs.push_back(std::move(log));
  }
  return logs;
}

std::shared_ptr<Checkpointer> DurableRuns::CheckpointerOf(const std::string& run_id) const {
  MutexLock lock(&mutex_);
  const auto found = checkpointers_.find(run_id);
  return found == checkpointers_.end() ? nullptr : found->second;
}

std::shared_ptr<Checkpointer> DurableRuns::CheckpointerOf(const std::shared_ptr<Run>& run) {
  for (const auto& checkpointer : Checkpointers()) {
    if (checkpointer->run() == run) return checkpointer;
  }
  return nullptr;
}

void DurableRuns::Tick() {
  const absl::Duration now = registry_.clock().Elapsed();
  bool retries = false;
  {
    MutexLock lock(&mutex_);
    if (stopped_) return;
    retries = now - retried_at_ >= kRetryInterval;
    if (retries) retried_at_ = now;
  }
  RecoverPutOff(now);
  for (const auto& checkpointer : Checkpointers()) {
    checkpointer->Tick();
    guard_.Tick(checkpointer);
  }
  if (!retries) return;
  for (const auto& log : Logs()) {
    if (log->waits_for_room()) log->Retry();
  }
}

bool DurableRuns::MakeLastCheckpoints(absl::Duration until) {
  const auto left = std::make_shared<Countdown>();
  const auto checkpointers = Checkpointers();
  left->Add(static_cast<int>(checkpointers.size()));
  for (const auto& checkpointer : checkpointers) {
    checkpointer->Request([left](const auto&) { left->Done(); });
  }
  while (!left->Wait(kWritingInterval)) {
    if (Clock::Real()->Elapsed() >= until) return false;
    // One that was ahead of its time goes on.
    for (const auto& checkpointer : checkpointers) checkpointer->Tick();
  }
  return true;
}

void DurableRuns::Stop(absl::Duration patience) {
  const absl::Duration until = Clock::Real()->Elapsed() + patience;
  {
    MutexLock lock(&mutex_);
    if (std::exchange(stopped_, true)) return;
    // Runs that are not read yet stay as they are; those that are being read are awaited.
    while (recovering_ > 0) changed_.Wait(&mutex_);
  }
  if (patience > absl::ZeroDuration() && !MakeLastCheckpoints(until)) {
    registry_.log()->Add({LogEntry::Level::kWarning,
                          "last checkpoints not made",
                          {{"why", absl::StrCat("there was no more than ",
                                                absl::FormatDuration(patience), " for them")}}});
  }
  std::set<DurableLog*> complete;
  for (const auto& checkpointer : Checkpointers()) {
    const auto newest = checkpointer->newest();
    const CheckpointFacts facts = checkpointer->run()->ReadCheckpointFacts();
    if (newest.has_value() && newest->events == facts.events) {
      complete.insert(checkpointer->log().get());
    }
    checkpointer->Stop(StoppingError());
  }
  const auto left = std::make_shared<Countdown>();
  for (const auto& log : Logs()) {
    left->Add(1);
    log->Close(complete.count(log.get()) > 0, [left] { left->Done(); });
  }
  while (!left->Wait(kWritingInterval)) {
  }
}

}  // namespace gradd
