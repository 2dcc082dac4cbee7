#include "core/store/block.h"

#include <algorithm>
#include <cstddef>
#include <new>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/huge_page.h"

namespace gradd {
namespace {

constexpr std::align_val_t kAlignment{64};

size_t BufferBytes(int64_t elements) { return static_cast<size_t>(elements) * sizeof(float); }

// How many blocks are allocated together: as many as fill a huge page, if any number does. With
// 4 KiB pages a sweep over a large model is bound by address translation, at 0.8 of the speed.
size_t BlocksPerPage(size_t bytes) {
  constexpr size_t kMaxBlocks = 8;
  return kHugePageBytes % bytes == 0 && kHugePageBytes / bytes <= kMaxBlocks
             ? kHugePageBytes / bytes
             : 1;
}

}  // namespace

void BlockRef::Release() {
  if (header_ == nullptr) return;
  const int64_t references = header_->references.fetch_sub(1, std::memory_order_acq_rel);
  GRADD_DCHECK(references >= 1, absl::StrCat(references, " references before one was let go of"));
  if (references != 1) return;
  // The pool may have no other owner: it must live until the block is back.
  const std::shared_ptr<BlockPool> pool = std::move(header_->pool);
  pool->Return(std::exchange(header_, nullptr));
}

BlockPool::~BlockPool() {
  for (BlockRef::Header* header : free_) delete header;
  for (const Buffer& buffer : buffers_) Free(buffer);
}

void BlockPool::Free(const Buffer& buffer) {
  if (buffer.huge) {
    UnmapHugePage(buffer.data);
  } else {
    operator delete(buffer.data, kAlignment);
  }
}

BlockRef BlockPool::Allocate(int64_t elements) {
  MutexLock lock(&mutex_);
  BlockRef::Header* header = TakeFree(elements);
  if (header == nullptr) {
    AllocateBuffer(elements);
    header = TakeFree(elements);
  }
  header->references.store(1, std::memory_order_relaxed);
  header->pool = shared_from_this();
  return BlockRef(header);
}

void BlockPool::Reserve(int64_t elements, int64_t count) {
  MutexLock lock(&mutex_);
  count -= std::count_if(free_.begin(), free_.end(), [elements](const BlockRef::Header* header) {
    return header->elements == elements;
  });
  const size_t free_before = free_.size();
  const size_t buffers_before = buffers_.size();
  try {
    while (count > 0) {
      const size_t before = free_.size();
      AllocateBuffer(elements);
      count -= static_cast<int64_t>(free_.size() - before);
    }
  } catch (const std::bad_alloc&) {
    // All or nothing: whatever else needs memory now finds some.
    GiveBack(free_before, buffers_before);
    throw;
  }
}

void BlockPool::GiveBack(size_t free_blocks, size_t buffers) {
  if (region_ != nullptr) return;
  int64_t bytes = 0;
  for (; free_.size() > free_blocks; free_.pop_back()) {
    bytes += static_cast<int64_t>(BufferBytes(free_.back()->elements));
    --blocks_;
    delete free_.back();
  }
  for (; buffers_.size() > buffers; buffers_.pop_back()) Free(buffers_.back());
  allocated_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
}

BlockRef::Header* BlockPool::TakeFree(int64_t elements) {
  size_t found = free_.size();
  for (size_t i = free_.size(); i-- > 0;) {
    if (free_[i]->elements != elements) continue;
    found = i;
    // Blocks of the heap are only for when the region has none.
    if (region_ == nullptr || free_[i]->region_offset >= 0) break;
  }
  if (found == free_.size()) return nullptr;
  BlockRef::Header* const header = free_[found];
  free_[found] = free_.back();
  free_.pop_back();
  return header;
}

bool BlockPool::AllocateInRegion(int64_t elements) {
  const int64_t bytes = RoundUpToPages(static_cast<int64_t>(BufferBytes(elements)));
  if (region_ == nullptr || bytes > region_->bytes() - region_used_bytes_ ||
      !region_->Populate(region_used_bytes_, bytes)) {
    return false;
  }
  auto* const header = new BlockRef::Header();
  header->elements = elements;
  header->region_offset = region_used_bytes_;
  header->data = reinterpret_cast<float*>(region_->data() + region_used_bytes_);
  free_.push_back(header);
  region_used_bytes_ += bytes;
  allocated_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  return true;
}

void BlockPool::AllocateBuffer(int64_t elements) {
  const size_t bytes = BufferBytes(elements);
  const size_t blocks = region_ == nullptr ? BlocksPerPage(bytes) : 1;
  // Room first, so that nothing is lost when there is no memory and Return() cannot fail.
  blocks_ += blocks;
  if (free_.capacity() < blocks_) free_.reserve(2 * blocks_);
  if (buffers_.size() == buffers_.capacity()) buffers_.reserve(2 * buffers_.size() + 1);
  allocations_.fetch_add(1, std::memory_order_relaxed);
  if (AllocateInRegion(elements)) return;
  const bool huge = blocks * bytes == kHugePageBytes;
  auto* const data =
      static_cast<float*>(huge ? MapHugePage() : operator new(blocks* bytes, kAlignment));
  buffers_.push_back({data, huge});
  for (size_t block = blocks; block-- > 0;) {
    auto* const header = new BlockRef::Header();
    header->elements = elements;
    header->data = data + static_cast<size_t>(elements) * block;
    free_.push_back(header);
  }
  allocated_bytes_.fetch_add(static_cast<int64_t>(blocks * bytes), std::memory_order_relaxed);
}

void BlockPool::Return(BlockRef::Header* header) {
  MutexLock lock(&mutex_);
  GRADD_DCHECK(free_.size() < blocks_, absl::StrCat("all ", blocks_, " blocks were back already"));
  free_.push_back(header);
}

}  // namespace gradd
