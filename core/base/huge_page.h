#ifndef GRADD_CORE_BASE_HUGE_PAGE_H_
#define GRADD_CORE_BASE_HUGE_PAGE_H_

#include <cstddef>

namespace gradd {

inline constexpr size_t kHugePageBytes = size_t{2} << 20;

// Memory of kHugePageBytes, aligned to that, which the kernel is asked to back by one huge page.
// Not of the heap: there, each one would leave a hole of its own size before it, which other memory
// then spreads into instead of using again what has been used. Thread safe.
// MapHugePage() throws std::bad_alloc if there is no memory.
void* MapHugePage();
void UnmapHugePage(void* page);

// Gives the memory of some of its 4 KiB pages back to the system: they are zero, and take memory
// again when they are touched.
void GiveBackPages(void* begin, size_t bytes);

}  // namespace gradd

#endif  // GRADD_CORE_BASE_HUGE_PAGE_H_
