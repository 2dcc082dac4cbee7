// How a run goes on with another plan, and what waits for the times between steps and changes.

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/run/run.h"

namespace gradd {

void Run::ChangePlan() {
  if (engine_.Change()) return;
  // It comes after a later step, or with a tick; whoever asked for it waits.
  if (environment_.log == nullptr) return;
  environment_.log->AddLimited(absl::StrCat("change waits ", run_id_), Now(),
                               {LogEntry::Level::kWarning,
                                "change waits for memory",
                                {{"run", run_id_}, {"step", absl::StrCat(engine_.step())}}});
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
