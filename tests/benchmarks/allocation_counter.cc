#include "tests/benchmarks/allocation_counter.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<int64_t> payload_allocations{0};

void Count(size_t bytes) {
  if (bytes >= gradd::kPayloadBytes) payload_allocations.fetch_add(1, std::memory_order_relaxed);
}

void* Allocate(size_t size, size_t alignment) {
  Count(size);
  void* const memory =
      alignment <= alignof(std::max_align_t)
          ? std::malloc(size)
          : std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

namespace gradd {

int64_t PayloadAllocations() { return payload_allocations.load(std::memory_order_relaxed); }

}  // namespace gradd

// The other forms of new and delete end in these.
void* operator new(size_t size) { return Allocate(size, alignof(std::max_align_t)); }
void* operator new(size_t size, std::align_val_t alignment) {
  return Allocate(size, static_cast<size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t /*size*/) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t /*alignment*/) noexcept { std::free(memory); }
void operator delete(void* memory, size_t /*size*/, std::align_val_t /*alignment*/) noexcept {
  std::free(memory);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // Which have their own.
void* mmap(void* address, size_t length, int protection, int flags, int file,
           off_t offset) noexcept {
  Count(length);
  return reinterpret_cast<void*>(
      syscall(SYS_mmap, address, length, protection, flags, file, offset));
}
#endif
