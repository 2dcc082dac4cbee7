#ifndef GRADD_CORE_STEP_STEP_WORK_H_
#define GRADD_CORE_STEP_STEP_WORK_H_

#include <memory>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "core/diagnostics/progress_tracker.h"
#include "core/optim/update_plan.h"
#include "core/step/measurements.h"
#include "core/step/step_guard.h"
#include "core/step/step_memory.h"
#include "core/step/window.h"
#include "core/sync/staged_push.h"
#include "gradd/state/v1/event.pb.h"

namespace gradd {

// One step on its way through a StepEngine, and what comes out of it.
struct StepWork {
  // What was decided, and the pushes that it names as used, in the same order.
  state::v1::StepDecision decision;
  std::vector<std::shared_ptr<const StagedPush>> pushes;
  // What somebody wants to know of these pushes.
  WantedMeasurements wanted;

  // From StepEngine::Prepare() on.
  std::shared_ptr<UpdatePlan> plan;
  const Window* window = nullptr;  // Where there is one: missing rows are zeros then.
  bool watched = false;            // The result is not known to be finite.
  std::optional<StepUndo> undo;    // Of such a step, where there was memory for it.
  EarlySnapshots next;             // What leaves block by block while the step is applied.
  float largest = 0;               // No element of what is merged has a larger magnitude.

  // From StepEngine::Apply() on.
  StepStatistics statistics;
  // What was wanted; unset if that was nothing, or there was no room to take it down.
  std::optional<Measurements> measured;
  StepGuard guard{0};   // As it is after the step.
  bool finite = true;   // The result is.
  bool undone = false;  // It is not, and everything is as it was before.
};

}  // namespace gradd

#endif  // GRADD_CORE_STEP_STEP_WORK_H_
