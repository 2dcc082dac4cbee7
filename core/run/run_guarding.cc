// What a run does by itself when it diverges.

#include <optional>
#include <string>
#include <utility>

#include "core/run/run.h"
#include "core/run/run_condition.h"
#include "core/run/run_guard.h"

namespace gradd {

void Run::StopFor(const std::string& reason, int64_t bad_since_step) {
  if (record_.state() == v1::RUN_STATE_RUNNING) {
    state::v1::StateChange change;
    change.set_state(v1::RUN_STATE_PAUSED);
    change.set_reason(reason);
    change.set_guarded_since_step(bad_since_step);
    change.set_awaits_rollback(record_.spec().guard().action() ==
                               v1::DivergenceGuard::ACTION_ROLL_BACK);
    events_.ChangeState(std::move(change));
    NoteMoving();
    signs_.guard_note.clear();
    RequestRollback();
    sessions_.Broadcast(v1::RUN_EVENT_KIND_PAUSED, engine_.step());
    reports_.Paused(reason, engine_.step());
  }
  reports_.IsNoGood(reason);
}

void Run::RequestRollback() {
  if (!record_.awaits_rollback()) return;
  signs_.guard_request =
      GuardFacts{record_.state_reason(), *record_.guarded_since(), record_.timeline()->number,
                 record_.guard_rollbacks(), MostRollbacks(record_.spec().guard())};
}

void Run::GuardAgainstDivergence() {
  if (record_.spec().guard().action() == v1::DivergenceGuard::ACTION_UNSPECIFIED) return;
  const std::optional<Divergence> divergence = record_.losses().divergence();
  // Whoever lets it go on knows of the one that it was stopped for.
  if (!divergence.has_value() || divergence->since_step == record_.guarded_since()) return;
  StopFor(divergence->Text(), divergence->since_step);
}

void Run::GuardAgainstRefusals() {
  if (record_.spec().guard().action() == v1::DivergenceGuard::ACTION_UNSPECIFIED) return;
  if (!SpeaksForAll(signs_.non_finite_pushes, record_.policy().needs_others(),
                    record_.members().live_count())) {
    return;
  }
  // What the parameters are now is no good, nor what they were since the loss has left.
  StopFor(signs_.non_finite_reason, record_.losses().HighSince().value_or(engine_.step()));
}

std::optional<GuardFacts> Run::TakeGuardRequest() {
  MutexLock lock(&mutex_);
  return std::exchange(signs_.guard_request, std::nullopt);
}

void Run::StayStopped(const std::string& why) {
  MutexLock lock(&mutex_);
  if (record_.deleted()) return;
  signs_.guard_note = why;
  reports_.GuardGaveUp(why, record_.step());
}

}  // namespace gradd
