#ifndef GRADD_CORE_RUN_SNAPSHOT_REQUESTS_H_
#define GRADD_CORE_RUN_SNAPSHOT_REQUESTS_H_

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "core/step/step_engine.h"
#include "core/store/snapshot.h"

namespace gradd {

// Gets a snapshot of a run's present step, with the run's lock held; null if the run is deleted.
using SnapshotReceiver = std::function<void(std::shared_ptr<const Snapshot>)>;

// Who wants a snapshot of a run, which there is only between two steps and changes. Not thread
// safe.
class SnapshotRequests {
 public:
  // `engine` outlives this.
  explicit SnapshotRequests(StepEngine* engine) : engine_(*engine) {}

  // Calls `receive` within this call, or within Serve() or Cancel().
  void Add(SnapshotContents contents, SnapshotReceiver receive);
  // To be called when the engine may be settled again.
  void Serve();
  // The run is deleted.
  void Cancel();

 private:
  StepEngine& engine_;
  std::vector<std::pair<SnapshotContents, SnapshotReceiver>> waiting_;
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_SNAPSHOT_REQUESTS_H_
