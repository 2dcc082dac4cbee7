#ifndef GRADD_CORE_BASE_HEAP_H_
#define GRADD_CORE_BASE_HEAP_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <utility>

#include "core/base/mutex.h"

namespace gradd {

// The heap, seen as memory that is free and still taken from the system: malloc() keeps what it was
// given back for the next who asks. There is one for a process, and this is all that looks at it
// and trims it.
//
// What malloc() counts as free goes on counting when its pages are the system's again, until
// somebody uses them. So the least that was free since a trim is taken to have been given back and
// not used since: a look now and then keeps that true.
//
// Thread safe.
class Heap {
 public:
  struct Functions {
    std::function<int64_t()> free_bytes;  // What malloc() counts.
    std::function<void()> trim;
  };
  explicit Heap(Functions functions) : functions_(std::move(functions)) {}
  // All of it that malloc() has.
  Heap();
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  // Looks how many bytes are free and still take memory. Some microseconds.
  int64_t Measure();
  // What the last look, or the last trim, found.
  int64_t kept_bytes() const { return kept_bytes_.load(std::memory_order_relaxed); }

  // Gives the system back what is free. Takes long, and nobody can allocate meanwhile: not to be
  // called with a lock held that others want.
  void Trim();

 private:
  const Functions functions_;
  std::atomic<int64_t> kept_bytes_{0};
  Mutex mutex_;
  int64_t given_back_ ABSL_GUARDED_BY(mutex_) = 0;  // And not used since.
};

}  // namespace gradd

#endif  // GRADD_CORE_BASE_HEAP_H_
