#include "core/diagnostics/loss_tracker.h"

#include <gtest/gtest.h>

namespace gradd {
namespace {

TEST(LossTrackerTest, SmoothedLossIsUnbiasedFromTheFirstStepOn) {
  LossTracker tracker;
  EXPECT_EQ(tracker.summary().smoothed, 0);
  tracker.AddStep(4, 10, 0);
  EXPECT_DOUBLE_EQ(tracker.summary().smoothed, 4);
  tracker.AddStep(2, 10, 3);
  // (0.95 * 0.05 * 4 + 0.05 * 2) / (1 - 0.95^2)
  EXPECT_NEAR(tracker.summary().smoothed, 0.29 / 0.0975, 1e-12);
  EXPECT_EQ(tracker.summary().loss, 2);
  EXPECT_EQ(tracker.summary().examples, 20);
  EXPECT_EQ(tracker.summary().staleness, 3);
}

TEST(LossTrackerTest, TheBestSmoothedLossIsKeptWithItsStep) {
  LossTracker tracker;
  for (const double loss : {3.0, 1.0, 9.0}) tracker.AddStep(loss, 1, 0);
  EXPECT_EQ(tracker.summary().best_step, 2);
  EXPECT_LT(tracker.summary().best_smoothed, tracker.summary().smoothed);
}

}  // namespace
}  // namespace gradd
