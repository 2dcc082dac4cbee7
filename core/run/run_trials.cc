// What a run does for its trials: it stands still, and tells its workers of them.

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/run/run.h"

namespace gradd {

void Run::Hold(HeldRunReceiver receive) {
  MutexLock lock(&mutex_);
  const auto refuse = [&receive](absl::string_view reason, const std::string& message) {
    receive(Error(absl::StatusCode::kFailedPrecondition, reason, message));
  };
  const auto connected = static_cast<int>(sessions_.all().size());
  if (record_.deleted()) return receive(DeletedError());
  if (course_.held()) {
    return refuse("TRIALS_GOING_ON", absl::StrCat("run \"", run_id_, "\" has trials already"));
  }
  if (record_.state() == v1::RUN_STATE_FINISHED) return receive(FinishedError());
  if (connected == 0) {
    return refuse("NO_WORKERS",
                  absl::StrCat("run \"", run_id_, "\" has no worker that could train its trials"));
  }
  if (record_.policy().needs_others() && !record_.members().formed()) {
    return refuse("NO_WORKERS",
                  absl::StrCat("run \"", run_id_, "\" has ", connected, " of the ",
                               record_.policy().starts_with(), " workers that it starts with"));
  }
  course_.SetHeld(true);
  NoteMoving();
  if (!engine_.settled()) {
    held_receiver_ = std::move(receive);
  } else {
    receive(DescribeHeld());
  }
}

absl::StatusOr<HeldRun> Run::DescribeHeld() {
  if (record_.state() == v1::RUN_STATE_FINISHED) {
    course_.SetHeld(false);
    NoteMoving();
    return FinishedError();
  }
  HeldRun held;
  held.spec = record_.spec();
  *held.spec.mutable_layout() = layout_.message();
  held.connected_workers = static_cast<int>(sessions_.all().size());
  held.snapshot = engine_.TakeSnapshot(SnapshotContents::kAll);
  held.plan = engine_.plan();
  return held;
}

void Run::AnnounceTrials(std::vector<std::string> names) {
  MutexLock lock(&mutex_);
  trials_ = std::move(names);
  for (const auto& [worker, session] : sessions_.all()) {
    SendTrials(session.get(), trials_, engine_.step());
  }
}

void Run::Release() {
  {
    MutexLock lock(&mutex_);
    trials_.clear();
    course_.SetHeld(false);
    NoteMoving();
  }
  Advance();
}

void Run::RecordIn(std::shared_ptr<TrialLog> log) {
  MutexLock lock(&mutex_);
  reports_.RecordIn(std::move(log));
}

}  // namespace gradd
