#ifndef GRADD_CORE_RUN_RUN_CHECKPOINTS_H_
#define GRADD_CORE_RUN_RUN_CHECKPOINTS_H_

#include "absl/status/status.h"
#include "gradd/v1/run.pb.h"

namespace gradd {

// Checks how a run wants to be written down: `checkpoints`, `journal`, `journal_max_bytes` and
// `guard`. Where the server keeps no runs, what needs that is FAILED_PRECONDITION.
absl::Status ValidateCheckpoints(const v1::Run& run, bool server_keeps_runs);

}  // namespace gradd

#endif  // GRADD_CORE_RUN_RUN_CHECKPOINTS_H_
