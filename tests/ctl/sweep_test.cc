#include "ctl/sweep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/schedule/schedule.h"

namespace gradd::ctl {
namespace {

using testing::HasSubstr;

// Steps of a sweep over 1e-6 to 10, whose loss is a function of the decade of the rate before it.
template <typename Loss>
std::vector<v1::TrialStep> Steps(const Loss& loss, int64_t count = 400) {
  std::vector<v1::TrialStep> steps;
  double smoothed = loss(-6);
  for (int64_t i = 0; i < count; ++i) {
    const double decade = -6 + 7 * static_cast<double>(i) / static_cast<double>(count - 1);
    const double before = -6 + 7 * static_cast<double>(i - 1) / static_cast<double>(count - 1);
    v1::TrialStep step;
    step.set_step(i + 1);
    step.set_learning_rate(std::pow(10, decade));
    step.set_loss(loss(std::max(before, -6.0)));
    smoothed = 0.95 * smoothed + 0.05 * step.loss();
    step.set_smoothed_loss(smoothed);
    steps.push_back(step);
  }
  return steps;
}

TEST(SweepTest, RefusesRangesThatAreNone) {
  const auto refusal = [](double from, double to, int64_t steps = 100) {
    return std::string(CheckSweepRange({from, to, steps}, "--steps").message());
  };
  EXPECT_EQ(refusal(1e-4, 1), "");
  EXPECT_EQ(refusal(1, 1), "the range from 1 to 1 is empty; --from must be below --to");
  EXPECT_EQ(refusal(1, 0.1), "the range from 1 to 0.1 is reversed; --from must be below --to");
  EXPECT_EQ(refusal(1e-300, 1), "--from: 1e-300 is outside [1e-12, 1e6]");
  EXPECT_EQ(refusal(0, 1), "--from: 0 is outside [1e-12, 1e6]");
  EXPECT_EQ(refusal(-1, 1), "--from: -1 is outside [1e-12, 1e6]");
  EXPECT_EQ(refusal(std::nan(""), 1), "--from: nan is outside [1e-12, 1e6]");
  EXPECT_EQ(refusal(1, 1e7), "--to: 1e+07 is outside [1e-12, 1e6]");
  EXPECT_EQ(refusal(1, std::numeric_limits<double>::infinity()),
            "--to: inf is outside [1e-12, 1e6]");
  EXPECT_EQ(refusal(1, 2, 19), "--steps: 19 is outside [20, 1000]");
  EXPECT_EQ(refusal(1, 2, 1001), "--steps: 1001 is outside [20, 1000]");
}

TEST(SweepTest, TheScheduleRisesExponentially) {
  const SweepRange range = {1e-5, 10, kMaxSweepSteps};
  const v1::Schedule schedule = SweepSchedule(range);
  ASSERT_TRUE(ValidateSchedule(schedule).ok());
  EXPECT_NEAR(LearningRate(schedule, 0), 1e-5, 1e-14);
  EXPECT_NEAR(LearningRate(schedule, range.steps - 1), 10, 1e-8);
  const double ratio = std::pow(1e6, 1.0 / static_cast<double>(range.steps - 1));
  for (int64_t step = 1; step < range.steps; ++step) {
    EXPECT_NEAR(LearningRate(schedule, step) / LearningRate(schedule, step - 1), ratio, 1e-9);
  }
}

TEST(SweepTest, ARateGoesWithTheLossToWhichItLed) {
  const std::vector<SweepPoint> points = SweepPoints(Steps([](double d) { return 3 - d / 6; }));
  ASSERT_EQ(points.size(), 399U);
  for (const SweepPoint& point : points) {
    EXPECT_NEAR(point.loss, 3 - std::log10(point.rate) / 6, 1e-9);
  }
}

TEST(SweepTest, EndsWhereTheLossDiverges) {
  const auto explodes = [](double d) { return d < -1 ? 2.0 : 2.0 * std::pow(10, 9 * (d + 1)); };
  const std::vector<v1::TrialStep> steps = Steps(explodes);
  EXPECT_TRUE(HasDiverged(steps));
  const std::vector<SweepPoint> points = SweepPoints(steps);
  EXPECT_GT(points.back().rate, 0.1);
  EXPECT_LT(points.back().rate, 0.3);
  // What explodes does not show where all was well.
  for (const SweepPoint& point : points) {
    if (point.rate < 0.02) {
      EXPECT_NEAR(point.smoothed_loss, 2, 0.05);
    }
  }
  EXPECT_FALSE(HasDiverged(Steps([](double d) { return 3 - d / 6; })));
  // A loss that is not finite has diverged, and one below 0 has not.
  EXPECT_TRUE(HasDiverged(Steps([](double d) { return d < 0 ? 1 : std::nan(""); })));
  EXPECT_FALSE(HasDiverged(Steps([](double d) { return -1 - d; })));
}

TEST(SweepTest, SuggestsTheMiddleOfWhereTheFallIsHeld) {
  // A plateau of 3, a slope from 1e-4 to 1e-3, a floor of 1 up to 1e-1, and a rise.
  const auto valley = [](double d) {
    if (d < -4) return 3.0;
    if (d < -3) return 3 - 2 * (d + 4);
    return d < -1 ? 1.0 : 1 + 4 * (d + 1);
  };
  const auto suggestion = SuggestRate(SweepPoints(Steps(valley)));
  ASSERT_TRUE(suggestion.ok()) << suggestion.status();
  // From 10^-3.3, where 70 % are reached, to 10^-0.85, where they are lost.
  EXPECT_NEAR(std::log10(suggestion->rate), (-3.3 - 0.85) / 2, 0.1);
  EXPECT_THAT(suggestion->reason, HasSubstr("70 % of its fall from 3 to 1"));
  EXPECT_THAT(suggestion->reason, testing::Not(HasSubstr("--to")));
}

TEST(SweepTest, SaysThatAFallWithinTheNoiseIsAGuess) {
  // A fall of `fall` around a rate of 1e-3, with noise of a deviation of 0.2.
  const auto reason = [](double fall) {
    std::mt19937_64 engine(7);
    std::normal_distribution<double> noise(0, 0.2);
    const auto loss = [&](double d) {
      return 2 - fall * std::exp(-(d + 3) * (d + 3)) + noise(engine);
    };
    const auto suggestion = SuggestRate(SweepPoints(Steps(loss)));
    return suggestion.ok() ? suggestion->reason : std::string(suggestion.status().message());
  };
  EXPECT_THAT(reason(0.05), HasSubstr("a guess, since mini-batches alone move the loss by 0.0"));
  EXPECT_THAT(reason(1), testing::Not(HasSubstr("a guess")));
}

TEST(SweepTest, SaysThatTheRangeEndsTooEarly) {
  const auto suggestion = SuggestRate(SweepPoints(Steps([](double d) { return 3 - (d + 6) / 4; })));
  ASSERT_TRUE(suggestion.ok()) << suggestion.status();
  EXPECT_THAT(suggestion->reason, HasSubstr("a larger --to may tell more"));
}

TEST(SweepTest, SuggestsNothingWhereNothingIsLearned) {
  EXPECT_EQ(ReasonOf(SuggestRate({}).status()), "NO_SUGGESTION");
  const auto rising = SuggestRate(SweepPoints(Steps([](double d) { return 10 + d; })));
  EXPECT_EQ(ReasonOf(rising.status()), "NO_SUGGESTION");
  EXPECT_THAT(std::string(rising.status().message()), HasSubstr("a smaller --from"));
  const auto flat = SuggestRate(SweepPoints(Steps([](double) { return 2.0; })));
  EXPECT_EQ(ReasonOf(flat.status()), "NO_SUGGESTION");
}

}  // namespace
}  // namespace gradd::ctl
