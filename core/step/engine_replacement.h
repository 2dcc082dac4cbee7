#ifndef GRADD_CORE_STEP_ENGINE_REPLACEMENT_H_
#define GRADD_CORE_STEP_ENGINE_REPLACEMENT_H_

#include <cstdint>
#include <memory>

#include "core/optim/update_plan.h"
#include "core/step/step_guard.h"
#include "core/step/window.h"
#include "core/store/snapshot.h"

namespace gradd {

// All that a StepEngine can go on with in place of what it has; see StepEngine::MakeReplacement().
struct EngineReplacement {
  std::shared_ptr<UpdatePlan> plan;          // As it is there.
  std::shared_ptr<const Snapshot> snapshot;  // With all slots of that plan.
  StepGuard guard;                           // Has measured it.
  std::unique_ptr<Window> window;            // Null: none is there.
  bool keeps_window = false;                 // After the step that it is part of.
  int64_t kept_steps = 0;                    // See StepEngine::BaseOf().
};

}  // namespace gradd

#endif  // GRADD_CORE_STEP_ENGINE_REPLACEMENT_H_
