// How a run changes what it goes on from: by events, each in the log before anybody is told.

#include <string>
#include <utility>

#include "core/base/duration.h"
#include "core/run/run.h"

namespace gradd {

void Run::Enter(state::v1::Event* event, EventLog::Pushes pushes) {
  event->set_number(record_.events() + 1);
  *event->mutable_time() = ToProto(environment_.clock->WallTime());
  events_->Append(*event, pushes);
  record_.Apply(*event);
}

void Run::EnterCreated(v1::Run spec) {
  *spec.mutable_layout() = layout_.message();
  state::v1::Event event;
  *event.mutable_created()->mutable_spec() = std::move(spec);
  MutexLock lock(&mutex_);
  Enter(&event);
}

void Run::EnterStep(StepOnItsWay* step) {
  state::v1::StepDecision& decision = step->work.decision;
  LogMissing(decision);
  state::v1::Event event;
  event.mutable_step()->Swap(&decision);  // It may name many.
  Enter(&event, step->work.pushes);
  event.mutable_step()->Swap(&decision);
  step->entered = true;
  for (const std::string& worker : decision.missing()) {
    const Member* const member = record_.members().Find(worker);
    if (member->live() && member->missed == record_.policy().forgives()) {
      LogForgiveness(worker, false);
    }
  }
}

void Run::EnterFold(const state::v1::FoldedPush& fold, const PendingPush& push) {
  state::v1::Event event;
  *event.mutable_fold() = fold;
  Enter(&event, {&push.push, 1});
}

void Run::EnterAnswer(const std::string& worker, int64_t sequence, int64_t base_step,
                      Outcome outcome) {
  state::v1::Event event;
  state::v1::AnsweredPush& answer = *event.mutable_answer();
  answer.set_worker(worker);
  answer.set_sequence(sequence);
  answer.set_base_step(base_step);
  answer.set_outcome(outcome);
  answer.set_step(engine_.step());
  Enter(&event);
  Member* const member = record_.members().Find(worker);
  if (member->ledger.sequence == sequence) member->told = member->ledger;
}

void Run::EnterMember(state::v1::MemberChange change) {
  state::v1::Event event;
  *event.mutable_member() = std::move(change);
  Enter(&event);
}

void Run::EnterChange(const UpdateQueue::Accepted& update) {
  state::v1::Event event;
  state::v1::SpecChange& change = *event.mutable_change();
  *change.mutable_spec() = update.updated;
  if (update.begins_anew && update.updated.schedule().begins_at() != engine_.step()) {
    change.mutable_spec()->mutable_schedule()->set_begins_at(engine_.step());
  }
  *change.mutable_mask() = update.request.mask;
  change.set_author(update.request.author);
  Enter(&event);
  // There was room for the larger one of the two policies.
  AssureStep(record_.policy(), record_.members().live_count()).IgnoreError();
  SupersedeOldPushes();
  if (record_.state() == v1::RUN_STATE_RUNNING && std::exchange(over_, false)) {
    NoteMoving();
    sessions_.Broadcast(v1::RUN_EVENT_KIND_RESUMED, engine_.step());
  }
}

void Run::EnterState(v1::RunState state, const std::string& author, const std::string& reason) {
  state::v1::Event event;
  event.mutable_state()->set_state(state);
  event.mutable_state()->set_author(author);
  event.mutable_state()->set_reason(reason);
  Enter(&event);
  over_ = state == v1::RUN_STATE_FINISHED;
  NoteMoving();
}

}  // namespace gradd
