#ifndef GRADD_CORE_STORE_PARAMETER_STORE_H_
#define GRADD_CORE_STORE_PARAMETER_STORE_H_

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/executor.h"
#include "core/store/block.h"
#include "core/store/block_reader.h"
#include "core/store/encoded_block.h"
#include "core/store/initial_values.h"
#include "core/store/layout.h"
#include "core/store/slot.h"
#include "core/store/snapshot.h"
#include "core/store/store_memory.h"

namespace gradd {

// Where the blocks of one store come from.
struct StorePools {
  // Null: nothing is claimed.
  static StorePools Create(std::shared_ptr<StoreMemory> memory);

  std::shared_ptr<StoreMemory> memory;
  std::shared_ptr<BlockPool> state;     // Parameters and slots,
  std::shared_ptr<BlockPool> training;  // but for the vector that workers train at.
};

// The parameters of one run and the slots of its optimizers, in copy-on-write blocks.
//
// Thread safety: exclusive, except that UpdateBlock() and UpdateBlockInPlace() may run in many
// threads for different blocks. Snapshots, once taken, are independent of the store.
class ParameterStore {
 public:
  // Sets the parameters to the layout's initial values, which depend on `seed`, tensor name
  // and element index alone. `block_elements` is a multiple of kTileElements. Throws
  // std::bad_alloc if there is no memory, or `memory` has no room; null: nothing is claimed. What
  // the values are made in, see InitialScratchSize(), is not claimed here.
  ParameterStore(const Layout& layout, uint64_t seed, SlotVectors slots, Executor* pool,
                 int64_t block_elements = kBlockElements,
                 std::shared_ptr<StoreMemory> memory = nullptr);

  // The same with any initial values: what is wrong with them is returned.
  static absl::StatusOr<ParameterStore> Create(int64_t element_count, const InitialValues& values,
                                               SlotVectors slots, Executor* pool,
                                               int64_t block_elements,
                                               std::shared_ptr<StoreMemory> memory);

  // Begins at step 0 with the parameters of a snapshot of a run of the same layout and length of
  // blocks, and with fresh slots. Blocks are shared as with Restore(). Throws std::bad_alloc if
  // there is no memory.
  ParameterStore(const Snapshot& origin, SlotVectors slots, Executor* pool,
                 std::shared_ptr<StoreMemory> memory = nullptr);

  // Has no blocks yet: Restore() gives it some, before anything else is asked of it. Where they are
  // of `pools`, the next steps write into them.
  ParameterStore(int64_t element_count, int64_t block_elements, SlotVectors slots,
                 StorePools pools);

  // Other slots, on their way: blocks of a slot that is there under the same name stay as they are,
  // others are fresh and start as their spec says. Nobody sees them before Adopt().
  class SlotChange {
   public:
    // Whether fresh blocks have to be filled in.
    bool has_fresh() const { return !fresh_.empty(); }
    const SlotVectors& slots() const { return slots_; }

   private:
    friend class ParameterStore;
    struct Fresh {
      size_t slot;
      int64_t block;
      BlockRef old;  // Empty where there was none.
    };
    SlotVectors slots_;
    std::vector<BlockVector> vectors_;
    std::vector<Fresh> fresh_;
  };
  // Takes the memory for fresh blocks: what ReserveForSlots() has reserved, and then what there is.
  // Throws std::bad_alloc, with nothing changed, if there is none.
  SlotChange BeginChange(SlotVectors slots) const;
  // Fills them in: the long part. No step may be applied meanwhile; snapshots may be taken.
  void FillChange(const SlotChange& change, Executor* pool) const;
  void Adopt(SlotChange change);
  // All three, between two steps. Throws std::bad_alloc, with nothing changed, if there is no
  // memory.
  void ChangeSlots(SlotVectors slots, Executor* pool);
  // Reserves the blocks for BeginChange(slots) when the store's slots are `present`, instead of
  // what was reserved for another change before. May be called at any time. Throws std::bad_alloc,
  // with nothing changed, if the memory cannot be had. See ReservedFor::kChange.
  void ReserveForSlots(const SlotVectors& slots, const SlotVectors& present) const;
  const SlotVectors& slots() const { return layout_; }

