#ifndef GRADD_CORE_RUN_SHARED_PARAMETERS_H_
#define GRADD_CORE_RUN_SHARED_PARAMETERS_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "core/base/executor.h"
#include "core/base/memory_budget.h"
#include "core/base/shared_region.h"
#include "core/run/worker_session.h"
#include "core/step/step_engine.h"
#include "core/store/snapshot.h"
#include "core/store/store_memory.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// The memory that a run shares with workers on the same host: a region for each worker's gradient,
// and one where the parameters lie. Not thread safe.
class SharedParameters {
 public:
  // `memory` is that of the run's parameters.
  SharedParameters(std::shared_ptr<MemoryBudget> budget, std::shared_ptr<StoreMemory> memory,
                   std::shared_ptr<Executor> pool, int64_t elements, int64_t block_elements);

  // Makes room for a session that may be offered memory. Takes long; may be called by anybody at
  // any time.
  static void MakeRoom(int64_t elements, MemoryBudget* budget);
  // Gives the session regions and describes them, where that can be had at once.
  void Offer(WorkerSession* session, v1::Welcome* welcome);
  // The parameters of the steps from now on lie in the region, if anybody has it. `engine` is
  // settled.
  void Begin(StepEngine* engine);
  // Where the snapshot lies in the region; false if a part of it lies elsewhere.
  static bool Describe(const Snapshot& snapshot, v1::SharedParameters* shared);
  // Nobody is offered any from now on. The region goes with the result; the engine has ended.
  std::shared_ptr<const SharedRegion> TakeRegion() { return std::exchange(parameters_, nullptr); }

 private:
  // Makes the region for the parameters if there is none yet; false if it cannot be had.
  bool MakeParameterRegion();

  const std::shared_ptr<MemoryBudget> budget_;
  const std::shared_ptr<StoreMemory> memory_;
  const std::shared_ptr<Executor> pool_;
  const int64_t elements_;
  const int64_t block_elements_;

  std::shared_ptr<SharedRegion> parameters_;  // Null until somebody maps it.
  bool begun_ = false;                        // The engine knows it.
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_SHARED_PARAMETERS_H_
