#ifndef GRADD_CORE_RUN_RUN_REPLAY_H_
#define GRADD_CORE_RUN_RUN_REPLAY_H_

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "core/run/event_log.h"
#include "core/run/run.h"
#include "gradd/state/v1/event.pb.h"

namespace gradd {

// How a run goes on from what was kept of it: after it was created from a capture or from its first
// event (see RunOrigin), the events since happen once more, before anybody else has it. For one
// thread.
//
// Example:
//   RunReplay replay(run);
//   while (...) GRADD_RETURN_IF_ERROR(replay.Apply(event, pushes));
//   replay.GoOn();
class RunReplay {
 public:
  explicit RunReplay(std::shared_ptr<Run> run) : run_(std::move(run)) {}

  // The next event, with the pushes in it, happens as it did, and is not logged anew. DATA_LOSS if
  // it cannot come here, RESOURCE_EXHAUSTED for want of memory; the run is of no use then. Takes as
  // long as it did.
  absl::Status Apply(const state::v1::Event& event, EventLog::Pushes pushes);
  // There were steps that are lost: what comes from now on is on a new timeline.
  void BeginTimeline();
  // A control event (see IsControlEvent()) that came after events which are lost happens now, as a
  // new one, as far as it still means something. But the run is not finished early by one: nobody
  // was told of that before a checkpoint had it, and nobody would make the lost steps once more.
  absl::Status CarryOver(const state::v1::Event& event);
  // That was all: leases begin.
  void GoOn();

  // Instead of all these: the run begins where another one was, with `origin.fork`. What it tells
  // waits for its first checkpoint. Errors as of Run::Update().
  absl::Status Fork(const RunOrigin& origin);

 private:
  absl::Status ApplyStep(const state::v1::Event& event, EventLog::Pushes pushes);
  // Goes on with the plan of that spec, if it is another one.
  absl::Status ChangePlan(const v1::Run& spec);

  const std::shared_ptr<Run> run_;
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_RUN_REPLAY_H_