  int64_t step() const { return step_; }
  int64_t block_count() const { return static_cast<int64_t>(parameters_.size()); }
  int64_t block_elements() const { return block_elements_; }
  int64_t block_begin(int64_t block) const { return block * block_elements_; }

  bool has_average() const { return layout_.average_slot >= 0; }

  // References to every block, in time proportional to the number of blocks.
  std::shared_ptr<const Snapshot> TakeSnapshot(SnapshotContents contents) const;

  // What the snapshots from now on say that they are of.
  void SetTimeline(std::shared_ptr<const Timeline> timeline) { timeline_ = std::move(timeline); }

  // The largest magnitude of any parameter, and of any slot; not finite if one is not.
  float LargestParameter(Executor* pool) const;
  float LargestSlot(Executor* pool) const;

  // Puts back parameters, slots and step of a snapshot with kAll, of this store or of one with the
  // same layout, slots and length of blocks. Its blocks are shared: they stay as they are, and
  // later steps write elsewhere. INVALID_ARGUMENT, with nothing changed, names what differs. Throws
  // std::bad_alloc, with nothing changed, if there is no memory.
  absl::Status Restore(const Snapshot& snapshot);

  // From the next step on, the vector that workers train at lies in `region`, block by block as
  // they are updated; where it has no room, on the heap as before.
  void ShareTrainingVector(std::shared_ptr<SharedRegion> region);

  struct BlockUpdate;
  // A snapshot for training of the step that is applied next, in a dense encoding, whose blocks
  // Publish() fills in as they become final.
  std::shared_ptr<Snapshot> NextSnapshot(v1::Encoding encoding) const;
  void Publish(int64_t block, Snapshot* next) const;
  // The same in two parts, for a block that is updated in between: EncodedBlocks::UpTo() says how
  // far. `nexts` is all that is published, by encoding.
  using Nexts = std::map<v1::Encoding, std::shared_ptr<Snapshot>>;
  EncodedBlocks BeginPublishing(const BlockUpdate& update, const Nexts& nexts) const;
  void Publish(int64_t block, const Nexts& nexts, EncodedBlocks* encoded) const;

  // Whether an update of the block writes elsewhere, as a snapshot holds it.
  bool WritesElsewhere(int64_t block) const;
  // Reserves the blocks that the updates of the next step and Publish() into `nexts` need, see
  // ReservedFor::kStep. `touched` has the blocks that will be updated; empty: all. Throws
  // std::bad_alloc, with nothing changed, if the memory cannot be had; the updates would then throw
  // it.
  void ReserveForStep(const std::vector<const Snapshot*>& nexts,
                      const std::vector<bool>& touched = {}) const;
  // Whether another version of what workers train at has room between two steps, so that one may be
  // held for long. It gets its memory in a shared region, where that then stays.
  bool HasRoomForVersion() const;

  // Ends the store's life: its blocks go with the result and the snapshots that have them, and its
  // pools with the last of these. To let go of the result takes long. Nothing but memory_bytes(),
  // which is 0, and block_allocations() may be called after it.
  struct Remains {
    std::vector<BlockVector> blocks;
    std::vector<std::shared_ptr<BlockPool>> pools;
  };
  Remains TakeAll();

  // Where one block is read and written during a step. In and out are the same memory where
  // no snapshot holds the block. Pointers are null for slots that the block has not.
  struct BlockUpdate {
    int64_t begin = 0;  // Index of the first element in the flat vector.
    int64_t size = 0;
    const float* parameters_in = nullptr;
    float* parameters_out = nullptr;
    std::vector<const float*> slots_in;
    std::vector<float*> slots_out;
  };

  // Where one block is read; the outs are null.
  BlockUpdate ReadBlock(int64_t block) const;

