#ifndef GRADD_CORE_RUN_CHANGED_PLAN_H_
#define GRADD_CORE_RUN_CHANGED_PLAN_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/optim/update_plan.h"
#include "core/run/run_environment.h"
#include "core/store/layout.h"
#include "core/store/store_memory.h"
#include "gradd/v1/run.pb.h"

namespace gradd {

// The plan of the run `run_id`, which is changed from the spec `before` to `updated`, with its
// memory, and with room made for its slots, the earlier steps that its policy needs, and a window
// where it had none. `memory` is that of the run's store. INVALID_ARGUMENT or RESOURCE_EXHAUSTED
// says what is wrong. Takes long.
absl::StatusOr<std::shared_ptr<UpdatePlan>> MakeChangedPlan(
    const std::string& run_id, const v1::Run& before, const v1::Run& updated, const Layout& layout,
    const StoreMemory& memory, const RunEnvironment& environment);

}  // namespace gradd

#endif  // GRADD_CORE_RUN_CHANGED_PLAN_H_
