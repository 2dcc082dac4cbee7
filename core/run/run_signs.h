#ifndef GRADD_CORE_RUN_RUN_SIGNS_H_
#define GRADD_CORE_RUN_RUN_SIGNS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/diagnostics/push_outcomes.h"
#include "core/run/guard_facts.h"

namespace gradd {

// What a run remembers so that its condition can be told. See RunSituation for what it means.
struct RunSigns {
  int64_t non_finite_pushes = 0;
  std::string non_finite_reason;
  absl::Duration non_finite_at;
  bool step_lacks_memory = false;
  std::vector<std::string> last_missing;
  absl::Duration moved_at;

  // The guard has stopped the run, which is to be rolled back and has not been taken up for that;
  // and why it was not rolled back, where that is so.
  std::optional<GuardFacts> guard_request;
  std::string guard_note;

  // What counters have of the pasts that were given up when the run went back.
  PushOutcomeCounts undone_outcomes{};
  int64_t undone_steps = 0;
  int64_t undone_examples = 0;

  // A push was refused after `step` steps.
  void NoteRejection(const std::string& worker, int64_t sequence, const absl::Status& why,
                     int64_t step, absl::Duration now);
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_RUN_SIGNS_H_
