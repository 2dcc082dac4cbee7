#include "core/diagnostics/progress_tracker.h"

#include <gtest/gtest.h>

namespace gradd {
namespace {

StepStatistics Step(double loss, int64_t examples) {
  StepStatistics step;
  step.loss = loss;
  step.examples = examples;
  step.apply_time = absl::Milliseconds(2);
  return step;
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

TEST(ProgressTrackerTest, SmoothedLossIsUnbiasedFromTheFirstStepOn) {
  ProgressTracker tracker;
  tracker.AddStep(Step(4, 10));
  EXPECT_DOUBLE_EQ(Filled(tracker).smoothed_loss(), 4);
  tracker.AddStep(Step(2, 10));
  // (0.95 * 0.05 * 4 + 0.05 * 2) / (1 - 0.95^2)
  EXPECT_NEAR(Filled(tracker).smoothed_loss(), 0.29 / 0.0975, 1e-12);
  EXPECT_EQ(Filled(tracker).loss(), 2);
  EXPECT_EQ(Filled(tracker).examples(), 20);
}

TEST(ProgressTrackerTest, RatesCoverTheLastTenSeconds) {
  ProgressTracker tracker;
  absl::Duration now = absl::Hours(5);
  for (int tick = 0; tick <= 300; ++tick, now += absl::Milliseconds(100)) {
    tracker.Sample(now);
    const int steps = tick < 150 ? 1 : 4;  // Faster in the second half of 30 seconds.
    for (int i = 0; i < steps; ++i) tracker.AddStep(Step(1, 8));
  }
  EXPECT_NEAR(Filled(tracker).steps_per_second(), 40, 0.01);
  EXPECT_NEAR(Filled(tracker).examples_per_second(), 320, 0.1);
}

TEST(ProgressTrackerTest, CountsPushesByOutcome) {
  ProgressTracker tracker;
  tracker.AddOutcome(v1::PUSH_OUTCOME_APPLIED);
  tracker.AddOutcome(v1::PUSH_OUTCOME_APPLIED);
  tracker.AddOutcome(v1::PUSH_OUTCOME_STALE);
  tracker.AddOutcome(v1::PUSH_OUTCOME_REJECTED);
  tracker.AddOutcome(v1::PUSH_OUTCOME_DUPLICATE);  // The push that it repeats counts.
  EXPECT_EQ(Filled(tracker).applied_pushes(), 2);
  EXPECT_EQ(Filled(tracker).rejected_pushes(), 2);
  EXPECT_EQ(tracker.outcomes()[v1::PUSH_OUTCOME_STALE], 1);
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