  // Reads the parameters from element `begin` on.
  class Reader final : public BlockReader {
   public:
    Reader(const ParameterStore& store, int64_t begin)
        : BlockReader(store.parameters_, store.block_elements_, begin) {}
  };

  // Calls `update` with the memory of one block; what it wrote is the block's new content.
  template <typename Update>
  void UpdateBlock(int64_t block, const Update& update) {
    Replacement replacement;
    update(Open(block, &replacement));
    Close(block, std::move(replacement));
  }

  // The same for an update in place: what `update` does not write stays as it is.
  template <typename Update>
  void UpdateBlockInPlace(int64_t block, const Update& update) {
    Replacement replacement;
    BlockUpdate memory = Open(block, &replacement);
    Keep(&memory);
    update(memory);
    Close(block, std::move(replacement));
  }

  // Ends a step: all blocks are updated.
  void CommitStep() { memory_->set_step(++step_); }

  // Bytes of all buffers, those that snapshots hold and free ones included.
  int64_t memory_bytes() const {
    return pool_->allocated_bytes() + training_pool_->allocated_bytes() +
           encoded_pool_->allocated_bytes();
  }
  int64_t block_allocations() const {
    return pool_->allocations() + training_pool_->allocations() + encoded_pool_->allocations();
  }

 private:
  // Fresh blocks for those that a snapshot holds; empty refs for the others.
  struct Replacement {
    BlockRef parameters;
    std::vector<BlockRef> slots;
  };
  BlockUpdate Open(int64_t block, Replacement* replacement);
  // Publishes it as `encoded`, or as float32 if that is empty.
  void PublishAs(int64_t block, BlockRef encoded, Snapshot* next) const;
  // Copies what is where the update reads to where it writes, and lets it read there.
  static void Keep(BlockUpdate* update);
  void Close(int64_t block, Replacement replacement);
  BlockVector NewVector(BlockPool* pool) const;
  // Makes the parameters and slots of a store that has none yet.
  absl::Status Begin(const InitialValues& values, SlotVectors slots, Executor* pool);
  // That `found` has the blocks of all elements; or, of a slot, those that it meets.
  absl::Status CheckBlocks(absl::string_view name, const BlockVector& found,
                           const SlotVector* slot) const;
  // How many blocks, by pool and length.
  using BlockCounts = std::map<std::pair<BlockPool*, int64_t>, int64_t>;
  // Reserves just these, all or none, without any of the memory then.
  static void ReserveAll(ReservedFor who, const BlockCounts& blocks);
  // Sets a slot's block to what it starts with: all of it, or only the sections that restart.
  void StartBlock(const SlotVector& slot, int64_t block, bool restart, float* values) const;
  std::shared_ptr<Snapshot> NewSnapshot(int64_t step) const;
  // Whether an update must write elsewhere: a snapshot holds the block, or it lies in the wrong
  // pool.
  static bool MustReplace(const BlockRef& block, const BlockPool& pool) {
    return !block.unique() || !pool.Owns(block);
  }
  const BlockVector& training_vector() const {
    return layout_.training_slot < 0 ? parameters_
                                     : slots_[static_cast<size_t>(layout_.training_slot)];
  }
  // Where blocks of a slot come from; -1: of the parameters.
  BlockPool* PoolOf(int slot) const {
    return (slot == layout_.training_slot ? training_pool_ : pool_).get();
  }

  const int64_t element_count_;
  const int64_t block_elements_;
  const std::shared_ptr<StoreMemory> memory_;
  std::shared_ptr<BlockPool> pool_;
  std::shared_ptr<BlockPool> training_pool_;  // Of the vector that workers train at.
  std::shared_ptr<BlockPool> encoded_pool_;
  SlotVectors layout_;
  int64_t step_ = 0;
  std::shared_ptr<const Timeline> timeline_;
  BlockVector parameters_;
  std::vector<BlockVector> slots_;  // As layout_.slots; empty refs for blocks that they have not.
};

}  // namespace gradd

#endif  // GRADD_CORE_STORE_PARAMETER_STORE_H_
