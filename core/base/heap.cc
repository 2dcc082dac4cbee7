#include "core/base/heap.h"

#include <malloc.h>

#include <algorithm>

namespace gradd {

Heap::Heap()
    : Heap({[] { return static_cast<int64_t>(mallinfo2().fordblks); }, [] { malloc_trim(0); }}) {}

int64_t Heap::Measure() {
  const int64_t free = functions_.free_bytes();
  MutexLock lock(&mutex_);
  given_back_ = std::min(given_back_, free);
  kept_bytes_.store(free - given_back_, std::memory_order_relaxed);
  return free - given_back_;
}

void Heap::Trim() {
  functions_.trim();
  const int64_t free = functions_.free_bytes();
  MutexLock lock(&mutex_);
  given_back_ = free;
  kept_bytes_.store(0, std::memory_order_relaxed);
}

}  // namespace gradd
