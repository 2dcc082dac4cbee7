#include "server/heap_trim.h"

#include <malloc.h>

#include <algorithm>

namespace gradd {
namespace {

constexpr absl::Duration kSampleInterval = absl::Seconds(1);
constexpr absl::Duration kLook = absl::Seconds(10);
constexpr int64_t kWorthIt = int64_t{64} << 20;

}  // namespace

MemoryBudget::Heap HeapTrim::HeapOfProcess() {
  return {[] { return static_cast<int64_t>(mallinfo2().fordblks); }, [] { malloc_trim(0); }};
}

void HeapTrim::Tick(int64_t staged_bytes) {
  most_staged_ = std::max(most_staged_, staged_bytes);
  const absl::Duration now = clock_->Elapsed();
  if (now - sampled_at_ < kSampleInterval) return;
  sampled_at_ = now;
  const int64_t free = heap_.free_bytes();
  least_free_ = std::min(least_free_, free);
  given_back_ = std::min(given_back_, free);
  if (now - begin_ < kLook) return;
  const int64_t unused = least_free_ - given_back_;
  if (unused >= kWorthIt && unused / 2 >= most_staged_) {
    heap_.trim();
    given_back_ = free;
  }
  begin_ = now;
  least_free_ = kNone;
  most_staged_ = 0;
}

}  // namespace gradd
