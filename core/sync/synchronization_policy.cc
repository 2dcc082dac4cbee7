#include "core/sync/synchronization_policy.h"

#include "absl/strings/str_cat.h"
#include "core/base/duration.h"
#include "core/base/error.h"

namespace gradd {
namespace {

constexpr absl::Duration kDefaultDeadline = absl::Seconds(300);

absl::Status PolicyError(absl::string_view message) {
  return Error(absl::StatusCode::kInvalidArgument, "POLICY_INVALID", message);
}

absl::Status ValidateSynchronous(const v1::Synchronous& policy, int64_t max_workers) {
  if (policy.workers() < 1 || policy.workers() > max_workers) {
    return PolicyError(absl::StrCat("policy.synchronous.workers: ", policy.workers(),
                                    " is outside [1, ", max_workers, "]"));
  }
  if (policy.has_deadline()) {
    GRADD_RETURN_IF_ERROR(ParseDuration("policy.synchronous.deadline", policy.deadline(),
                                        absl::Milliseconds(10), absl::Hours(24))
                              .status());
  }
  return absl::OkStatus();
}

absl::Status ValidateAsynchronous(const v1::Asynchronous& policy) {
  if (policy.has_max_staleness() && policy.max_staleness() < 0) {
    return PolicyError(absl::StrCat("policy.asynchronous.max_staleness: ", policy.max_staleness(),
                                    " is negative"));
  }
  if (!v1::StalenessCorrection_IsValid(policy.correction())) {
    return PolicyError(
        absl::StrCat("policy.asynchronous.correction: ", static_cast<int>(policy.correction()),
                     " is no StalenessCorrection"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidatePolicy(const v1::SynchronizationPolicy& policy, int64_t max_workers) {
  switch (policy.kind_case()) {
    case v1::SynchronizationPolicy::kSynchronous:
      return ValidateSynchronous(policy.synchronous(), max_workers);
    case v1::SynchronizationPolicy::kAsynchronous:
      return ValidateAsynchronous(policy.asynchronous());
    case v1::SynchronizationPolicy::KIND_NOT_SET:
      break;
  }
  return PolicyError("policy: neither synchronous nor asynchronous is set, one is expected");
}

absl::Duration StepDeadline(const v1::Synchronous& policy) {
  return policy.has_deadline() ? FromProto(policy.deadline()) : kDefaultDeadline;
}

bool SynchronousStepDue(const SynchronousState& state) {
  if (state.ready_pushes == 0) return false;
  if (state.formed && state.ready_members == state.live_members) return true;
  return state.waited >= state.deadline;
}

double StalenessFactor(v1::StalenessCorrection correction, int64_t staleness) {
  if (correction != v1::STALENESS_CORRECTION_LEARNING_RATE) return 1;
  return 1 / (1 + static_cast<double>(staleness));
}

}  // namespace gradd
