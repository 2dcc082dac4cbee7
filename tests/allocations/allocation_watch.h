#ifndef GRADD_TESTS_ALLOCATIONS_ALLOCATION_WATCH_H_
#define GRADD_TESTS_ALLOCATIONS_ALLOCATION_WATCH_H_

#include <cstdint>

namespace gradd {

// Counts the calls of operator new, in all threads, from when it is made on and while it lives. One
// at a time.
class AllocationWatch {
 public:
  AllocationWatch();
  ~AllocationWatch();
  AllocationWatch(const AllocationWatch&) = delete;
  AllocationWatch& operator=(const AllocationWatch&) = delete;

  static int64_t count();
};

}  // namespace gradd

#endif  // GRADD_TESTS_ALLOCATIONS_ALLOCATION_WATCH_H_
