#ifndef GRADD_CORE_STEP_STEP_MEMORY_H_
#define GRADD_CORE_STEP_STEP_MEMORY_H_

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

// Reserves memory for the blocks that a step cannot write in place, and for `early`; false if there
// is no room. Then whoever has no lock makes some, as VersionReaders::GiveBack() does: readers of
// versions lose them, the slowest first.
//
// Once nothing more can be given back, `room_is_made`. Then, one after the other:
//   as before;
//   without `early`, which is emptied: what it was for is sent after the step;
//   overdrawing the budget, if only by blocks that are on their way to a reader who has lost his
//   version, of which there are few: so no step waits for a reader.
// False then means that there is no memory for the step. What is reserved stays so until
// memory->EndReservations(ReservedFor::kStep).
bool ReserveForStep(const std::vector<bool>& touched, const ParameterStore& store,
                    StoreMemory* memory, const VersionReaders& readers, bool room_is_made,
                    EarlySnapshots* early);

}  // namespace gradd

#endif  // GRADD_CORE_STEP_STEP_MEMORY_H_
