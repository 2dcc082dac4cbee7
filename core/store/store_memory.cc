#include "core/store/store_memory.h"

#include <algorithm>
#include <utility>

#include "core/store/block.h"

namespace gradd {

bool StoreMemory::ResizeState(int64_t bytes) {
  if (state_ == nullptr) return true;
  MutexLock lock(&mutex_);
  if (bytes > state_->bytes()) {
    if (!state_->Resize(bytes)) return false;
    return ClaimVersions(allocated_, foreseen_, /*force=*/true);
  }
  // First what is there as versions, so that nobody takes the room in between.
  versions_->ForceSize(std::max<int64_t>(allocated_ - bytes, 0) + foreseen_);
  return state_->Resize(bytes);
}

bool StoreMemory::ClaimVersions(int64_t allocated, int64_t foreseen, bool force) {
  if (versions_ != nullptr) {
    const int64_t bytes = std::max<int64_t>(allocated - state_bytes(), 0) + foreseen;
    if (force) {
      versions_->ForceSize(bytes);
    } else if (!versions_->Resize(bytes)) {
      return false;
    }
  }
  allocated_ = allocated;
  foreseen_ = foreseen;
  return true;
}

bool StoreMemory::Foresee(int64_t bytes) {
  MutexLock lock(&mutex_);
  return ClaimVersions(allocated_, bytes, /*force=*/false);
}

bool StoreMemory::Grow(int64_t bytes) {
  MutexLock lock(&mutex_);
  return ClaimVersions(allocated_ + bytes, foreseen_, may_overdraw_.load());
}

bool StoreMemory::GrowForeseen(int64_t bytes) {
  MutexLock lock(&mutex_);
  return ClaimVersions(allocated_ + bytes, std::max<int64_t>(foreseen_ - bytes, 0),
                       may_overdraw_.load());
}

void StoreMemory::Shrink(int64_t bytes) {
  MutexLock lock(&mutex_);
  ClaimVersions(allocated_ - bytes, foreseen_, /*force=*/true);
}

void StoreMemory::EndReservations(ReservedFor who) {
  for (const auto& pool : Pools()) pool->EndReservation(who);
}

int64_t StoreMemory::FreeUnused() {
  int64_t bytes = 0;
  for (const auto& pool : Pools()) bytes += pool->FreeUnused();
  return bytes;
}

void StoreMemory::FreeIdle() {
  for (const auto& pool : Pools()) pool->FreeIdle();
}

void StoreMemory::AddPool(std::weak_ptr<BlockPool> pool) {
  MutexLock lock(&pools_mutex_);
  pools_.erase(std::remove_if(pools_.begin(), pools_.end(),
                              [](const auto& known) { return known.expired(); }),
               pools_.end());
  pools_.push_back(std::move(pool));
}

std::vector<std::shared_ptr<BlockPool>> StoreMemory::Pools() {
  MutexLock lock(&pools_mutex_);
  std::vector<std::shared_ptr<BlockPool>> pools;
  for (const auto& pool : pools_) {
    if (auto alive = pool.lock()) pools.push_back(std::move(alive));
  }
  return pools;
}

}  // namespace gradd
