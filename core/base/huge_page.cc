#include "core/base/huge_page.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>

namespace gradd {
namespace {

std::byte* Map(size_t bytes) {
  void* const memory =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return static_cast<std::byte*>(memory);
}

// From `memory` to the next boundary of a huge page.
size_t BytesToBoundary(const std::byte* memory) {
  return (kHugePageBytes - reinterpret_cast<uintptr_t>(memory) % kHugePageBytes) % kHugePageBytes;
}

}  // namespace

void* MapHugePage() {
  // The kernel maps one below the other: after the first, they are where they should be.
  std::byte* page = Map(kHugePageBytes);
  if (BytesToBoundary(page) != 0) {
    munmap(page, kHugePageBytes);
    std::byte* const room = Map(2 * kHugePageBytes);
    const size_t before = BytesToBoundary(room);
    page = room + before;
    if (before > 0) munmap(room, before);
    munmap(page + kHugePageBytes, kHugePageBytes - before);
  }
  // Advice: where it is not taken, it is only slower.
  madvise(page, kHugePageBytes, MADV_HUGEPAGE);
  return page;
}

void UnmapHugePage(void* page) { munmap(page, kHugePageBytes); }

void GiveBackPages(void* begin, size_t bytes) { madvise(begin, bytes, MADV_DONTNEED); }

}  // namespace gradd
