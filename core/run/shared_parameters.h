#ifndef GRADD_CORE_RUN_SHARED_PARAMETERS_H_
#define GRADD_CORE_RUN_SHARED_PARAMETERS_H_

#include <cstdint>
#include <memory>

#include "core/base/executor.h"
#include "core/base/memory_budget.h"
#include "core/base/shared_region.h"
#include "core/run/worker_session.h"
#include "core/step/step_engine.h"
#include "core/store/snapshot.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// The memory that a run shares with workers on the same host: a region for each worker's gradient,
// and one where the parameters lie. Not thread safe.
class SharedParameters {
 public:
  SharedParameters(std::shared_ptr<MemoryBudget> budget, std::shared_ptr<Executor> pool,
                   int64_t elements, int64_t block_elements);

  // Gives the session regions and describes them, where that can be had.
  void Offer(WorkerSession* session, v1::Welcome* welcome);
  // The parameters of the steps from now on lie in the region, if anybody has it. `engine` is
  // settled.
  void Begin(StepEngine* engine);
  // Where the snapshot lies in the region; false if a part of it lies elsewhere.
  static bool Describe(const Snapshot& snapshot, v1::SharedParameters* shared);

 private:
  // Makes the region for the parameters if there is none yet; false if it cannot be had.
  bool MakeParameterRegion();

  const std::shared_ptr<MemoryBudget> budget_;
  const std::shared_ptr<Executor> pool_;
  const int64_t elements_;
  const int64_t block_elements_;

  std::shared_ptr<SharedRegion> parameters_;  // Null until somebody maps it.
  bool begun_ = false;                        // The engine knows it.
  // Of the region, until the engine's store claims what it takes of it.
  std::shared_ptr<MemoryBudget::Claim> first_versions_;
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_SHARED_PARAMETERS_H_
