#include "core/store/block.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <new>
#include <utility>

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

std::shared_ptr<BlockPool> BlockPool::Create(std::shared_ptr<StoreMemory> memory,
                                             std::shared_ptr<SharedRegion> region) {
  std::shared_ptr<BlockPool> pool(new BlockPool(std::move(memory), nullptr, std::move(region)));
  if (pool->memory_ != nullptr) pool->memory_->AddPool(pool);
  return pool;
}

std::shared_ptr<BlockPool> BlockPool::CreateForPushes(const std::shared_ptr<StoreMemory>& memory,
                                                      std::shared_ptr<MemoryBudget::Claim> kept) {
  std::shared_ptr<BlockPool> pool(new BlockPool(nullptr, std::move(kept), nullptr));
  memory->AddPool(pool);
  return pool;
}

BlockPool::~BlockPool() {
  buffers_.clear();
  if (memory_ != nullptr) memory_->Shrink(allocated_bytes());
}

BlockPool::Buffer::~Buffer() {
  if (data == nullptr) return;
  if (huge) {
    UnmapHugePage(data);
  } else {
    operator delete(data, kAlignment);
  }
}

BlockRef BlockPool::Allocate(int64_t elements) {
  MutexLock lock(&mutex_);
  return Take(elements, /*reserved=*/false);
}

BlockRef BlockPool::Allocate(int64_t elements, ReservedFor who) {
  MutexLock lock(&mutex_);
  Reserved* const reserved = FindReserved(elements);
  const bool has_one = reserved != nullptr && reserved->of(who) > 0;
  BlockRef block = Take(elements, has_one);
  if (has_one) --reserved->of(who);
  return block;
}

BlockRef BlockPool::Take(int64_t elements, bool reserved) {
  const Reserved* const others = FindReserved(elements);
  const bool leaves_free =
      reserved || others == nullptr || others->all() == 0 || FreeBlocks(elements) > others->all();
  BlockRef::Header* header = leaves_free ? TakeFree(elements) : nullptr;
  GRADD_DCHECK(header != nullptr || !reserved,
               absl::StrCat("no block of ", elements, " elements is free, one was reserved"));
  if (header == nullptr) {
    MakeFree(elements);
    header = TakeFree(elements);
  }
  header->references.store(1, std::memory_order_relaxed);
  header->pool = shared_from_this();
  return BlockRef(header);
}

BlockPool::Reserved* BlockPool::FindReserved(int64_t elements) {
  const auto found =
      std::find_if(reserved_.begin(), reserved_.end(),
                   [elements](const Reserved& entry) { return entry.elements == elements; });
  return found == reserved_.end() ? nullptr : &*found;
}

int64_t BlockPool::FreeBlocks(int64_t elements) const {
  return std::count_if(free_.begin(), free_.end(), [elements](const BlockRef::Header* header) {
    return header->elements == elements;
  });
}

int64_t BlockPool::Reserve(ReservedFor who, int64_t elements, int64_t count) {
  Unused unwanted;
  {
    MutexLock lock(&mutex_);
    const int64_t bytes_before = allocated_bytes();
    try {
      Reserved* reserved = FindReserved(elements);
      if (reserved == nullptr) {
        reserved_.push_back({elements, {}});
        reserved = &reserved_.back();
      }
      const int64_t wanted = reserved->all() - reserved->of(who) + count;
      for (int64_t free = FreeBlocks(elements); free < wanted;) {
        const size_t before = free_.size();
        MakeFree(elements);
        free += static_cast<int64_t>(free_.size() - before);
      }
      reserved->of(who) = count;
      return allocated_bytes() - bytes_before;
    } catch (const std::bad_alloc&) {
      // Whatever else needs memory now finds some.
      unwanted = TakeUnused(allocated_bytes() - bytes_before);
    }
  }
  Free(std::move(unwanted));
  throw std::bad_alloc();
}

int64_t BlockPool::reserved(ReservedFor who, int64_t elements) {
  MutexLock lock(&mutex_);
  Reserved* const reserved = FindReserved(elements);
  return reserved == nullptr ? 0 : reserved->of(who);
}

void BlockPool::EndReservation(ReservedFor who) {
  MutexLock lock(&mutex_);
  for (Reserved& reserved : reserved_) reserved.of(who) = 0;
}

