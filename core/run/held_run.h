#ifndef GRADD_CORE_RUN_HELD_RUN_H_
#define GRADD_CORE_RUN_HELD_RUN_H_

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "core/optim/update_plan.h"
#include "core/store/snapshot.h"
#include "gradd/v1/run.pb.h"

namespace gradd {

// What copies of a run begin with, while it is held.
struct HeldRun {
  v1::Run spec;
  int connected_workers = 0;
  std::shared_ptr<const Snapshot> snapshot;  // With all slots.
  std::shared_ptr<const UpdatePlan> plan;    // As it is until Run::Release().
};
using HeldRunReceiver = std::function<void(absl::StatusOr<HeldRun>)>;

}  // namespace gradd

#endif  // GRADD_CORE_RUN_HELD_RUN_H_
