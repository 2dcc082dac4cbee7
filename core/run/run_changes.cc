// How a run goes on with another plan, and what waits for the times between steps and changes.

#include <utility>

#include "core/run/run.h"

namespace gradd {

void Run::ChangePlan() {
  // If not, it comes after a later step, or with Tick(). Whoever asked for it is answered then.
  if (!engine_.Change()) reports_.ChangeLacksMemory(engine_.step());
}

void Run::RetryChange() {
  if (!engine_.settled() || !engine_.has_next_plan()) return;
  ChangePlan();
  CompleteUpdate();
  if (engine_.changes()) {
    pool_->Schedule([self = shared_from_this()] { self->FillChanges(); });
  }
}

void Run::FillChanges() {
  for (bool again = true; again;) {
    engine_.Fill();
    MutexLock lock(&mutex_);
    engine_.Adopt();
    ChangePlan();
    // Only what was begun here: once the lock is free, another change may be on its way, which
    // whoever began it fills.
    again = engine_.changes();
    Settle();
  }
  Advance();
  FreeIfDeleted();
}

void Run::Settle() {
  CompleteUpdate();
  BeginTimelines();
  snapshots_.Serve();
  FinishIfDone();
  if (engine_.settled() && held_receiver_) std::exchange(held_receiver_, nullptr)(DescribeHeld());
  BeginCapture();
}

}  // namespace gradd
