#ifndef GRADD_CORE_STEP_ENGINE_VECTORS_H_
#define GRADD_CORE_STEP_ENGINE_VECTORS_H_

#include <memory>

#include "core/base/memory_budget.h"
#include "core/optim/update_plan.h"
#include "core/step/run_place.h"
#include "core/store/snapshot.h"

namespace gradd {

// What a StepEngine goes on from, besides what is in its run's state. Nobody changes it.
struct EngineVectors {
  std::shared_ptr<const Snapshot> snapshot;  // With all slots. Its step is that of all of it.
  PlanState plan;
  BlockVector window;                          // Empty where nothing lies in it.
  std::shared_ptr<MemoryBudget::Claim> claim;  // For the plan's and the window's copies.
  std::shared_ptr<RunPlace> place;  // Where the snapshot's blocks lie; null: in another run.
};

}  // namespace gradd

#endif  // GRADD_CORE_STEP_ENGINE_VECTORS_H_
