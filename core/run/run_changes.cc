// How a run goes on with another plan, and what waits for the times between steps and changes.

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/run/run.h"

namespace gradd {

void Run::ChangePlan() {
  if (engine_.Change() || environment_.log == nullptr) return;
  // It comes after a later step, or with Tick(). Whoever asked for it is answered then.
  environment_.log->AddLimited(absl::StrCat("change waits for memory ", run_id_), Now(),
                               {LogEntry::Level::kWarning,
                                "change waits for memory",
                                {{"run", run_id_}, {"step", absl::StrCat(engine_.step())}}});
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
    CompleteUpdate();
    BeginTimelines();
    SendSnapshots();
    TellHolder();
    BeginCapture();
  }
  Advance();
  FreeIfDeleted();
}

void Run::SendSnapshots() {
  if (!engine_.settled()) return;
  std::vector<std::pair<SnapshotContents, SnapshotReceiver>> requests;
  requests.swap(snapshot_requests_);
  for (auto& [contents, receive] : requests) receive(engine_.TakeSnapshot(contents));
}

void Run::TellHolder() {
  if (!engine_.settled() || !held_receiver_) return;
  std::exchange(held_receiver_, nullptr)(DescribeHeld());
}

}  // namespace gradd
