#ifndef GRADD_CORE_STORE_BLOCK_H_
#define GRADD_CORE_STORE_BLOCK_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "core/base/mutex.h"
#include "core/base/shared_region.h"
#include "core/store/store_memory.h"

namespace gradd {

class BlockPool;

// Elements of a full block: 1 MiB of float32. The unit of transport, of parallel work and
// of copy-on-write.
inline constexpr int64_t kBlockElements = int64_t{256} * 1024;

// The length of a block for `elements` >= 1 that are staged: one of few, so that a pool's blocks
// serve pushes of any length.
inline int64_t StagingElements(int64_t elements) {
  int64_t rounded = 16;
  while (rounded < elements) rounded *= 2;
  return rounded;
}

// A counted reference to a block: a 64-byte-aligned buffer of float32 from a BlockPool.
// Copies refer to the same block; with the last one the buffer goes back to its pool.
//
// Thread safety: different BlockRefs to one block may be copied and destroyed in any
// thread. Who writes through data() must hold the only reference, see unique().
class BlockRef {
 public:
  BlockRef() = default;
  BlockRef(const BlockRef& other) : header_(other.header_) { Acquire(); }
  BlockRef(BlockRef&& other) noexcept : header_(std::exchange(other.header_, nullptr)) {}
  BlockRef& operator=(BlockRef other) noexcept {
    std::swap(header_, other.header_);
    return *this;
  }
  ~BlockRef() { Release(); }

  explicit operator bool() const { return header_ != nullptr; }
  float* data() const { return header_->data; }
  int64_t elements() const { return header_->elements; }

  // First byte of the block in its pool's shared region; -1 if it is not there.
  int64_t region_offset() const { return header_->region_offset; }

  // Whether this is the only reference. True stays true for as long as the caller makes no
  // copy; everything that former holders did with the block happened before.
  bool unique() const { return header_->references.load(std::memory_order_acquire) == 1; }

 private:
  friend class BlockPool;
  struct Header {
    std::atomic<int64_t> references{1};
    int64_t elements = 0;
    float* data = nullptr;
    int64_t region_offset = -1;
    void* buffer = nullptr;           // BlockPool::Buffer; null in a region.
    std::shared_ptr<BlockPool> pool;  // Set while references > 0.
    Header* next_unused = nullptr;    // See BlockPool::Unused.
  };

  explicit BlockRef(Header* header) : header_(header) {}
  void Acquire() {
    if (header_ != nullptr) header_->references.fetch_add(1, std::memory_order_relaxed);
  }
  void Release();

  Header* header_ = nullptr;
};

// Keeps the memory of blocks that nobody refers to, so that a run in steady state
// allocates nothing; what stays without use goes back to the system. Full blocks are allocated
// in pairs, on one huge page, and go back one by one. Blocks may outlive everything else that knows
// the pool.
// Thread safe.
class BlockPool : public std::enable_shared_from_this<BlockPool> {
 public:
  // Claims what it allocates from `memory`, unless that is null. Takes its blocks from `region`,
  // each at the start of a page, for as long as there is room in it; from the heap after that, or
  // if there is no region.
  static std::shared_ptr<BlockPool> Create(std::shared_ptr<StoreMemory> memory = nullptr,
                                           std::shared_ptr<SharedRegion> region = nullptr);
  // Blocks for pushes, which claim what they take: the pool claims only what it keeps, as `kept`,
  // and keeps nothing that it cannot claim. `memory` knows it among its pools.
  static std::shared_ptr<BlockPool> CreateForPushes(const std::shared_ptr<StoreMemory>& memory,
                                                    std::shared_ptr<MemoryBudget::Claim> kept);
  ~BlockPool();
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  // A block of `elements` >= 1 floats with unspecified contents, which nobody has reserved. Throws
  // std::bad_alloc, with nothing changed, if there is no memory, or no room in the budget.
  BlockRef Allocate(int64_t elements);
  // One of those that are reserved for `who`, of which there is one less then; where none is left,
  // as Allocate(elements).
  BlockRef Allocate(int64_t elements, ReservedFor who);

  // From now on `count` blocks of that length are free and reserved for `who`: his next `count`
  // calls of Allocate() succeed, whatever others do. What he had reserved of that length before is
  // part of them, or is no longer reserved if it was more. Throws std::bad_alloc, with nothing
  // reserved in addition, if there is no memory, or no room in the budget. Blocks that were made on
  // the way to that go back, but for those in a region: they stay, free and claimed, since a region
  // that its readers may not write to gives no pages back.
  // Returns the bytes of the blocks that had to be made.
  int64_t Reserve(ReservedFor who, int64_t elements, int64_t count);
  // What he has reserved and not taken.
  int64_t reserved(ReservedFor who, int64_t elements);
  // Nothing is reserved for him any more.
  void EndReservation(ReservedFor who);

