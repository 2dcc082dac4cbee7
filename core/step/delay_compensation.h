#ifndef GRADD_CORE_STEP_DELAY_COMPENSATION_H_
#define GRADD_CORE_STEP_DELAY_COMPENSATION_H_

#include <memory>

#include "core/base/executor.h"
#include "core/base/memory_budget.h"
#include "core/store/block.h"
#include "core/store/snapshot.h"
#include "core/sync/staged_push.h"

namespace gradd {

// What the gradient of `push`, computed from the parameters `base`, would be at the parameters
// `now`, as Zheng et al. 2017 (arXiv:1609.08326, equation 10) estimate it: each element g becomes
//
//   g + (g * (strength * (now - base))) * g
//
// rounded to float32 after each operation, in an order in which a huge g is no trouble where little
// has changed. It is float32, except that rows which the push has not
// stay missing; and it may not be finite: then largest() is infinite. The snapshots are float32,
// and of the run of the push. Its blocks come from `blocks`, and what they take is claimed of
// `budget` for as long as anybody has it. Null if there is no room for it. Takes long; thread safe.
std::shared_ptr<const StagedPush> CompensateDelay(const StagedPush& push, float strength,
                                                  const Snapshot& base, const Snapshot& now,
                                                  BlockPool* blocks, MemoryBudget* budget,
                                                  Executor* executor);

}  // namespace gradd

#endif  // GRADD_CORE_STEP_DELAY_COMPENSATION_H_
