#ifndef GRADD_CORE_STEP_RUN_PLACE_H_
#define GRADD_CORE_STEP_RUN_PLACE_H_

#include <atomic>
#include <memory>
#include <utility>

#include "core/step/run_memory.h"
#include "core/store/parameter_store.h"

namespace gradd {

// The memory of a run that is read from a file: claimed before there is the run, so that the file's
// data is read to where the run will have it and need not be there twice. One run takes it; others
// that begin from the same capture claim memory of their own. Thread safe.
class RunPlace {
 public:
  // Blocks of `pools` are claimed from `memory.store`.
  RunPlace(RunMemory memory, StorePools pools)
      : memory_(std::move(memory)), pools_(std::move(pools)) {}

  // True for the first caller, whose it is from then on.
  bool Take() { return !taken_.exchange(true); }
  const RunMemory& memory() const { return memory_; }
  const StorePools& pools() const { return pools_; }

 private:
  const RunMemory memory_;
  const StorePools pools_;
  std::atomic<bool> taken_{false};
};

}  // namespace gradd

#endif  // GRADD_CORE_STEP_RUN_PLACE_H_
