// What a run does by itself when it diverges.

#include <optional>
#include <string>
#include <utility>

#include "core/run/run.h"
#include "core/run/run_guard.h"

namespace gradd {

void Run::StopFor(const std::string& reason, int64_t bad_since_step) {
  const bool was_running = record_.state() == v1::RUN_STATE_RUNNING;
  PauseBecause(reason);
  const v1::DivergenceGuard& guard = record_.spec().guard();
  signs_.guarded_since = bad_since_step;
  signs_.guard_note.clear();
  if (!was_running || guard.action() != v1::DivergenceGuard::ACTION_ROLL_BACK) return;
  signs_.guard_request =
      GuardFacts{reason, bad_since_step, record_.guard_rollbacks(), MostRollbacks(guard)};
}

void Run::GuardAgainstDivergence() {
  if (record_.spec().guard().action() == v1::DivergenceGuard::ACTION_UNSPECIFIED) return;
  const std::optional<Divergence> divergence = record_.losses().divergence();
  // Whoever lets it go on knows of the one that it was stopped for.
  if (!divergence.has_value() || divergence->since_step == signs_.guarded_since) return;
  StopFor(divergence->Text(), divergence->since_step);
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
