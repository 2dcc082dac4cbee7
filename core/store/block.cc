#include "core/store/block.h"

#include <cstddef>
#include <new>

namespace gradd {
namespace {

constexpr std::align_val_t kAlignment{64};

size_t BufferBytes(int64_t elements) { return static_cast<size_t>(elements) * sizeof(float); }

}  // namespace

void BlockRef::Release() {
  if (header_ == nullptr) return;
  if (header_->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  // The pool may have no other owner: it must live until the block is back.
  const std::shared_ptr<BlockPool> pool = std::move(header_->pool);
  pool->Return(std::exchange(header_, nullptr));
}

BlockPool::~BlockPool() {
  for (BlockRef::Header* header : free_) {
    operator delete(header->data, kAlignment);
    delete header;
  }
}

BlockRef BlockPool::Allocate(int64_t elements) {
  BlockRef::Header* header = nullptr;
  {
    MutexLock lock(&mutex_);
    for (size_t i = free_.size(); i-- > 0;) {
      if (free_[i]->elements != elements) continue;
      header = free_[i];
      free_[i] = free_.back();
      free_.pop_back();
      break;
    }
  }
  if (header == nullptr) {
    header = new BlockRef::Header();
    header->elements = elements;
    header->data = static_cast<float*>(operator new(BufferBytes(elements), kAlignment));
    allocated_bytes_.fetch_add(static_cast<int64_t>(BufferBytes(elements)),
                               std::memory_order_relaxed);
    allocations_.fetch_add(1, std::memory_order_relaxed);
  }
  header->references.store(1, std::memory_order_relaxed);
  header->pool = shared_from_this();
  return BlockRef(header);
}

void BlockPool::Return(BlockRef::Header* header) {
  MutexLock lock(&mutex_);
  free_.push_back(header);
}

}  // namespace gradd
