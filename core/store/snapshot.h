#ifndef GRADD_CORE_STORE_SNAPSHOT_H_
#define GRADD_CORE_STORE_SNAPSHOT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/store/block.h"
#include "core/store/block_progress.h"
#include "core/store/payload.h"
#include "core/store/slot.h"
#include "core/store/store_memory.h"
#include "core/store/timeline.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// A vector of float32 as blocks; all but the last have the same length.
using BlockVector = std::vector<BlockRef>;

// What a snapshot holds. The less it holds, the less the next step has to write elsewhere.
enum class SnapshotContents {
  kEvaluation,  // The parameters, for evaluation and use.
  kTraining,    // The point where workers take the next gradient, as `parameters`.
  kAverage,     // Their average as `parameters`, where the optimizer keeps one.
  kAll,         // The parameters and all slots.
};

// A slot as a snapshot holds it: empty refs for blocks that it has not.
struct SnapshotSlot {
  std::string name;
  BlockVector blocks;
  // The elements that it has. What lies beside them in its blocks means nothing.
  std::vector<SlotVector::Section> sections;
};

// Vectors of a run as they were between two steps. Holding one keeps its blocks
// unchanged: the next step writes elsewhere. Immutable but for `progress`, so safe from any thread.
struct Snapshot {
  int64_t step = 0;
  std::shared_ptr<const Timeline> timeline;  // That `step` is a step of; null: of no run.
  int64_t element_count = 0;
  int64_t block_elements = 0;
  BlockVector parameters;
  std::shared_ptr<StoreMemory> memory;  // Of the store that its blocks come from.
  // How elements lie in the blocks of `parameters`; dense.
  v1::Encoding encoding = v1::ENCODING_FLOAT32;
  // Not 0 for the blocks that are FLOAT32 all the same, since `encoding` has not their range. Empty
  // where there cannot be any.
  std::vector<char> is_float32;     // Not of bool: threads write neighbours.
  std::vector<SnapshotSlot> slots;  // With kAll.
  // Set while the step that makes these parameters is being applied: a block may be read once it
  // is final. Null: they all are.
  std::shared_ptr<BlockProgress> progress;
};

// Elements of `snapshot.parameters[block]`.
int64_t ElementsOfBlock(const Snapshot& snapshot, size_t block);

// How they lie there.
v1::Encoding EncodingOfBlock(const Snapshot& snapshot, size_t block);

// Bytes of `snapshot->parameters[block]`, borrowed.
Payload BlockPayload(const std::shared_ptr<const Snapshot>& snapshot, size_t block);

}  // namespace gradd

#endif  // GRADD_CORE_STORE_SNAPSHOT_H_
