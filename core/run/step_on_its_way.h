#ifndef GRADD_CORE_RUN_STEP_ON_ITS_WAY_H_
#define GRADD_CORE_RUN_STEP_ON_ITS_WAY_H_

#include <memory>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "core/run/waiting_pushes.h"
#include "core/step/step_decision.h"
#include "core/step/step_work.h"
#include "core/store/snapshot.h"
#include "core/sync/staged_push.h"

namespace gradd {

// The correction of a gradient for its delay, see CompensateDelay().
struct Correction {
  float strength = 0;
  std::shared_ptr<const Snapshot> base;
  std::shared_ptr<const Snapshot> now;
  std::shared_ptr<const StagedPush> corrected;  // Null: not yet, or there was no memory.
};

// A step on its way, with the pushes that it is made of, as its decision names them; or one push
// that becomes part of the window; or one that is corrected, so that it can become either.
struct StepOnItsWay {
  std::vector<PendingPush> pushes;
  StepWork work;
  std::optional<state::v1::FoldedPush> fold;
  std::optional<Correction> correction;
  absl::Duration begin_at;
  std::optional<absl::Duration> quorum_at;  // See Verdict.
  bool entered = false;                     // It is in the log, so that it cannot be undone.
  int64_t event = 0;                        // Its number there.
  bool applied = false;                     // What takes long is done.
  bool waits_for_log = false;               // It goes on when the log has written that event.
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_STEP_ON_ITS_WAY_H_