int64_t BlockPool::FreeUnused(int64_t most_bytes) {
  Unused unused;
  {
    MutexLock lock(&mutex_);
    unused = TakeUnused(most_bytes);
  }
  return Free(std::move(unused));
}

void BlockPool::FreeIdle() {
  Unused idle;
  {
    MutexLock lock(&mutex_);
    idle = TakeUnused(least_free_bytes_);
    least_free_bytes_ = free_bytes_;
  }
  Free(std::move(idle));
}

BlockPool::Unused BlockPool::TakeUnused(int64_t most_bytes) {
  Unused unused;
  for (Reserved& reserved : reserved_) {
    reserved.spare = FreeBlocks(reserved.elements) - reserved.all();
  }
  const auto take = [&](size_t blocks, int64_t elements) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    const auto count = static_cast<int64_t>(blocks);
    Reserved* const reserved = FindReserved(elements);  // Null: all may go.
    if (reserved != nullptr && count > reserved->spare) return false;
    const auto bytes = static_cast<int64_t>(blocks * BufferBytes(elements));
    if (unused.bytes + bytes > most_bytes) return false;
    unused.bytes += bytes;
    if (reserved != nullptr) reserved->spare -= count;
    return true;
  };
  const auto erase = [](std::vector<BlockRef::Header*>* headers, const auto& gone) {
    headers->erase(std::remove_if(headers->begin(), headers->end(), gone), headers->end());
  };
  // Whole buffers first, the newest ones before others.
  for (size_t i = buffers_.size(); i-- > 0;) {
    Buffer& buffer = *buffers_[i];
    const size_t blocks = buffer.blocks.size();
    if (buffer.free_blocks + buffer.absent_blocks < blocks ||
        !take(buffer.free_blocks, buffer.blocks[0].elements)) {
      continue;
    }
    blocks_ -= blocks;
    buffer.is_taken = true;
    buffer.next_unused = std::move(unused.buffers);
    unused.buffers = std::move(buffers_[i]);
    buffers_[i] = std::move(buffers_.back());
    buffers_.pop_back();
  }
  if (unused.buffers != nullptr) {
    const auto of_taken = [](const BlockRef::Header* header) {
      const auto* const buffer = static_cast<const Buffer*>(header->buffer);
      return buffer != nullptr && buffer->is_taken;
    };
    erase(&free_, of_taken);
    erase(&absent_, of_taken);
  }
  // Then free blocks beside others that are in use.
  erase(&free_, [&](BlockRef::Header* header) {
    auto* const buffer = static_cast<Buffer*>(header->buffer);
    if (buffer == nullptr || !buffer->huge) return false;
    if (buffer->free_blocks + buffer->absent_blocks == buffer->blocks.size()) return false;
    if (!take(1, header->elements)) return false;
    --buffer->free_blocks;
    header->next_unused = std::exchange(unused.blocks, header);
    return true;
  });
  AddFreeBytes(-unused.bytes);
  return unused;
}

int64_t BlockPool::Free(Unused unused) {
  if (unused.bytes == 0 && unused.buffers == nullptr) return 0;
  // One after the other: a long list must not end itself by recursion.
  while (unused.buffers != nullptr) {
    unused.buffers = std::exchange(unused.buffers->next_unused, nullptr);
  }
  for (const BlockRef::Header* header = unused.blocks; header != nullptr;
       header = header->next_unused) {
    GiveBackPages(header->data, BufferBytes(header->elements));
  }
  if (unused.blocks != nullptr) {
    MutexLock lock(&mutex_);
    for (BlockRef::Header* header = unused.blocks; header != nullptr;) {
      absent_.push_back(header);
      ++static_cast<Buffer*>(header->buffer)->absent_blocks;
      header = std::exchange(header->next_unused, nullptr);
    }
  }
  allocated_bytes_.fetch_sub(unused.bytes, std::memory_order_relaxed);
  if (memory_ != nullptr) memory_->Shrink(unused.bytes);
  return unused.bytes;
}

void BlockPool::MakeFree(int64_t elements) {
  if (!MakePresent(elements)) AllocateBuffer(elements);
}

