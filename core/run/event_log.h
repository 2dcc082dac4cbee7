#ifndef GRADD_CORE_RUN_EVENT_LOG_H_
#define GRADD_CORE_RUN_EVENT_LOG_H_

#include <memory>

#include "absl/types/span.h"
#include "core/sync/staged_push.h"
#include "gradd/state/v1/event.pb.h"

namespace gradd {

// Where the events of one run go, in their order. What a worker or a person is told of an event
// they are told after it was appended. The events, and the pushes in them, are all that the run
// depends on after its creation: applied again, they lead to the same bits.
//
// Append() is called with the run's lock held, so it takes microseconds.
class EventLog {
 public:
  using Pushes = absl::Span<const std::shared_ptr<const StagedPush>>;

  virtual ~EventLog() = default;
  // `pushes` are those that the event takes, in its order: a step's `used`, or the one that is
  // folded.
  virtual void Append(const state::v1::Event& event, Pushes pushes) = 0;
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_EVENT_LOG_H_
