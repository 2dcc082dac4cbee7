#ifndef GRADD_SERVER_HEAP_TRIM_H_
#define GRADD_SERVER_HEAP_TRIM_H_

#include <cstdint>
#include <limits>
#include <memory>
#include <utility>

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/heap.h"

namespace gradd {

// Gives the system back what the heap keeps after a flood: of streams, of headers, of scrapes, of
// messages of a run that is gone. The heap would use it again, but nobody may ever need so much.
// That takes a while with the heap locked, and what is needed again costs page faults, so it is
// done only where much has been free for some time, and much more than what pushes take.
//
// Not thread safe.
class HeapTrim {
 public:
  HeapTrim(const Clock* clock, std::shared_ptr<Heap> heap)
      : clock_(clock), heap_(std::move(heap)), begin_(clock->Elapsed()), sampled_at_(begin_) {}

  // To be called about ten times a second; `staged_bytes` are claimed for pushes.
  void Tick(int64_t staged_bytes);

 private:
  static constexpr int64_t kNone = std::numeric_limits<int64_t>::max();

  const Clock* const clock_;
  const std::shared_ptr<Heap> heap_;
  absl::Duration begin_;  // Of the present look.
  absl::Duration sampled_at_;
  int64_t least_kept_ = kNone;  // By the heap, since begin_.
  int64_t most_staged_ = 0;     // Since begin_.
};

}  // namespace gradd

#endif  // GRADD_SERVER_HEAP_TRIM_H_
