#ifndef GRADD_CORE_RUN_RUN_ENVIRONMENT_H_
#define GRADD_CORE_RUN_RUN_ENVIRONMENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "core/base/alarms.h"
#include "core/base/clock.h"
#include "core/base/executor.h"
#include "core/base/memory_budget.h"
#include "core/optim/update_plan.h"
#include "core/run/event_log.h"
#include "core/run/limits.h"
#include "core/run/run_capture.h"
#include "core/run/run_log.h"
#include "core/store/block.h"
#include "core/store/initial_values.h"
#include "core/store/snapshot.h"
#include "core/store/version_readers.h"
#include "core/sync/push_room.h"
#include "google/protobuf/field_mask.pb.h"
#include "gradd/v1/run.pb.h"

namespace gradd {

// Run::Tick() is to be called so often.
inline constexpr absl::Duration kTickInterval = absl::Milliseconds(100);

// What runs share.
struct RunEnvironment {
  const Clock* clock = Clock::Real();
  Executor* pool = nullptr;  // In whose turn runs are made; each has its own turn after that.
  std::shared_ptr<MemoryBudget> budget;
  std::shared_ptr<PushRoom> push_room;  // In that budget.
  std::shared_ptr<RunLog> log;          // What operators should know.
  std::shared_ptr<VersionReaders> readers;
  std::shared_ptr<Alarms> alarms;  // By that clock.
  // Where the events of a run go; empty: the newest ones are kept in memory.
  std::function<std::shared_ptr<EventLog>(const std::string& run_id)> open_log;
  Limits limits;
  int64_t block_elements = kBlockElements;
};

// How many threads may work on one step: the pool's, and the one that began it.
inline int StepThreads(const RunEnvironment& environment) {
  return environment.pool->threads() + 1;
}

// That a run begins where another one was; see ForkRunRequest.
struct RunFork {
  v1::Run values;
  google::protobuf::FieldMask mask;  // May be empty.
  std::string author;
};

// What a run is made from that is not only its spec.
struct RunOrigin {
  // Its parameters. Null: the layout's initial values. What it tells waits for its first checkpoint
  // then, where runs are kept: without one there is no run.
  const InitialValues* values = nullptr;
  // Instead: where a copy of a run begins.
  std::shared_ptr<const Snapshot> snapshot;
  // With it and the slots of the snapshot, the optimizer goes on where it was; that of the copy is
  // the same. Null: it begins with its first step. Nobody changes it before the copy is made.
  std::shared_ptr<const UpdatePlan> plan;
  // Instead of both: where the run itself was captured. Its spec is the one that it had there.
  std::shared_ptr<const RunCapture> capture;
  // Not null: that was another run, which this one is a fork of. There is none before its first
  // checkpoint.
  const RunFork* fork = nullptr;
  // The run goes on from what was kept of it: from `capture`, or from its first event, which is
  // that it was created. Then `log` is its log, which has that; see Run::Replay().
  const state::v1::Event* created = nullptr;
  std::shared_ptr<EventLog> log;
  // Whose trial the run is, for people: it lives and dies with those trials, and nobody else may
  // change it. Empty: it is none.
  std::string trial_of;
  // See CreateRunRequest.
  std::string request_id;

  // Whether its parameters come from somewhere else than the layout's initial values.
  bool given() const { return values != nullptr || snapshot != nullptr || capture != nullptr; }
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_RUN_ENVIRONMENT_H_
