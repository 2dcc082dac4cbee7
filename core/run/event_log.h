#ifndef GRADD_CORE_RUN_EVENT_LOG_H_
#define GRADD_CORE_RUN_EVENT_LOG_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "core/run/durability_signs.h"
#include "core/sync/staged_push.h"
#include "gradd/state/v1/event.pb.h"

namespace gradd {

// Where the events of one run go, in their order. The events, and the pushes in them, are all that
// the run depends on after its creation: applied again, they lead to the same bits.
//
// A log may take time to make durable what has to be; nobody is told of an event before durable()
// has come to it. In memory, all of them are at once.
//
// Append(), AwaitCheckpoint() and BeginSegment() are called with the run's lock held, by one thread
// at a time; they and what may be called from any thread take microseconds.
class EventLog {
 public:
  using Pushes = absl::Span<const std::shared_ptr<const StagedPush>>;
  static constexpr int64_t kAll = std::numeric_limits<int64_t>::max();

  virtual ~EventLog() = default;
  // `pushes` are those that the event takes, in its order: a step's `used`, or the one that is
  // folded.
  virtual void Append(const state::v1::Event& event, Pushes pushes) = 0;
  // The events from number `event`, the last one, on may be told of when a checkpoint has them.
  virtual void AwaitCheckpoint(int64_t /*event*/) {}
  // A capture was taken (Run::Capture()) that has all events so far, and what is appended from now
  // on comes after it.
  virtual void BeginSegment() {}

  // ---- From any thread. ----

  // Whether the events outlive the process.
  virtual bool keeps() const { return false; }

  // Number of the last event that may be told of: it and all before it are as durable as they have
  // to be. Only goes up, but for AwaitCheckpoint(), and not after a failure().
  virtual int64_t durable() const { return kAll; }
  // Number of the last event of whose pushes the log needs nothing any more.
  virtual int64_t written() const { return kAll; }
  // Not OK: what comes after durable() cannot be made durable, and never will be. The message says
  // why.
  virtual absl::Status failure() const { return absl::OkStatus(); }
  // There is no room for what is to be written; the log goes on when there is.
  virtual bool waits_for_room() const { return false; }
  // How that goes; unset where nothing outlives the process.
  virtual std::optional<DurabilitySigns> signs() const { return std::nullopt; }
  // To be called once, before any event. `moved` is called without any lock, on some thread, when
  // one of these may have changed.
  virtual void SetListener(const std::function<void()>& /*moved*/) {}
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_EVENT_LOG_H_
