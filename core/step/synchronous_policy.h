#ifndef GRADD_CORE_STEP_SYNCHRONOUS_POLICY_H_
#define GRADD_CORE_STEP_SYNCHRONOUS_POLICY_H_

#include <algorithm>
#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/step/step_policy.h"

namespace gradd {

// A step when the pushes of all expected workers are in, or those of a quorum and a grace has
// passed, or the deadline since the first of them: see v1::Synchronous. With a window, each worker
// gives so many pushes to a step, and none of them waits for the others before its last one.
class SynchronousPolicy final : public StepPolicy {
 public:
  explicit SynchronousPolicy(const v1::Synchronous& spec);

  // A push from older parameters is superseded, but for those of the last step where such are
  // carried.
  bool Admits(int64_t base_step, const PolicyState& state) const override {
    return base_step >= state.open_step - (carries_late_ ? 1 : 0);
  }
  Verdict Decide(const PolicyState& state) const override;
  Explanation Explain(const PolicyState& state) const override;
  bool needs_others() const override { return true; }
  bool needs_all() const override { return quorum_ == 0; }
  int64_t QuorumOf(int64_t expected) const override { return std::min(quorum_, expected); }
  int64_t starts_with() const override { return workers_; }
  int64_t forgives() const override { return missed_deadlines_; }
  int64_t PushesAStep(int64_t live) const override { return std::max(workers_, live); }

 private:
  // When the quorum was complete; unset where it is not, or where there is none.
  std::optional<absl::Duration> QuorumAt(const PolicyState& state) const;
  // How long the step goes on waiting for others, if nothing comes; 0: it is due.
  absl::Duration TimeLeft(const PolicyState& state) const;

  const int64_t workers_;
  const absl::Duration deadline_;
  const int64_t missed_deadlines_;
  const int64_t quorum_;  // 0: all.
  const absl::Duration grace_;
  const bool adaptive_grace_;
  const bool carries_late_;
};

absl::Status ValidateSynchronous(const v1::Synchronous& spec, int64_t max_workers);

}  // namespace gradd

#endif  // GRADD_CORE_STEP_SYNCHRONOUS_POLICY_H_
