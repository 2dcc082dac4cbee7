#ifndef GRADD_TESTS_SUPPORT_ALLOCATION_WATCH_H_
#define GRADD_TESTS_SUPPORT_ALLOCATION_WATCH_H_

#include <cstddef>
#include <cstdint>

namespace gradd {

// Counts the calls of operator new and mmap() for at least so many bytes, by whatever code in this
// process, from when it is made on and while it lives. One at a time. A program that links this has
// operators new and delete of its own: not with a sanitizer, which brings others.
class AllocationWatch {
 public:
  explicit AllocationWatch(size_t least_bytes = 0);
  ~AllocationWatch();
  AllocationWatch(const AllocationWatch&) = delete;
  AllocationWatch& operator=(const AllocationWatch&) = delete;

  static int64_t count();
};

// Lets the calls of operator new and mmap() for at least so many bytes fail, as where the machine
// has no memory: of those that come while it lives, by whatever code in this process, the one that
// `before` others come before, and with kFromThenOn all after it. One at a time, and not with a
// sanitizer, as above.
class AllocationFailure {
 public:
  enum class Which { kOne, kFromThenOn };
  AllocationFailure(size_t least_bytes, int64_t before, Which which);
  ~AllocationFailure();
  AllocationFailure(const AllocationFailure&) = delete;
  AllocationFailure& operator=(const AllocationFailure&) = delete;

  // How many have failed, of the one that lives or, after it, the last one.
  static int64_t count();
};

}  // namespace gradd

#endif  // GRADD_TESTS_SUPPORT_ALLOCATION_WATCH_H_
