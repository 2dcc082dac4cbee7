#ifndef GRADD_CORE_RUN_STEP_ON_ITS_WAY_H_
#define GRADD_CORE_RUN_STEP_ON_ITS_WAY_H_

#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "core/run/waiting_pushes.h"
#include "core/step/step_decision.h"
#include "core/step/step_work.h"

namespace gradd {

// A step on its way, with the pushes that it is made of, as its decision names them; or one push
// that becomes part of the window.
struct StepOnItsWay {
  std::vector<PendingPush> pushes;
  StepWork work;
  std::optional<state::v1::FoldedPush> fold;
  absl::Duration begin_at;
  std::optional<absl::Duration> quorum_at;  // See Verdict.
  bool entered = false;                     // It is in the log, so that it cannot be undone.
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_STEP_ON_ITS_WAY_H_
