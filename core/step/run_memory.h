#ifndef GRADD_CORE_STEP_RUN_MEMORY_H_
#define GRADD_CORE_STEP_RUN_MEMORY_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/memory_budget.h"
#include "core/optim/update_plan.h"
#include "core/step/step_policy.h"
#include "core/store/layout.h"
#include "core/store/store_memory.h"

namespace gradd {

// Bytes of the parameters, of all slots, and of what is kept of `kept_steps` earlier steps: what
// lies in the run's store.
int64_t StoreBytes(const Layout& layout, const UpdatePlan& plan, int64_t kept_steps);

// What a run has claimed for as long as it lives, beside its plan (see ClaimPlan()) and its window.
struct RunMemory {
  std::shared_ptr<StoreMemory> store;                  // For parameters and slots.
  std::shared_ptr<MemoryBudget::Assurance> step_room;  // That a step's pushes find room.
};

// Claims what a run needs of `budget` beside these; RESOURCE_EXHAUSTED with the numbers if so much
// is not left.
absl::StatusOr<RunMemory> ClaimRunMemory(const std::string& run_id, const StepPolicy& policy,
                                         const Layout& layout, const UpdatePlan& plan,
                                         MemoryBudget* budget);

// Claims what the layout's initial values are made in, until they are; RESOURCE_EXHAUSTED with the
// numbers if so much is not left.
absl::StatusOr<std::shared_ptr<MemoryBudget::Claim>> ClaimInitialScratch(const std::string& run_id,
                                                                         const Layout& layout,
                                                                         MemoryBudget* budget);

// RESOURCE_EXHAUSTED: optimizers need `bytes` more to work in than are left.
absl::Status ScratchTooLarge(const std::string& run_id, int64_t bytes, const MemoryBudget& budget);

// RESOURCE_EXHAUSTED: the run needs `bytes` more than are left.
absl::Status StateTooLarge(const std::string& run_id, int64_t bytes, const MemoryBudget& budget);

// The same where it is the run's store that needs them, with what is kept of `kept_steps` earlier
// steps: names that field, and how many fit, if it would do to keep fewer.
absl::Status StoreTooLarge(const std::string& run_id, int64_t bytes, int64_t kept_steps,
                           const Layout& layout, const MemoryBudget& budget);

// RESOURCE_EXHAUSTED: the budget has room, and the machine has not.
absl::Status StateOutOfMemory(const std::string& run_id);

// Makes sure that pushes of `elements` elements can be staged at any time, and for a synchronous
// run all of a step at once; else RESOURCE_EXHAUSTED with the numbers.
absl::Status AssureStaging(const StepPolicy& policy, int64_t elements, int64_t live_workers,
                           const MemoryBudget& budget, MemoryBudget::Assurance* step_room);

}  // namespace gradd

#endif  // GRADD_CORE_STEP_RUN_MEMORY_H_
