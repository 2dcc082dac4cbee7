#include "server/heap_trim.h"

#include <algorithm>

namespace gradd {
namespace {

constexpr absl::Duration kSampleInterval = absl::Seconds(1);
constexpr absl::Duration kLook = absl::Seconds(10);
constexpr int64_t kWorthIt = int64_t{64} << 20;

}  // namespace

void HeapTrim::Tick(int64_t staged_bytes) {
  most_staged_ = std::max(most_staged_, staged_bytes);
  const absl::Duration now = clock_->Elapsed();
  if (now - sampled_at_ < kSampleInterval) return;
  sampled_at_ = now;
  least_kept_ = std::min(least_kept_, heap_->Measure());
  if (now - begin_ < kLook) return;
  if (least_kept_ >= kWorthIt && least_kept_ / 2 >= most_staged_) heap_->Trim();
  begin_ = now;
  least_kept_ = kNone;
  most_staged_ = 0;
}

}  // namespace gradd
