#ifndef GRADD_CORE_RUN_EVENT_LOG_H_
#define GRADD_CORE_RUN_EVENT_LOG_H_

#include "gradd/state/v1/event.pb.h"

namespace gradd {

// Where the events of one run go, in their order, as soon as they are in effect. What a worker or
// a person is told of an event they are told after it was appended.
//
// Append() is called with the run's lock held, so it takes microseconds.
class EventLog {
 public:
  virtual ~EventLog() = default;
  virtual void Append(const state::v1::Event& event) = 0;
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_EVENT_LOG_H_
