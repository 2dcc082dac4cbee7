#include "core/optim/scratch_pool.h"

namespace gradd {

void ScratchPool::Allocate() {
  MutexLock lock(&mutex_);
  // Room first, so that a piece that is there is free.
  free_.reserve(static_cast<size_t>(count_));
  pieces_.reserve(static_cast<size_t>(count_));
  while (static_cast<int64_t>(pieces_.size()) < count_) {
    pieces_.emplace_back(static_cast<std::byte*>(
        ::operator new (static_cast<size_t>(piece_bytes_), std::align_val_t{Scratch::kAlignment})));
    free_.push_back(pieces_.back().get());
  }
}

ScratchPool::Loan::Loan(ScratchPool* pool) : pool_(pool) {
  MutexLock lock(&pool_->mutex_);
  while (pool_->free_.empty()) pool_->given_back_.Wait(&pool_->mutex_);
  memory_ = pool_->free_.back();
  pool_->free_.pop_back();
}

ScratchPool::Loan::~Loan() {
  MutexLock lock(&pool_->mutex_);
  pool_->free_.push_back(memory_);  // Within what Allocate() has reserved.
  pool_->given_back_.NotifyOne();
}

}  // namespace gradd
