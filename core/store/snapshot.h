#ifndef GRADD_CORE_STORE_SNAPSHOT_H_
#define GRADD_CORE_STORE_SNAPSHOT_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "core/store/block.h"
#include "core/store/payload.h"

namespace gradd {

// A vector of float32 as blocks; all but the last have the same length.
using BlockVector = std::vector<BlockRef>;

// Parameters and slots as they were between two steps. Holding one keeps its blocks
// unchanged: the next step writes elsewhere. Immutable, so safe from any thread.
struct Snapshot {
  int64_t step = 0;
  int64_t element_count = 0;
  int64_t block_elements = 0;
  BlockVector parameters;          // For evaluation and use.
  std::vector<BlockVector> slots;  // In the order of Optimizer::slots().
  int training_slot = -1;          // The slot that workers train at; -1: the parameters.

  // Where the next gradient is to be taken.
  const BlockVector& training_parameters() const {
    return training_slot < 0 ? parameters : slots[static_cast<size_t>(training_slot)];
  }
};

// Bytes of `vector[index]`, borrowed from `snapshot`, which `vector` is part of.
Payload BlockPayload(const std::shared_ptr<const Snapshot>& snapshot, const BlockVector& vector,
                     size_t index);

}  // namespace gradd

#endif  // GRADD_CORE_STORE_SNAPSHOT_H_
