#ifndef GRADD_CORE_RUN_FORKED_STATE_H_
#define GRADD_CORE_RUN_FORKED_STATE_H_

#include <string>

#include "absl/time/time.h"
#include "gradd/state/v1/run_state.pb.h"

namespace gradd {

// Who a run is that begins where another one was.
struct NewIdentity {
  std::string run_id;
  std::string uid;
  std::string request_id;  // See CreateRunRequest.
  std::string author;      // Who asked for it.
  absl::Time now;
};

// The state in which a run begins that goes on from `origin`, which is of another run: everything
// that its steps depend on is as there, but it has no workers, no past and a history that says only
// where it comes from.
state::v1::RunState ForkedState(const state::v1::RunState& origin, const NewIdentity& identity);

}  // namespace gradd

#endif  // GRADD_CORE_RUN_FORKED_STATE_H_