bool BlockPool::MakePresent(int64_t elements) {
  const auto found = std::find_if(
      absent_.begin(), absent_.end(),
      [elements](const BlockRef::Header* header) { return header->elements == elements; });
  if (found == absent_.end()) return false;
  const auto bytes = static_cast<int64_t>(BufferBytes(elements));
  if (memory_ != nullptr && !memory_->Grow(bytes)) throw std::bad_alloc();
  BlockRef::Header* const header = *found;
  *found = absent_.back();
  absent_.pop_back();
  free_.push_back(header);
  auto* const buffer = static_cast<Buffer*>(header->buffer);
  --buffer->absent_blocks;
  ++buffer->free_blocks;
  AddFreeBytes(bytes);
  allocated_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  return true;
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
  if (auto* const buffer = static_cast<Buffer*>(header->buffer); buffer != nullptr) {
    --buffer->free_blocks;
    AddFreeBytes(-static_cast<int64_t>(BufferBytes(elements)));
  }
  return header;
}

bool BlockPool::AllocateInRegion(int64_t elements) {
  const int64_t bytes = RoundUpToPages(static_cast<int64_t>(BufferBytes(elements)));
  if (region_ == nullptr || bytes > region_->bytes() - region_used_bytes_) return false;
  if (memory_ != nullptr && !memory_->GrowForeseen(bytes)) throw std::bad_alloc();
  if (!region_->Populate(region_used_bytes_, bytes)) {
    if (memory_ != nullptr) memory_->Shrink(bytes);
    return false;
  }
  region_blocks_.push_back(std::make_unique<BlockRef::Header>());
  BlockRef::Header* const header = region_blocks_.back().get();
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
  for (std::vector<BlockRef::Header*>* const headers : {&free_, &absent_}) {
    if (headers->capacity() < blocks_ + blocks) headers->reserve(2 * (blocks_ + blocks));
  }
  if (buffers_.size() == buffers_.capacity()) buffers_.reserve(2 * buffers_.size() + 1);
  if (AllocateInRegion(elements)) {
    ++blocks_;
    allocations_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  auto buffer = std::make_unique<Buffer>();
  buffer->blocks = std::vector<BlockRef::Header>(blocks);
  const auto all_bytes = static_cast<int64_t>(blocks * bytes);
  if (memory_ != nullptr && !memory_->Grow(all_bytes)) throw std::bad_alloc();
  buffer->huge = blocks * bytes == kHugePageBytes;
  try {
    buffer->data = buffer->huge ? MapHugePage() : operator new(blocks* bytes, kAlignment);
  } catch (const std::bad_alloc&) {
    if (memory_ != nullptr) memory_->Shrink(all_bytes);
    throw;
  }
  for (size_t block = blocks; block-- > 0;) {
    BlockRef::Header& header = buffer->blocks[block];
    header.elements = elements;
    header.data = static_cast<float*>(buffer->data) + static_cast<size_t>(elements) * block;
    header.buffer = buffer.get();
    free_.push_back(&header);
  }
  buffer->free_blocks = blocks;
  blocks_ += blocks;
  AddFreeBytes(all_bytes);
  buffers_.push_back(std::move(buffer));
  allocations_.fetch_add(1, std::memory_order_relaxed);
  allocated_bytes_.fetch_add(all_bytes, std::memory_order_relaxed);
}

void BlockPool::Return(BlockRef::Header* header) {
  Unused unwanted;
  {
    MutexLock lock(&mutex_);
    GRADD_DCHECK(free_.size() + absent_.size() < blocks_,
                 absl::StrCat("all ", blocks_, " blocks were back already"));
    free_.push_back(header);
    auto* const buffer = static_cast<Buffer*>(header->buffer);
    if (buffer == nullptr) return;
    ++buffer->free_blocks;
    const auto bytes = static_cast<int64_t>(BufferBytes(header->elements));
    const bool may_keep = kept_ == nullptr || kept_->Resize(free_bytes_ + bytes);
    AddFreeBytes(bytes);
    if (!may_keep) unwanted = TakeUnused(std::numeric_limits<int64_t>::max());
  }
  Free(std::move(unwanted));
}

void BlockPool::AddFreeBytes(int64_t bytes) {
  free_bytes_ += bytes;
  least_free_bytes_ = std::min(least_free_bytes_, free_bytes_);
  // The memory is there already, or about to be used by who has claimed it.
  if (kept_ != nullptr) kept_->ForceSize(free_bytes_);
}

}  // namespace gradd
