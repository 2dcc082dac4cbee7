#ifndef GRADD_CORE_STEP_ASYNCHRONOUS_POLICY_H_
#define GRADD_CORE_STEP_ASYNCHRONOUS_POLICY_H_

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "core/step/step_policy.h"

namespace gradd {

// Every push is a step, or, with a window, every so many of them: see v1::Asynchronous.
class AsynchronousPolicy final : public StepPolicy {
 public:
  explicit AsynchronousPolicy(const v1::Asynchronous& spec);

  bool Admits(int64_t /*base_step*/, const PolicyState& /*state*/) const override { return true; }
  Verdict Decide(const PolicyState& state) const override;
  // It waits for nobody.
  Explanation Explain(const PolicyState& /*state*/) const override { return {}; }
  bool needs_others() const override { return false; }
  int64_t kept_steps() const override { return kept_steps_; }
  int64_t PushesAStep(int64_t /*live*/) const override { return 1; }

 private:
  // Sets what is done with the gradient of a push; false: it is too old for that.
  bool Correct(const WaitingPush& push, const PolicyState& state, Verdict* verdict) const;

  const std::optional<int64_t> max_staleness_;
  const v1::StalenessCorrection correction_;
  const std::optional<v1::AgeDecay> age_decay_;
  const double compensation_;  // 0: gradients are not corrected.
  const int64_t kept_steps_;
  const bool takes_uncorrected_;
};

absl::Status ValidateAsynchronous(const v1::Asynchronous& spec);

}  // namespace gradd

#endif  // GRADD_CORE_STEP_ASYNCHRONOUS_POLICY_H_
