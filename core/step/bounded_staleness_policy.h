#ifndef GRADD_CORE_STEP_BOUNDED_STALENESS_POLICY_H_
#define GRADD_CORE_STEP_BOUNDED_STALENESS_POLICY_H_

#include <cstdint>

#include "absl/status/status.h"
#include "core/step/asynchronous_policy.h"
#include "core/step/step_policy.h"

namespace gradd {

// Every push is a step, and whoever is too far ahead of the slowest worker waits for it: see
// v1::BoundedStaleness.
class BoundedStalenessPolicy final : public StepPolicy {
 public:
  explicit BoundedStalenessPolicy(const v1::BoundedStaleness& spec) : bound_(spec.bound()) {}

  bool Admits(int64_t /*base_step*/, const PolicyState& /*state*/) const override { return true; }
  bool Releases(int64_t ahead) const override { return ahead <= bound_; }
  // Those that wait were admitted: whoever is held back has none there.
  Verdict Decide(const PolicyState& state) const override { return each_push_.Decide(state); }
  Explanation Explain(const PolicyState& state) const override;
  bool needs_others() const override { return false; }
  bool holds_back() const override { return true; }
  int64_t PushesAStep(int64_t /*live*/) const override { return 1; }

 private:
  const int64_t bound_;
  const AsynchronousPolicy each_push_{v1::Asynchronous()};
};

absl::Status ValidateBoundedStaleness(const v1::BoundedStaleness& spec);

}  // namespace gradd

#endif  // GRADD_CORE_STEP_BOUNDED_STALENESS_POLICY_H_
