#ifndef GRADD_SERVER_HEAP_TRIM_H_
#define GRADD_SERVER_HEAP_TRIM_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <utility>

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/memory_budget.h"

namespace gradd {

// Gives the system back what the heap keeps after a flood: of streams, of headers, of scrapes, of
// messages of a run that is gone. The heap would use it again, but nobody may ever need so much.
// That takes a while with the heap locked, and what is needed again costs page faults, so it is
// done only where much has been free for some time, and much more than what pushes take.
//
// Not thread safe.
class HeapTrim {
 public:
  // All of it that malloc() has.
  static MemoryBudget::Heap HeapOfProcess();

  HeapTrim(const Clock* clock, MemoryBudget::Heap heap)
      : clock_(clock), heap_(std::move(heap)), begin_(clock->Elapsed()), sampled_at_(begin_) {}

  // To be called about ten times a second; `staged_bytes` are claimed for pushes.
  void Tick(int64_t staged_bytes);

 private:
  static constexpr int64_t kNone = std::numeric_limits<int64_t>::max();

  const Clock* const clock_;
  const MemoryBudget::Heap heap_;
  absl::Duration begin_;  // Of the present look.
  absl::Duration sampled_at_;
  int64_t least_free_ = kNone;  // Since begin_.
  int64_t most_staged_ = 0;     // Since begin_.
  // The least that was free since the last trim: so much of what is free has been given back and
  // not been used again.
  int64_t given_back_ = 0;
};

}  // namespace gradd

#endif  // GRADD_SERVER_HEAP_TRIM_H_
