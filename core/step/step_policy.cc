#include "core/step/step_policy.h"

#include "core/base/check.h"
#include "core/base/error.h"
#include "core/step/asynchronous_policy.h"
#include "core/step/bounded_staleness_policy.h"
#include "core/step/synchronous_policy.h"

namespace gradd {

absl::Status ValidatePolicy(const v1::SynchronizationPolicy& spec, int64_t max_workers) {
  switch (spec.kind_case()) {
    case v1::SynchronizationPolicy::kSynchronous:
      return ValidateSynchronous(spec.synchronous(), max_workers);
    case v1::SynchronizationPolicy::kAsynchronous:
      return ValidateAsynchronous(spec.asynchronous());
    case v1::SynchronizationPolicy::kBoundedStaleness:
      return ValidateBoundedStaleness(spec.bounded_staleness());
    case v1::SynchronizationPolicy::KIND_NOT_SET:
      break;
  }
  return Error(absl::StatusCode::kInvalidArgument, "POLICY_INVALID",
               "policy: none of synchronous, asynchronous and bounded_staleness is set, one is "
               "expected");
}

std::unique_ptr<const StepPolicy> MakeStepPolicy(const v1::SynchronizationPolicy& spec) {
  switch (spec.kind_case()) {
    case v1::SynchronizationPolicy::kSynchronous:
      return std::make_unique<SynchronousPolicy>(spec.synchronous());
    case v1::SynchronizationPolicy::kAsynchronous:
      return std::make_unique<AsynchronousPolicy>(spec.asynchronous());
    case v1::SynchronizationPolicy::kBoundedStaleness:
      return std::make_unique<BoundedStalenessPolicy>(spec.bounded_staleness());
    case v1::SynchronizationPolicy::KIND_NOT_SET:
      break;
  }
  GRADD_DCHECK(false, "a policy that is not valid");
  return nullptr;
}

}  // namespace gradd
