#ifndef GRADD_CORE_DIAGNOSTICS_LOSS_TRACKER_H_
#define GRADD_CORE_DIAGNOSTICS_LOSS_TRACKER_H_

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "core/diagnostics/divergence.h"
#include "core/diagnostics/loss_phase.h"
#include "core/diagnostics/smoothed_mean.h"
#include "gradd/state/v1/diagnostics.pb.h"
#include "gradd/v1/history.pb.h"

namespace gradd {

// What the losses of the steps so far come to.
struct LossSummary {
  int64_t steps = 0;
  int64_t examples = 0;   // In all of them.
  double loss = 0;        // Of the last step: mean per example.
  int64_t staleness = 0;  // Greatest among its pushes, in steps.
  double smoothed = 0;    // 0 before the first step.
  double best_smoothed = 0;
  int64_t best_step = 0;  // After which it was that.
  v1::Phase phase = v1::PHASE_STARTING;
};

// Follows the losses of one run. A value: the same losses give the same answers, and it outlives
// the server. Not thread safe.
class LossTracker {
 public:
  // A step was made, of so many examples with that mean loss.
  void AddStep(double loss, int64_t examples, int64_t staleness);

  const LossSummary& summary() const { return summary_; }
  const std::optional<Divergence>& divergence() const { return divergence_.divergence(); }
  // See DivergenceDetector.
  std::optional<int64_t> HighSince() const { return divergence_.HighSince(); }

  void Write(state::v1::LossState* state) const;
  // Goes on from what Write() has given. INVALID_ARGUMENT names a number that no tracker has; this
  // one is of no use then.
  absl::Status Read(const state::v1::LossState& state);

 private:
  // What the summary's has to be.
  v1::Phase PhaseNow() const {
    return divergence().has_value() ? v1::PHASE_DIVERGING : phase_.phase();
  }

  LossSummary summary_;
  SmoothedMean mean_;
  DivergenceDetector divergence_;
  LossPhase phase_;
};

}  // namespace gradd

#endif  // GRADD_CORE_DIAGNOSTICS_LOSS_TRACKER_H_
