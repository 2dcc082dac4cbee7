#ifndef GRADD_CORE_STORE_STORE_MEMORY_H_
#define GRADD_CORE_STORE_STORE_MEMORY_H_

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "core/base/memory_budget.h"
#include "core/base/mutex.h"

namespace gradd {

class BlockPool;

// Who may reserve blocks of a pool, because he needs them when they can no longer be refused.
enum class ReservedFor {
  kStep,    // The step that begins, or is on its way.
  kChange,  // Other slots, which come when that step is done.
};
inline constexpr size_t kReservers = 2;

// What the buffers of one parameter store take from the budget. The run has claimed its state:
// parameters and slots. Whatever its pools allocate besides is claimed as versions: blocks that
// readers of older snapshots keep, and free ones that are kept for the next step.
//
// Thread safe. May be called with the mutex of a pool held.
class StoreMemory {
 public:
  // `state` is a granted claim for parameters and slots. Without one, nothing is claimed.
  explicit StoreMemory(std::shared_ptr<MemoryBudget::Claim> state = nullptr,
                       std::shared_ptr<MemoryBudget::Claim> versions = nullptr)
      : state_(std::move(state)), versions_(std::move(versions)) {}
  StoreMemory(const StoreMemory&) = delete;
  StoreMemory& operator=(const StoreMemory&) = delete;

  // Changes the claim for the state; false, with nothing changed, if there is no room.
  bool ResizeState(int64_t bytes);
  int64_t state_bytes() const { return state_ == nullptr ? 0 : state_->bytes(); }

  // Claims so much for blocks to come, instead of what was foreseen before: their memory is in use
  // already, or about to be. False, with nothing changed, if there is no room.
  bool Foresee(int64_t bytes);

  // To be called before buffers are allocated; false if there is no room.
  bool Grow(int64_t bytes);
  // The same for what was foreseen, as far as that goes.
  bool GrowForeseen(int64_t bytes);
  // After they are freed.
  void Shrink(int64_t bytes);

  // While true, Grow() overdraws the budget rather than fail.
  void set_may_overdraw(bool may) { may_overdraw_.store(may); }

  // Ends what BlockPool::Reserve() has kept for `who` in its pools.
  void EndReservations(ReservedFor who);
  // Gives back the memory of all its pools' free blocks that nobody has reserved; how many bytes.
  int64_t FreeUnused();
  // The same for what has been without use since the last call.
  void FreeIdle();

  // The newest step; readers of an earlier one keep memory that the store could do without.
  void set_step(int64_t step) { step_.store(step, std::memory_order_release); }
  int64_t step() const { return step_.load(std::memory_order_acquire); }
  // The store is gone: whoever still reads keeps what nobody else needs.
  void set_ended() { set_step(std::numeric_limits<int64_t>::max()); }

 private:
  friend class BlockPool;
  void AddPool(std::weak_ptr<BlockPool> pool);
  std::vector<std::shared_ptr<BlockPool>> Pools();
  // Makes the versions' claim what the allocated bytes exceed the state, and what is foreseen.
  // Takes these over if there is room.
  bool ClaimVersions(int64_t allocated, int64_t foreseen, bool force)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::shared_ptr<MemoryBudget::Claim> state_;
  const std::shared_ptr<MemoryBudget::Claim> versions_;
  std::atomic<bool> may_overdraw_{false};
  std::atomic<int64_t> step_{0};

  Mutex mutex_;
  int64_t allocated_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t foreseen_ ABSL_GUARDED_BY(mutex_) = 0;
  Mutex pools_mutex_;
  std::vector<std::weak_ptr<BlockPool>> pools_ ABSL_GUARDED_BY(pools_mutex_);
};

}  // namespace gradd

#endif  // GRADD_CORE_STORE_STORE_MEMORY_H_
