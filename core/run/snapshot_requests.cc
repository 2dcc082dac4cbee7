#include "core/run/snapshot_requests.h"

namespace gradd {

void SnapshotRequests::Add(SnapshotContents contents, SnapshotReceiver receive) {
  if (engine_.settled()) {
    receive(engine_.TakeSnapshot(contents));
  } else {
    waiting_.emplace_back(contents, std::move(receive));
  }
}

void SnapshotRequests::Serve() {
  if (!engine_.settled()) return;
  for (const auto& [contents, receive] : std::exchange(waiting_, {})) {
    receive(engine_.TakeSnapshot(contents));
  }
}

void SnapshotRequests::Cancel() {
  for (const auto& [contents, receive] : std::exchange(waiting_, {})) receive(nullptr);
}

}  // namespace gradd
