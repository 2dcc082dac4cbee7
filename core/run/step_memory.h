#ifndef GRADD_CORE_RUN_STEP_MEMORY_H_
#define GRADD_CORE_RUN_STEP_MEMORY_H_

#include <map>
#include <memory>
#include <vector>

#include "core/optim/update_plan.h"
#include "core/store/parameter_store.h"
#include "core/store/snapshot.h"
#include "core/store/store_memory.h"
#include "core/store/version_readers.h"
#include "core/sync/staged_push.h"

namespace gradd {

// The blocks of `store` that a step with these pushes updates; empty: all of them.
std::vector<bool> TouchedBlocks(const std::vector<std::shared_ptr<const StagedPush>>& pushes,
                                const UpdatePlan& plan, const ParameterStore& store,
                                int64_t elements);

// What leaves block by block while a step is applied, in each encoding that somebody takes.
using EarlySnapshots = std::map<v1::Encoding, std::shared_ptr<Snapshot>>;

// Makes sure that a step finds the memory for the blocks that it cannot write in place, and for
// `early`. Where the budget has no room, readers of versions lose them, the slowest first; if that
// is not enough, `early` is emptied, and what it was for is sent after the step. Blocks that are on
// their way to such a reader may overdraw the budget, as there are few of them: so no step waits
// for a reader. False if the machine itself has no memory. What is reserved stays so until
// memory->EndReservations(ReservedFor::kStep).
bool ReserveForStep(const std::vector<bool>& touched, const ParameterStore& store,
                    StoreMemory* memory, VersionReaders* readers, EarlySnapshots* early);

}  // namespace gradd

#endif  // GRADD_CORE_RUN_STEP_MEMORY_H_
