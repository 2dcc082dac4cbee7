#ifndef GRADD_CORE_DIAGNOSTICS_PROGRESS_TRACKER_H_
#define GRADD_CORE_DIAGNOSTICS_PROGRESS_TRACKER_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/diagnostics/agreement.h"
#include "core/diagnostics/histogram.h"
#include "core/diagnostics/loss_tracker.h"
#include "core/diagnostics/measured_push.h"
#include "core/diagnostics/noise_scale.h"
#include "core/diagnostics/step_history.h"
#include "core/diagnostics/step_pace.h"
#include "core/diagnostics/step_profile.h"
#include "gradd/state/v1/run_state.pb.h"
#include "gradd/v1/run.pb.h"

namespace gradd {

// What comes out of one step.
struct StepStatistics {
  // L2 norms of the mean gradient, of the update and of the parameters after it.
  double gradient_norm = 0;
  double update_norm = 0;
  double parameter_norm = 0;
  absl::Duration apply_time;  // From aggregation to commit.
  // Its pushes; empty where they were not measured.
  std::vector<MeasuredPush> pushes = {};
};

// Follows how the steps of one run come out, and how fast they come: as people see it, so up to the
// last step that is complete. Not thread safe.
class ProgressTracker {
 public:
  // A step is complete. `losses` is what they come to with it.
  void AddStep(const StepStatistics& step, const LossSummary& losses);

  // The history gets the step that has just been added: the run's step `step`, on `timeline`, made
  // with that learning rate, complete at `time`.
  void AddToHistory(uint64_t timeline, int64_t step, double learning_rate, absl::Time time);
  const StepHistory& history() const { return history_; }

  // Remembers the counts at `now`, about ten times a second, for the rates.
  void Sample(absl::Duration now);

  // Fills in what is known here: losses, norms, examples, rates, how the pushes agree.
  void Fill(v1::RunProgress* progress) const;

  void Write(state::v1::StepResult* result) const;
  // Goes on where that came out of the last step, and the losses came to `losses`; rates begin
  // anew. INVALID_ARGUMENT as NoiseScale::Read() and StepHistory::Read().
  absl::Status Read(const state::v1::StepResult& result, const LossSummary& losses);

  // The run has gone back to where that came out of the last step, and the losses came to `losses`.
  // What came after that stays in the history. INVALID_ARGUMENT as NoiseScale::Read().
  absl::Status GoBack(const state::v1::StepResult& result, const LossSummary& losses);

  // Steps per second over the last ten seconds.
  double StepsPerSecond() const;

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

  StepStatistics last_;  // Without its pushes.
  std::optional<LowestAgreement> lowest_agreement_;
  NoiseScale noise_scale_;
  LossSummary losses_;
  StepHistory history_;
  std::deque<Counts> samples_;
  SecondsHistogram apply_seconds_;
  StepPace pace_;
  StepProfile profile_;
};

}  // namespace gradd

#endif  // GRADD_CORE_DIAGNOSTICS_PROGRESS_TRACKER_H_
