#ifndef GRADD_CORE_STEP_CLAIMED_PLAN_H_
#define GRADD_CORE_STEP_CLAIMED_PLAN_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/base/memory_budget.h"
#include "core/optim/update_plan.h"

namespace gradd {

// Allocates `plan`, and claims before it what that takes: what its optimizers keep for whole
// tensors as state, what they work in as scratch. Both stay claimed for as long as anybody has the
// result: a plan that has been replaced, or waits to take another's place, takes its memory too.
// Its slots are the store's and not part of this.
//
// RESOURCE_EXHAUSTED if the budget has no room, or the machine no memory: STATE_TOO_LARGE,
// SCRATCH_TOO_LARGE, OUT_OF_MEMORY. It takes long for large tensors, so no lock should be held.
absl::StatusOr<std::shared_ptr<UpdatePlan>> ClaimPlan(const std::string& run_id,
                                                      std::shared_ptr<UpdatePlan> plan,
                                                      MemoryBudget* budget);

}  // namespace gradd

#endif  // GRADD_CORE_STEP_CLAIMED_PLAN_H_
