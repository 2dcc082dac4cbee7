#ifndef GRADD_CORE_SYNC_SYNCHRONIZATION_POLICY_H_
#define GRADD_CORE_SYNC_SYNCHRONIZATION_POLICY_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gradd/v1/policy.pb.h"

namespace gradd {

// OK, or INVALID_ARGUMENT naming field, value and range. `max_workers` is the server's
// limit of workers per run.
absl::Status ValidatePolicy(const v1::SynchronizationPolicy& policy, int64_t max_workers);

// The deadline of a valid synchronous policy, default filled in.
absl::Duration StepDeadline(const v1::Synchronous& policy);

// What a synchronous run knows when it asks whether its next step is due. "Ready" pushes
// are complete and computed from the present step.
struct SynchronousState {
  bool formed = false;    // `workers` members have been live at the same time.
  int live_members = 0;   // Members whose lease runs.
  int ready_members = 0;  // Those of them whose push is ready.
  int ready_pushes = 0;   // All ready pushes; a worker may have gone after its push.
  absl::Duration waited;  // Since the first of them was ready.
  absl::Duration deadline;
};

// Whether the step happens now, with the ready pushes.
bool SynchronousStepDue(const SynchronousState& state);

// What the learning rate is multiplied with for a push of this staleness.
double StalenessFactor(v1::StalenessCorrection correction, int64_t staleness);

}  // namespace gradd

#endif  // GRADD_CORE_SYNC_SYNCHRONIZATION_POLICY_H_
