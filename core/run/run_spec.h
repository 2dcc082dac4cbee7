#ifndef GRADD_CORE_RUN_RUN_SPEC_H_
#define GRADD_CORE_RUN_RUN_SPEC_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/optim/update_plan.h"
#include "core/run/limits.h"
#include "core/store/layout.h"
#include "gradd/v1/run.pb.h"

namespace gradd {

// The id in a resource name `runs/{run_id}`; INVALID_ARGUMENT for any other name.
absl::StatusOr<std::string> ParseRunName(absl::string_view name);

// OK if `run_id` is 1 to 63 characters of [a-z0-9-] that start with a letter and do not end
// with `-`.
absl::Status ValidateRunId(absl::string_view run_id);

// OK if `worker` is 1 to 128 bytes of printable ASCII without spaces.
absl::Status ValidateWorkerId(absl::string_view worker);

// Sets the learning rate of a run that has none, if its optimizer has one of its own (OwnRate()).
void FillLearningRate(v1::Run* run);

// Checks the fields of `run` that a client may change later: optimizer, groups, schedule, policy,
// max_steps, lease_duration and labels. Returns how the optimizers update the parameters, with
// memory for so many threads to work on whole tensors.
absl::StatusOr<std::shared_ptr<UpdatePlan>> ValidateMutableFields(const v1::Run& run,
                                                                  const Layout& layout,
                                                                  int64_t block_elements,
                                                                  int threads,
                                                                  const Limits& limits);

// The lease of a valid run, default filled in.
absl::Duration LeaseDuration(const v1::Run& run);

}  // namespace gradd

#endif  // GRADD_CORE_RUN_RUN_SPEC_H_
