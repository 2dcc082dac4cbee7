#ifndef GRADD_CORE_RUN_RESTORED_STATE_H_
#define GRADD_CORE_RUN_RESTORED_STATE_H_

#include <string>

#include "absl/time/time.h"
#include "gradd/state/v1/run_state.pb.h"
#include "gradd/v1/checkpoint.pb.h"
#include "gradd/v1/run.pb.h"

namespace gradd {

// The settings of a run that goes back: those of the checkpoint, but for those that say how it is
// kept and found, which stay as they are at `present`.
// With its learning rate cut so often, as the guard of `present` says.
v1::Run RestoredSpec(const v1::Run& present, const v1::Run& checkpoint, int64_t cuts);

// The run `present` when it has gone back to `checkpoint`, a state of the same run, on a new
// timeline; and what whoever asked for it is answered. Both are without layouts. What is as of
// then, and what is not, is said in run_service.proto (RestoreRun). Workers that are members at
// present stay members, with what the ledger had of them then, and nobody else is one.
struct RestoredState {
  state::v1::RunState state;
  v1::RestoreRunResponse answer;
};
RestoredState RestoreState(const state::v1::RunState& present,
                           const state::v1::RunState& checkpoint, const std::string& author,
                           const std::string& request_id, bool by_guard, absl::Time now);

}  // namespace gradd

#endif  // GRADD_CORE_RUN_RESTORED_STATE_H_
