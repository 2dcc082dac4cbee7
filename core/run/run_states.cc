// When a run goes on, stands still, and is over.

#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/run/run.h"

namespace gradd {

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
  const absl::Duration now = Now();
  if (moved) {
    time_.Stop(now);
  } else {
    time_.GoOn(now);
    progress_.pace().Interrupt();
    first_waiting_at_ = now;
    signs_.moved_at = now;
  }
  JudgeRoom();
}

void Run::PauseBecause(const std::string& reason) {
  if (state_ == v1::RUN_STATE_RUNNING) {
    SetState(v1::RUN_STATE_PAUSED, "", reason);
    sessions_.Broadcast(v1::RUN_EVENT_KIND_PAUSED, engine_.step());
  }
  if (trial_log_ != nullptr) {
    trial_log_->Refuse(Error(absl::StatusCode::kOutOfRange, "NON_FINITE", reason));
  }
}

void Run::FinishIfDone() {
  const bool done = spec_.max_steps() != 0 && engine_.step() >= spec_.max_steps();
  if (state_ != v1::RUN_STATE_FINISHED && done) FinishNow("", "");
}

void Run::FinishNow(const std::string& author, const std::string& reason) {
  SetState(v1::RUN_STATE_FINISHED, author, reason);
  if (trial_log_ == nullptr) LogEvent(LogEntry::Level::kInfo, "run finished", EndFields());
  RejectPending(waiting_.TakeAll(), FinishedError());
  sessions_.Broadcast(v1::RUN_EVENT_KIND_FINISHED, engine_.step());
  RetryAllHeld();
  const std::map<std::string, SessionPtr> sessions = sessions_.all();  // Ending one detaches it.
  for (const auto& [worker, session] : sessions) EndIfHalfClosed(session.get());
}

}  // namespace gradd