  // Gives back the memory of all free blocks that are not reserved, but of those in a region; how
  // many bytes.
  int64_t FreeUnused() { return FreeUnused(std::numeric_limits<int64_t>::max()); }
  // The same for at most so many bytes, the newest ones first.
  int64_t FreeUnused(int64_t most_bytes);
  // The same for as much as nobody needed since the last call.
  void FreeIdle();

  // Whether `block` is of this pool and where its blocks should be.
  bool Owns(const BlockRef& block) const {
    return block.header_->pool.get() == this && (region_ == nullptr || block.region_offset() >= 0);
  }

  // Bytes of all blocks, in use and kept.
  int64_t allocated_bytes() const { return allocated_bytes_.load(std::memory_order_relaxed); }
  // Buffers that had to be made so far.
  int64_t allocations() const { return allocations_.load(std::memory_order_relaxed); }

 private:
  friend class BlockRef;
  BlockPool(std::shared_ptr<StoreMemory> memory, std::shared_ptr<MemoryBudget::Claim> kept,
            std::shared_ptr<SharedRegion> region)
      : memory_(std::move(memory)), kept_(std::move(kept)), region_(std::move(region)) {}
  // Memory of a few blocks of the same length. Owns it, and their headers.
  struct Buffer {
    ~Buffer();

    void* data = nullptr;
    bool huge = false;  // Of MapHugePage(), else of the heap, with one block.
    std::vector<BlockRef::Header> blocks;
    // How many of them are in free_ and in absent_. Guarded by the pool's mutex.
    size_t free_blocks = 0;
    size_t absent_blocks = 0;
    bool is_taken = false;  // Out of the pool: see TakeUnused().
    std::unique_ptr<Buffer> next_unused;
  };
  // What has been taken out of the pool to go back to the system. Lists that need no memory: where
  // none is left is where they are wanted most.
  struct Unused {
    std::unique_ptr<Buffer> buffers;
    BlockRef::Header* blocks = nullptr;  // Beside others that are in use.
    int64_t bytes = 0;
  };
  // How many blocks of one length are reserved for each.
  struct Reserved {
    int64_t& of(ReservedFor who) { return blocks[static_cast<size_t>(who)]; }
    int64_t all() const { return blocks[0] + blocks[1]; }

    int64_t elements = 0;
    std::array<int64_t, kReservers> blocks = {};
    int64_t spare = 0;  // For TakeUnused(): how many of that length may go.
  };
  // Null if nothing of that length has ever been reserved.
  Reserved* FindReserved(int64_t elements) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  int64_t FreeBlocks(int64_t elements) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // A block that is free or can be made; `reserved`: or that belongs to the caller.
  BlockRef Take(int64_t elements, bool reserved) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  BlockRef::Header* TakeFree(int64_t elements) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Takes out free blocks of at most so many bytes, and none that are reserved. Allocates nothing.
  Unused TakeUnused(int64_t most_bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Gives their memory back, and says how many bytes that were. Without the lock: it takes time.
  int64_t Free(Unused unused);
  // Makes one or more blocks free that had no memory. Throws std::bad_alloc if there is none.
  void MakeFree(int64_t elements) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // False if there is no such block.
  bool MakePresent(int64_t elements) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AddFreeBytes(int64_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AllocateBuffer(int64_t elements) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // False if there is no region, or no room in it.
  bool AllocateInRegion(int64_t elements) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Return(BlockRef::Header* header);

  const std::shared_ptr<StoreMemory> memory_;        // Claims all; null: nobody does.
  const std::shared_ptr<MemoryBudget::Claim> kept_;  // Claims free_bytes_; null: nobody does.
  const std::shared_ptr<SharedRegion> region_;
  std::atomic<int64_t> allocated_bytes_{0};
  std::atomic<int64_t> allocations_{0};
  Mutex mutex_;
  // Of few sizes: full blocks and shorter ones. Both have room for all blocks_.
  std::vector<BlockRef::Header*> free_ ABSL_GUARDED_BY(mutex_);
  std::vector<BlockRef::Header*> absent_ ABSL_GUARDED_BY(mutex_);  // Their memory was given back.
  size_t blocks_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<Reserved> reserved_ ABSL_GUARDED_BY(mutex_);  // One for each length.
  std::vector<std::unique_ptr<Buffer>> buffers_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<BlockRef::Header>> region_blocks_ ABSL_GUARDED_BY(mutex_);
  int64_t region_used_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t free_bytes_ ABSL_GUARDED_BY(mutex_) = 0;        // Of free blocks, but a region's.
  int64_t least_free_bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // Since the last FreeIdle().
};

}  // namespace gradd

#endif  // GRADD_CORE_STORE_BLOCK_H_
