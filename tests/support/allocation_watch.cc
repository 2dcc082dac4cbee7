#include "tests/support/allocation_watch.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <limits>
#include <new>

namespace {

constexpr size_t kNothing = std::numeric_limits<size_t>::max();  // No allocation is as large.

std::atomic<size_t> least_counted{kNothing};
std::atomic<int64_t> allocations{0};

std::atomic<size_t> least_failing{kNothing};
std::atomic<int64_t> until_failure{0};
std::atomic<bool> fails_from_then_on{false};
std::atomic<int64_t> failures{0};

void Count(size_t bytes) {
  if (bytes < least_counted.load(std::memory_order_relaxed)) return;
  allocations.fetch_add(1, std::memory_order_relaxed);
}

bool Fails(size_t bytes) {
  if (bytes < least_failing.load(std::memory_order_relaxed)) return false;
  const int64_t left = until_failure.fetch_sub(1);
  if (left > 0 || (left < 0 && !fails_from_then_on)) return false;
  ++failures;
  return true;
}

void* Allocate(size_t size, size_t alignment) {
  Count(size);
  if (Fails(size)) throw std::bad_alloc();
  void* const memory =
      alignment <= alignof(std::max_align_t)
          ? std::malloc(size)
          : std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

namespace gradd {

AllocationWatch::AllocationWatch(size_t least_bytes) {
  allocations = 0;
  least_counted = least_bytes;
}

AllocationWatch::~AllocationWatch() { least_counted = kNothing; }

int64_t AllocationWatch::count() { return allocations; }

AllocationFailure::AllocationFailure(size_t least_bytes, int64_t before, Which which) {
  failures = 0;
  until_failure = before;
  fails_from_then_on = which == Which::kFromThenOn;
  least_failing = least_bytes;
}

AllocationFailure::~AllocationFailure() { least_failing = kNothing; }

int64_t AllocationFailure::count() { return failures; }

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

void* mmap(void* address, size_t length, int protection, int flags, int file,
           off_t offset) noexcept {
  Count(length);
  if (Fails(length)) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  return reinterpret_cast<void*>(
      syscall(SYS_mmap, address, length, protection, flags, file, offset));
}
