#include "core/durability/checkpointer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/duration.h"
#include "core/base/error.h"
#include "core/durability/log_compaction.h"

namespace gradd {
namespace {

constexpr int64_t kSliceBytes = int64_t{8} << 20;
// After an attempt that failed.
constexpr absl::Duration kRetryAfter = absl::Seconds(5);
constexpr absl::Duration kDefaultInterval = absl::Minutes(1);
constexpr int64_t kLeastJournalBytes = int64_t{256} << 20;

absl::Duration IntervalOf(const v1::Checkpoints& spec) {
  return spec.has_every() ? FromProto(spec.every()) : kDefaultInterval;
}

int64_t JournalLimit(const CheckpointFacts& facts) {
  if (facts.journal_max_bytes > 0) return facts.journal_max_bytes;
  return std::max(kLeastJournalBytes, 4 * facts.parameter_bytes);
}

}  // namespace

Checkpointer::Checkpointer(std::shared_ptr<Run> run, std::shared_ptr<DurableLog> log,
                           Options options)
    : run_(std::move(run)),
      log_(std::move(log)),
      options_(std::move(options)),
      begun_at_(options_.clock->Elapsed()) {}

void Checkpointer::GoOnFrom(std::vector<KeptCheckpoint> checkpoints) {
  const CheckpointFacts facts = run_->ReadCheckpointFacts();
  MutexLock lock(&mutex_);
  checkpoints_ = std::move(checkpoints);
  last_facts_ = facts;
  if (checkpoints_.empty()) {
    last_facts_.events = last_facts_.step = 0;
    return;
  }
  last_facts_.events = checkpoints_.back().events;
  last_facts_.step = checkpoints_.back().name.step;
  signs_.checkpoint_step = last_facts_.step;
  ShowSigns();
}

void Checkpointer::ShowSigns() const { log_->SetCheckpointSigns(signs_); }

void Checkpointer::Tick() {
  const CheckpointFacts facts = run_->ReadCheckpointFacts();
  MutexLock lock(&mutex_);
  if (phase_ == Phase::kAhead) {
    phase_ = Phase::kWriting;
    options_.io->Schedule([self = shared_from_this()] { self->Write(); });
  } else if (phase_ == Phase::kIdle && !facts.deleted && IsDue(facts, options_.clock->Elapsed())) {
    Begin();
  }
}

bool Checkpointer::IsDue(const CheckpointFacts& facts, absl::Duration now) const {
  if (!stopped_.ok()) return false;
  if (!receivers_.empty()) return true;
  if (facts.events == last_facts_.events || now < retry_at_) return false;
  if (log_->awaits_checkpoint()) return true;
  // It was paused, or is finished.
  if (facts.state != v1::RUN_STATE_RUNNING && last_facts_.state != facts.state) return true;
  // From here on, the log has everything.
  if (facts.journal && !last_facts_.journal) return true;
  if (facts.journal && log_->bytes() >= JournalLimit(facts)) return true;
  const int64_t steps = facts.step - last_facts_.step;
  if (steps == 0) return false;
  const v1::Checkpoints& spec = facts.checkpoints;
  if (spec.every_steps() > 0 && steps >= spec.every_steps()) return true;
  const absl::Duration interval = IntervalOf(spec);
  return interval > absl::ZeroDuration() && now - begun_at_ >= interval;
}

void Checkpointer::Request(CheckpointReceiver receive) {
  const CheckpointFacts facts = run_->ReadCheckpointFacts();
  std::optional<KeptCheckpoint> newest;
  absl::Status stopped;
  {
    MutexLock lock(&mutex_);
    stopped = stopped_;
    if (!checkpoints_.empty() && checkpoints_.back().events == facts.events) {
      newest = checkpoints_.back();
    }
    if (!newest.has_value() && stopped.ok()) {
      receivers_.push_back(std::move(receive));
      if (phase_ == Phase::kIdle) Begin();
      return;
    }
  }
  if (!newest.has_value()) return receive(stopped);
  receive(newest->name);
}

void Checkpointer::BeginAwaited() {
  MutexLock lock(&mutex_);
  if (phase_ == Phase::kIdle && stopped_.ok() && log_->awaits_checkpoint()) Begin();
}

void Checkpointer::Stop(const absl::Status& why) {
  std::vector<CheckpointReceiver> receivers;
  {
    MutexLock lock(&mutex_);
    if (!stopped_.ok()) return;
    stopped_ = why;
    receivers = std::exchange(receivers_, {});
    for (CheckpointReceiver& receive : std::exchange(awaiting_, {})) {
      receivers.push_back(std::move(receive));
    }
    if (phase_ == Phase::kAhead) {
      phase_ = Phase::kWriting;
      options_.io->Schedule([self = shared_from_this()] { self->Write(); });
    }
  }
  for (const CheckpointReceiver& receive : receivers) receive(why);
}

void Checkpointer::Begin() {
  phase_ = Phase::kCapturing;
  begun_at_ = options_.clock->Elapsed();
  awaiting_ = std::exchange(receivers_, {});
  // Never with a lock: a run that is deleted answers on its own pool.
  run_->Capture([self = shared_from_this()](
                    const absl::StatusOr<std::shared_ptr<const RunCapture>>& capture) {
    self->Captured(capture);
  });
}

void Checkpointer::Captured(const absl::StatusOr<std::shared_ptr<const RunCapture>>& capture) {
  if (!capture.ok()) return Complete(capture.status());
  const state::v1::RunState& state = (*capture)->state;
  KeptCheckpoint kept;
  kept.name = {state.timeline(), state.step()};
  kept.events = state.events();
  if (state.has_evaluation()) kept.evaluation_loss = state.evaluation().loss();
  kept.time = options_.clock->WallTime();
  CheckpointFacts facts;
  facts.events = state.events();
  facts.step = state.step();
  facts.state = state.state();
  facts.journal = state.spec().journal();
  {
    MutexLock lock(&mutex_);
    phase_ = Phase::kWriting;
    last_facts_ = facts;
    writing_ = kept;
  }
  options_.io->Schedule([self = shared_from_this(), capture = *capture]() mutable {
    CheckpointWriter::Options options;
    options.time = self->writing_.time;
    absl::Status begun = self->DeletedError();
    self->log_->UseFolder([&](const RunFolder& folder) {
      auto writer = CheckpointWriter::Begin(
          &folder.files(), folder.CheckpointPath(self->writing_.name), std::move(capture), options);
      begun = writer.status();
      if (writer.ok()) self->writer_ = *std::move(writer);
    });
    if (!begun.ok()) return self->Complete(begun);
    self->writing_.bytes = self->writer_->bytes();
    self->write_begun_at_ = self->options_.clock->Elapsed();
    {
      MutexLock lock(&self->mutex_);
      self->signs_.checkpoint_bytes_left = self->writer_->bytes_left();
      self->ShowSigns();
    }
    self->Write();
  });
}

void Checkpointer::Write() {
  for (;;) {
    absl::Status stopped;
    {
      MutexLock lock(&mutex_);
      stopped = stopped_;
    }
    if (!stopped.ok()) return Complete(stopped);
    const absl::Duration spent = options_.clock->Elapsed() - write_begun_at_;
    const auto allowed =
        absl::ToDoubleSeconds(spent) * static_cast<double>(options_.bytes_per_second);
    const int64_t written = writer_->bytes() - writer_->bytes_left();
    if (static_cast<double>(written) > allowed + static_cast<double>(kSliceBytes)) {
      MutexLock lock(&mutex_);
      phase_ = Phase::kAhead;
      signs_.checkpoint_bytes_left = writer_->bytes_left();
      return ShowSigns();
    }
    absl::StatusOr<bool> done = DeletedError();
    log_->UseFolder([&](const RunFolder& /*folder*/) { done = writer_->WriteSome(kSliceBytes); });
    if (!done.ok() || *done) return Complete(done.status());
  }
}

void Checkpointer::Complete(const absl::Status& status) {
  std::vector<CheckpointReceiver> receivers;
  const KeptCheckpoint made = writing_;
  {
    MutexLock lock(&mutex_);
    receivers = std::exchange(awaiting_, {});
    signs_.checkpoint_bytes_left = 0;
    if (status.ok()) {
      ++signs_.checkpoints;
      signs_.checkpoint_step = made.name.step;
      signs_.checkpoint_at = begun_at_;
      signs_.checkpoint_duration = options_.clock->Elapsed() - begun_at_;
      signs_.checkpoint_bytes = writer_->bytes();
      checkpoints_.erase(std::remove_if(checkpoints_.begin(), checkpoints_.end(),
                                        [&](const KeptCheckpoint& other) {
                                          return other.name.timeline == made.name.timeline &&
                                                 other.name.step == made.name.step;
                                        }),
                         checkpoints_.end());
      checkpoints_.push_back(made);
    } else {
      ++signs_.failed_checkpoints;
      retry_at_ = options_.clock->Elapsed() + kRetryAfter;
      // What it stood for is still to be written.
      last_facts_ = {};
      if (!checkpoints_.empty()) {
        last_facts_.events = checkpoints_.back().events;
        last_facts_.step = checkpoints_.back().name.step;
      }
    }
    ShowSigns();
  }
  writer_.reset();
  if (!status.ok()) Failed(status);
  if (status.ok()) {
    log_->CheckpointMade(made.events);
    RemoveOld();
    if (options_.made) {
      options_.made(run_->run_id(), log_->folder().CheckpointPath(made.name));
    }
  }
  for (const CheckpointReceiver& receive : receivers) {
    if (status.ok()) {
      receive(made.name);
    } else {
      receive(status);
    }
  }
  MutexLock lock(&mutex_);
  phase_ = Phase::kIdle;
  if (!receivers_.empty()) Begin();
}

void Checkpointer::Failed(const absl::Status& why) const {
  log_->CheckpointFailed(why);
  // Where the run is gone, so is its checkpoint.
  if (options_.log == nullptr || run_->ReadCheckpointFacts().deleted) return;
  LogEntry entry;
  entry.level = LogEntry::Level::kWarning;
  entry.event = "checkpoint failed";
  entry.fields = {{"run", run_->run_id()}, {"why", std::string(why.message())}};
  options_.log->AddLimited(absl::StrCat("checkpoint failed ", run_->run_id()),
                           options_.clock->Elapsed(), std::move(entry));
}

void Checkpointer::RemoveOld() {
  const CheckpointFacts facts = run_->ReadCheckpointFacts();
  std::vector<KeptCheckpoint> to_remove;
  int64_t oldest = 0;
  int64_t newest = 0;
  {
    MutexLock lock(&mutex_);
    to_remove = CheckpointsToRemove(checkpoints_, facts.checkpoints);
    for (const KeptCheckpoint& old : to_remove) {
      checkpoints_.erase(
          std::find_if(checkpoints_.begin(), checkpoints_.end(), [&](const KeptCheckpoint& other) {
            return other.name.timeline == old.name.timeline && other.name.step == old.name.step;
          }));
    }
    newest = checkpoints_.back().events;
    oldest = newest;
    for (const KeptCheckpoint& kept : checkpoints_) oldest = std::min(oldest, kept.events);
  }
  log_->UseFolder([&](const RunFolder& folder) {
    // What cannot be removed now is there at the next start, and of no harm.
    for (const KeptCheckpoint& old : to_remove) {
      folder.files().Remove(folder.CheckpointPath(old.name)).IgnoreError();
    }
    CompactLog(folder, oldest, newest).IgnoreError();
  });
}

absl::Status Checkpointer::DeletedError() const {
  return Error(absl::StatusCode::kNotFound, "RUN_NOT_FOUND",
               absl::StrCat("run \"", run_->run_id(), "\" was deleted"));
}

std::vector<KeptCheckpoint> Checkpointer::checkpoints() const {
  MutexLock lock(&mutex_);
  return checkpoints_;
}

std::optional<KeptCheckpoint> Checkpointer::newest() const {
  MutexLock lock(&mutex_);
  if (checkpoints_.empty()) return std::nullopt;
  return checkpoints_.back();
}

}  // namespace gradd
