#include "core/diagnostics/progress_tracker.h"

#include <gtest/gtest.h>

#include "core/diagnostics/push_outcomes.h"

namespace gradd {
namespace {

// A step of so many examples with that loss.
void AddStep(double loss, int64_t examples, LossTracker* losses, ProgressTracker* tracker) {
  StepStatistics step;
  step.apply_time = absl::Milliseconds(2);
  losses->AddStep(loss, examples, 0);
  tracker->AddStep(step, losses->summary());
}

v1::RunProgress Filled(const ProgressTracker& tracker) {
  v1::RunProgress progress;
  tracker.Fill(&progress);
  return progress;
}

TEST(ProgressTrackerTest, KnowsNoLossBeforeTheFirstStep) {
  const v1::RunProgress progress = Filled(ProgressTracker());
  EXPECT_FALSE(progress.has_loss());
  EXPECT_FALSE(progress.has_gradient_norm());
  EXPECT_EQ(progress.steps_per_second(), 0);
}

TEST(ProgressTrackerTest, ShowsTheLossesOfTheStepsThatAreComplete) {
  LossTracker losses;
  ProgressTracker tracker;
  AddStep(4, 10, &losses, &tracker);
  losses.AddStep(2, 10, 0);  // On its way.
  EXPECT_EQ(Filled(tracker).loss(), 4);
  EXPECT_EQ(Filled(tracker).examples(), 10);
  EXPECT_DOUBLE_EQ(Filled(tracker).smoothed_loss(), 4);
}

TEST(ProgressTrackerTest, RatesCoverTheLastTenSeconds) {
  LossTracker losses;
  ProgressTracker tracker;
  absl::Duration now = absl::Hours(5);
  for (int tick = 0; tick <= 300; ++tick, now += absl::Milliseconds(100)) {
    tracker.Sample(now);
    const int steps = tick < 150 ? 1 : 4;  // Faster in the second half of 30 seconds.
    for (int i = 0; i < steps; ++i) AddStep(1, 8, &losses, &tracker);
  }
  EXPECT_NEAR(Filled(tracker).steps_per_second(), 40, 0.01);
  EXPECT_NEAR(Filled(tracker).examples_per_second(), 320, 0.1);
}

TEST(PushOutcomesTest, CountsPushesByOutcome) {
  PushOutcomes outcomes;
  outcomes.Add(v1::PUSH_OUTCOME_APPLIED);
  outcomes.Add(v1::PUSH_OUTCOME_APPLIED);
  outcomes.Add(v1::PUSH_OUTCOME_STALE);
  outcomes.Add(v1::PUSH_OUTCOME_REJECTED);
  outcomes.Add(v1::PUSH_OUTCOME_DUPLICATE);  // The push that it repeats counts.
  v1::RunProgress progress;
  outcomes.Fill(&progress);
  EXPECT_EQ(progress.applied_pushes(), 2);
  EXPECT_EQ(progress.rejected_pushes(), 2);
  EXPECT_EQ(outcomes.counts()[v1::PUSH_OUTCOME_STALE], 1);
}

TEST(SecondsHistogramTest, CountsEachObservationOnce) {
  SecondsHistogram histogram;
  for (const double seconds : {0.0, 1e-5, 2e-5, 0.5, 100.0}) histogram.Add(seconds);
  EXPECT_EQ(histogram.counts().front(), 2u);
  EXPECT_EQ(histogram.counts()[1], 1u);
  EXPECT_EQ(histogram.counts().back(), 1u);
  EXPECT_DOUBLE_EQ(histogram.sum(), 100.50003);
}

}  // namespace
}  // namespace gradd
