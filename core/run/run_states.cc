// When a run goes on, stands still, and is over.

#include <map>
#include <string>
#include <utility>

#include "core/base/error.h"
#include "core/run/run.h"

namespace gradd {

void Run::EnterState(v1::RunState state, const std::string& author, const std::string& reason) {
  events_.ChangeState(state, author, reason);
  over_ = state == v1::RUN_STATE_FINISHED;
  NoteMoving();
}

void Run::NoteMoving() {
  if (std::exchange(moved_, Moves()) == moved_) return;
  const absl::Duration now = Now();
  if (!moved_) {
    paused_at_ = now;
  } else {
    paused_total_ += now - paused_at_;
    progress_.pace().Interrupt();
    first_waiting_at_ = now;
    signs_.moved_at = now;
  }
  JudgeRoom();
}

void Run::PauseBecause(const std::string& reason) {
  if (record_.state() == v1::RUN_STATE_RUNNING) {
    EnterState(v1::RUN_STATE_PAUSED, "", reason);
    sessions_.Broadcast(v1::RUN_EVENT_KIND_PAUSED, engine_.step());
  }
  if (trial_log_ != nullptr) {
    trial_log_->Refuse(Error(absl::StatusCode::kOutOfRange, "NON_FINITE", reason));
  }
}

void Run::FinishIfDone() {
  if (record_.state() == v1::RUN_STATE_FINISHED && !over_ && step_ == nullptr) FinishNow();
}

void Run::FinishNow() {
  over_ = true;
  NoteMoving();
  if (trial_log_ == nullptr) LogEvent(LogEntry::Level::kInfo, "run finished", EndFields());
  RejectPending(waiting_.TakeAll(), FinishedError());
  sessions_.Broadcast(v1::RUN_EVENT_KIND_FINISHED, engine_.step());
  RetryAllHeld();
  const std::map<std::string, SessionPtr> sessions = sessions_.all();  // Ending one detaches it.
  for (const auto& [worker, session] : sessions) EndIfHalfClosed(session.get());
}

}  // namespace gradd
