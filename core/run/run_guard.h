#ifndef GRADD_CORE_RUN_RUN_GUARD_H_
#define GRADD_CORE_RUN_RUN_GUARD_H_

#include <cstdint>

#include "absl/status/status.h"
#include "gradd/v1/run.pb.h"

namespace gradd {

// Checks the `guard` of a run. Where the server keeps no runs, one that rolls back is
// FAILED_PRECONDITION: there are no checkpoints.
absl::Status ValidateGuard(const v1::DivergenceGuard& guard, bool server_keeps_runs);

// Of a valid one, defaults filled in.
double RateFactor(const v1::DivergenceGuard& guard);
int64_t MostRollbacks(const v1::DivergenceGuard& guard);

}  // namespace gradd

#endif  // GRADD_CORE_RUN_RUN_GUARD_H_
