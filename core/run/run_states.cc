// When a run goes on, stands still, and is over.

#include <string>
#include <utility>

#include "core/run/run.h"

namespace gradd {

void Run::EnterState(v1::RunState state, const std::string& author, const std::string& reason) {
  state::v1::StateChange change;
  change.set_state(state);
  change.set_author(author);
  change.set_reason(reason);
  events_.ChangeState(std::move(change));
  NoteMoving();
}

void Run::NoteMoving() {
  const absl::Duration now = Now();
  if (!course_.Note(now)) return;
  if (course_.Moves()) {
    progress_.pace().Interrupt();
    waiting_.SetSince(now);
    signs_.moved_at = now;
  }
  JudgeRoom();
}

void Run::FinishIfDone() {
  const bool is_done = record_.state() == v1::RUN_STATE_FINISHED && !course_.over();
  if (is_done && step_ == nullptr && log_->durable() >= record_.events()) FinishNow();
}

void Run::FinishNow() {
  course_.SetOver(true);
  NoteMoving();
  v1::RunProgress progress;
  FillProgress(&progress);
  reports_.Finished(progress);
  SupersedeOldPushes();
  answers_.RejectPending(waiting_.TakeAll(), FinishedError());
  sessions_.Broadcast(v1::RUN_EVENT_KIND_FINISHED, engine_.step());
  replies_.ReleaseHeldBack();
  leases_.Serve();
  sessions_.RetryAll();
  for (const SessionPtr& session : sessions_.List()) sessions_.EndIfHalfClosed(session.get());
}

}  // namespace gradd
