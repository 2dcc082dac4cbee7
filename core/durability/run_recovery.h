#ifndef GRADD_CORE_DURABILITY_RUN_RECOVERY_H_
#define GRADD_CORE_DURABILITY_RUN_RECOVERY_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/executor.h"
#include "core/durability/durable_log.h"
#include "core/durability/run_folder.h"
#include "core/run/run.h"
#include "core/run/run_registry.h"

namespace gradd {

// A run that an earlier server has kept, as it goes on.
struct RecoveredRun {
  std::shared_ptr<Run> run;
  std::shared_ptr<DurableLog> log;  // Not started yet.
  // From which it goes on; unset: from its beginning.
  std::optional<RunFolder::Checkpoint> checkpoint;
  int64_t checkpoint_events = 0;  // That are in it.
  int64_t replayed_events = 0;    // After it.
  // There were, or may have been, steps that are lost: the run is on another timeline now.
  bool steps_are_lost = false;
  // What people should know of files that could not be used, one sentence each.
  std::vector<std::string> notes;
};

// Reads a run from its folder: the newest checkpoint that is whole, then the events since. What the
// log has of the time after a gap is carried over as far as people did it. `io` is the log's.
//
// DATA_LOSS names the file and the byte that is damaged, RUN_NOT_FOUND says that there is no run;
// or MayBeReadLater(). Takes as long as reading the files and making the steps in the log.
absl::StatusOr<RecoveredRun> RecoverRun(const std::shared_ptr<const RunFolder>& folder,
                                        std::shared_ptr<Executor> io, RunRegistry* registry);

// Whether it is the machine that is at fault, and not the files: there is no memory or descriptor
// for them, or no permission.
bool MayBeReadLater(const absl::Status& status);

}  // namespace gradd

#endif  // GRADD_CORE_DURABILITY_RUN_RECOVERY_H_
