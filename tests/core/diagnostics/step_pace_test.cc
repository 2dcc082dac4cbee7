#include "core/diagnostics/step_pace.h"

#include <gtest/gtest.h>

namespace gradd {
namespace {

// Makes `steps` of them, each `interval` after the one before, and returns when the last one was.
absl::Duration Make(int steps, absl::Duration interval, absl::Duration now, StepPace* pace) {
  for (int i = 0; i < steps; ++i) {
    now += interval;
    pace->AddStep(now);
  }
  return now;
}

double Seconds(const StepPace& pace, absl::Duration now) {
  return absl::ToDoubleSeconds(pace.TimePerStep(now).value());
}

TEST(StepPaceTest, IsNotKnownBeforeThreeSteps) {
  StepPace pace;
  EXPECT_FALSE(pace.TimePerStep(absl::ZeroDuration()).has_value());
  const absl::Duration now = Make(2, absl::Seconds(1), absl::ZeroDuration(), &pace);
  EXPECT_FALSE(pace.TimePerStep(now).has_value());
  EXPECT_EQ(Seconds(pace, Make(1, absl::Seconds(1), now, &pace)), 1);
}

TEST(StepPaceTest, NeitherTheWaitForTheFirstStepNorTheFirstStepCounts) {
  StepPace pace;
  absl::Duration now = absl::Seconds(60);
  pace.AddStep(now);
  now = Make(1, absl::Seconds(6), now, &pace);
  now = Make(5, absl::Milliseconds(100), now, &pace);
  EXPECT_NEAR(Seconds(pace, now), 0.1, 1e-9);
}

TEST(StepPaceTest, IsThatOfTheLastSeconds) {
  StepPace pace;
  absl::Duration now = Make(1000, absl::Milliseconds(100), absl::ZeroDuration(), &pace);
  now = Make(1500, absl::Milliseconds(10), now, &pace);  // For 15 seconds.
  EXPECT_NEAR(Seconds(pace, now), 0.01, 0.0005);
  now = Make(300, absl::Milliseconds(100), now, &pace);
  EXPECT_NEAR(Seconds(pace, now), 0.1, 0.005);
}

TEST(StepPaceTest, SlowStepsAreAveragedToo) {
  StepPace pace;
  absl::Duration now;
  for (int i = 0; i < 100; ++i) now = Make(1, absl::Seconds(i % 2 == 0 ? 20 : 40), now, &pace);
  EXPECT_NEAR(Seconds(pace, now), 30, 2);
}

TEST(StepPaceTest, APauseIsNoPartOfIt) {
  StepPace pace;
  absl::Duration now = Make(50, absl::Milliseconds(100), absl::ZeroDuration(), &pace);
  pace.Interrupt();
  now = Make(3, absl::Milliseconds(100), now + absl::Hours(1), &pace);
  EXPECT_NEAR(Seconds(pace, now), 0.1, 1e-9);
}

TEST(StepPaceTest, OneLateStepIsNoNewPace) {
  StepPace pace;
  absl::Duration now = Make(50, absl::Milliseconds(100), absl::ZeroDuration(), &pace);
  now = Make(1, absl::Minutes(1), now, &pace);
  EXPECT_LT(Seconds(pace, now), 0.15);
}

TEST(StepPaceTest, IsNotKnownWhenAStepIsLongOverdue) {
  StepPace pace;
  const absl::Duration now = Make(50, absl::Milliseconds(100), absl::ZeroDuration(), &pace);
  EXPECT_TRUE(pace.TimePerStep(now + absl::Seconds(9)).has_value());
  EXPECT_FALSE(pace.TimePerStep(now + absl::Seconds(11)).has_value());
  StepPace slow;
  const absl::Duration later = Make(50, absl::Seconds(20), now, &slow);
  EXPECT_TRUE(slow.TimePerStep(later + absl::Seconds(150)).has_value());
  EXPECT_FALSE(slow.TimePerStep(later + absl::Seconds(250)).has_value());
}

}  // namespace
}  // namespace gradd
