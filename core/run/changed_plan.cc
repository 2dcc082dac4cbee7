#include "core/run/changed_plan.h"

#include <new>
#include <utility>

#include "core/base/error.h"
#include "core/run/run_checkpoints.h"
#include "core/run/run_spec.h"
#include "core/step/claimed_plan.h"
#include "core/step/run_memory.h"
#include "core/step/step_policy.h"
#include "core/step/window.h"

namespace gradd {

absl::StatusOr<std::shared_ptr<UpdatePlan>> MakeChangedPlan(
    const std::string& run_id, const v1::Run& before, const v1::Run& updated, const Layout& layout,
    const StoreMemory& memory, const RunEnvironment& environment) {
  GRADD_RETURN_IF_ERROR(ValidateCheckpoints(updated, environment.open_log != nullptr));
  try {
    auto plan = ValidateMutableFields(updated, layout, environment.block_elements,
                                      StepThreads(environment), environment.limits);
    GRADD_RETURN_IF_ERROR(plan.status());
    plan = ClaimPlan(run_id, *std::move(plan), environment.budget.get());
    GRADD_RETURN_IF_ERROR(plan.status());
    const int64_t kept_steps = MakeStepPolicy(updated.policy())->kept_steps();
    const bool adds_window = WindowOf(updated.optimizer()) > 1 && WindowOf(before.optimizer()) == 1;
    const int64_t window_bytes = adds_window ? Window::BytesFor(layout.element_count()) : 0;
    environment.budget->MakeRoom(MemoryUse::kState, StoreBytes(layout, **plan, kept_steps) -
                                                        memory.state_bytes() + window_bytes);
    return plan;
  } catch (const std::bad_alloc&) {
    return StateOutOfMemory(run_id);
  }
}

}  // namespace gradd
