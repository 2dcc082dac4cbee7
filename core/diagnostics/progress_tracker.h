#ifndef GRADD_CORE_DIAGNOSTICS_PROGRESS_TRACKER_H_
#define GRADD_CORE_DIAGNOSTICS_PROGRESS_TRACKER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "absl/time/time.h"
#include "core/diagnostics/divergence.h"
#include "core/diagnostics/histogram.h"
#include "core/diagnostics/smoothed_mean.h"
#include "core/diagnostics/step_pace.h"
#include "core/diagnostics/step_profile.h"
#include "gradd/v1/run.pb.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// Pushes by what became of them, indexed by v1::PushOutcome.
using PushOutcomeCounts = std::array<int64_t, v1::PushOutcome_ARRAYSIZE>;

// What one step tells about convergence.
struct StepStatistics {
  double loss = 0;  // Mean per example.
  int64_t examples = 0;
  int64_t staleness = 0;  // Greatest among the pushes, in steps.
  // L2 norms of the mean gradient, of the update and of the parameters after it.
  double gradient_norm = 0;
  double update_norm = 0;
  double parameter_norm = 0;
  absl::Duration apply_time;  // From aggregation to commit.
};

// Follows the steps of one run. Not thread safe.
class ProgressTracker {
 public:
  void AddStep(const StepStatistics& step);
  void AddOutcome(v1::PushOutcome outcome) { ++outcomes_[static_cast<size_t>(outcome)]; }

  // Remembers the counts at `now`, about ten times a second, for the rates.
  void Sample(absl::Duration now);

  // Fills in what is known here: loss, norms, counts, rates.
  void Fill(v1::RunProgress* progress) const;

  // Steps per second over the last ten seconds.
  double StepsPerSecond() const;

  // 0 before the first step.
  double smoothed_loss() const { return loss_.value(); }

  const std::optional<Divergence>& divergence() const { return divergence_.divergence(); }

  const PushOutcomeCounts& outcomes() const { return outcomes_; }
  const SecondsHistogram& apply_seconds() const { return apply_seconds_; }

  StepPace& pace() { return pace_; }
  const StepPace& pace() const { return pace_; }

  StepProfile& profile() { return profile_; }
  const StepProfile& profile() const { return profile_; }

 private:
  struct Counts {
    absl::Duration at;
    int64_t steps = 0;
    int64_t examples = 0;
  };
  double Rate(int64_t Counts::*count) const;

  StepStatistics last_;
  int64_t steps_ = 0;
  int64_t examples_ = 0;
  PushOutcomeCounts outcomes_{};
  SmoothedMean loss_;
  double best_loss_ = 0;  // Smoothed.
  int64_t best_step_ = 0;
  DivergenceDetector divergence_;
  std::deque<Counts> samples_;
  SecondsHistogram apply_seconds_;
  StepPace pace_;
  StepProfile profile_;
};

}  // namespace gradd

#endif  // GRADD_CORE_DIAGNOSTICS_PROGRESS_TRACKER_H_
