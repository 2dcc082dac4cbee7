#include "core/diagnostics/step_history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "core/diagnostics/evaluation_history.h"
#include "core/diagnostics/progress_tracker.h"

namespace gradd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr HistorySelection kAllPoints = {4096, 0, 0};

StepPoint PointOf(uint64_t timeline, int64_t step) {
  const auto x = static_cast<double>(step);
  return {timeline,
          step,
          1e9 + x / 3,
          1 / x,
          2 / x,
          0.1,
          std::sin(x),
          1e-3 * x,
          40 + x,
          512.5,
          step % 2 == 0 ? v1::PHASE_LEVEL : v1::PHASE_STARTING};
}

StepHistory StepsOf(int64_t count) {
  StepHistory history;
  for (int64_t step = 1; step <= count; ++step) history.Add(PointOf(1, step));
  return history;
}

TEST(StepHistoryTest, HasWhatWasAdded) {
  StepHistory history;
  history.Add(PointOf(1, 1));
  StepPoint odd = PointOf(1, 2);
  odd.loss = std::numeric_limits<double>::infinity();
  odd.parameter_norm = std::numeric_limits<double>::quiet_NaN();
  history.Add(odd);
  v1::History filled;
  history.Fill(kAllPoints, &filled);
  EXPECT_EQ(filled.steps_per_point(), 1);
  const v1::StepPoints& steps = filled.steps();
  EXPECT_THAT(steps.timelines(), ElementsAre(1, 1));
  EXPECT_THAT(steps.steps(), ElementsAre(1, 2));
  EXPECT_THAT(steps.times(), ElementsAre(1e9 + 1.0 / 3, 1e9 + 2.0 / 3));
  EXPECT_THAT(steps.losses(), ElementsAre(1, std::numeric_limits<double>::infinity()));
  EXPECT_THAT(steps.smoothed_losses(), ElementsAre(2, 1));
  EXPECT_THAT(steps.learning_rates(), ElementsAre(0.1, 0.1));
  EXPECT_THAT(steps.gradient_norms(), ElementsAre(std::sin(1), std::sin(2)));
  EXPECT_THAT(steps.update_norms(), ElementsAre(1e-3, 2e-3));
  EXPECT_EQ(steps.parameter_norms(0), 41);
  EXPECT_TRUE(std::isnan(steps.parameter_norms(1)));
  EXPECT_THAT(steps.examples_per_second(), ElementsAre(512.5, 512.5));
  EXPECT_THAT(steps.phases(), ElementsAre(v1::PHASE_STARTING, v1::PHASE_LEVEL));
}

TEST(StepHistoryTest, SelectsTimelinesAndFirstSteps) {
  StepHistory history;
  for (int64_t step = 1; step <= 6; ++step) history.Add(PointOf(1, step));
  for (int64_t step = 4; step <= 8; ++step) history.Add(PointOf(3, step));
  const auto steps = [&](const HistorySelection& selection) {
    v1::History filled;
    history.Fill(selection, &filled);
    return std::vector<int64_t>(filled.steps().steps().begin(), filled.steps().steps().end());
  };
  EXPECT_THAT(steps(kAllPoints), ElementsAre(1, 2, 3, 4, 5, 6, 4, 5, 6, 7, 8));
  EXPECT_THAT(steps({4096, 1, 5}), ElementsAre(5, 6));
  EXPECT_THAT(steps({4096, 3, 0}), ElementsAre(4, 5, 6, 7, 8));
  EXPECT_THAT(steps({4096, 0, 6}), ElementsAre(6, 6, 7, 8));
  EXPECT_THAT(steps({4096, 2, 0}), ElementsAre());
  EXPECT_THAT(steps({1, 3, 0}), ElementsAre(8));
}

TEST(StepHistoryTest, ReadBackItIsTheSameToTheBit) {
  for (const int64_t length : {0, 1, 4096, 4097, 9000}) {
    StepHistory live = StepsOf(length);
    state::v1::StepHistoryState state;
    live.Write(&state);
    StepHistory read;
    ASSERT_TRUE(read.Read(state).ok()) << length;
    for (int64_t step = length + 1; step < length + 100; ++step) {
      live.Add(PointOf(2, step));
      read.Add(PointOf(2, step));
    }
    state::v1::StepHistoryState expected;
    live.Write(&expected);
    state.Clear();
    read.Write(&state);
    EXPECT_EQ(state.SerializeAsString(), expected.SerializeAsString()) << length;
  }
}

TEST(StepHistoryTest, OneWithoutPhasesIsReadAndGoesOnWithThem) {
  state::v1::StepHistoryState state;
  StepsOf(3).Write(&state);
  state.mutable_points()->clear_phases();
  StepHistory read;
  ASSERT_TRUE(read.Read(state).ok());
  read.Add(PointOf(1, 4));
  v1::History filled;
  read.Fill(kAllPoints, &filled);
  EXPECT_THAT(filled.steps().phases(), ElementsAre(v1::PHASE_UNSPECIFIED, v1::PHASE_UNSPECIFIED,
                                                   v1::PHASE_UNSPECIFIED, v1::PHASE_LEVEL));
}

TEST(StepHistoryTest, AWholeHistoryIsFarFromTheLimitOfAMessage) {
  const StepHistory history = StepsOf(4096 * 16);
  v1::History filled;
  history.Fill(kAllPoints, &filled);
  EXPECT_EQ(filled.steps().steps_size(), 4096);
  EXPECT_LT(filled.ByteSizeLong(), 400'000U);
}

TEST(StepHistoryTest, RefusesWhatNoHistoryHas) {
  const auto message = [](void (*change)(state::v1::StepHistoryState*)) {
    state::v1::StepHistoryState state;
    StepsOf(3).Write(&state);
    change(&state);
    return std::string(StepHistory().Read(state).message());
  };
  EXPECT_EQ(message([](auto*) {}), "");
  EXPECT_THAT(message([](auto* state) { state->mutable_points()->add_losses(1); }),
              HasSubstr("step_history.points.losses: 4 numbers, as many as timelines expected: 3"));
  EXPECT_THAT(message([](auto* state) { state->mutable_points()->clear_examples_per_second(); }),
              HasSubstr("examples_per_second: 0 numbers"));
  EXPECT_THAT(message([](auto* state) { state->mutable_points()->mutable_phases()->RemoveLast(); }),
              HasSubstr("phases: 2 numbers"));
  EXPECT_THAT(message([](auto* state) { state->mutable_points()->set_timelines(0, 2); }),
              HasSubstr("step 2 of timeline 1 after timeline 2"));
  EXPECT_THAT(message([](auto* state) { state->mutable_points()->set_steps(0, -1); }),
              HasSubstr("step -1 of timeline 1"));
  EXPECT_THAT(message([](auto* state) { state->set_added(4); }), HasSubstr("3 points, 4 expected"));
}

TEST(EvaluationHistoryTest, HasWhatWasAddedOnceAndIsReadBack) {
  EvaluationHistory history;
  history.Add({1, 10, 5, 0.5, 0.25});
  history.Add({1, 10, 6, 0.5, 0.25});  // Its reporter tried again.
  history.Add({1, 10, 7, 0.5, std::nullopt});
  history.Add({2, 10, 8, 0.5, std::nullopt});
  state::v1::EvaluationHistoryState state;
  history.Write(&state);
  EvaluationHistory read;
  ASSERT_TRUE(read.Read(state).ok());
  v1::History filled;
  read.Fill(kAllPoints, &filled);
  EXPECT_EQ(filled.evaluations_per_point(), 1);
  EXPECT_THAT(filled.evaluations().timelines(), ElementsAre(1, 1, 2));
  EXPECT_THAT(filled.evaluations().steps(), ElementsAre(10, 10, 10));
  EXPECT_THAT(filled.evaluations().times(), ElementsAre(5, 7, 8));
  EXPECT_THAT(filled.evaluations().losses(), ElementsAre(0.5, 0.5, 0.5));
  EXPECT_EQ(filled.evaluations().accuracies(0), 0.25);
  EXPECT_TRUE(std::isnan(filled.evaluations().accuracies(1)));
  state::v1::EvaluationHistoryState again;
  read.Write(&again);
  EXPECT_EQ(again.SerializeAsString(), state.SerializeAsString());
  state.mutable_points()->clear_accuracies();
  EXPECT_THAT(read.Read(state).message(), HasSubstr("evaluations.points.accuracies: 0 numbers"));
}

TEST(ProgressTrackerTest, TheHistoryHasTheLastStepAsPeopleSeeIt) {
  ProgressTracker tracker;
  LossSummary losses;
  tracker.Sample(absl::Seconds(1));
  losses = {1, 64, 0.75, 0, 0.8, 0.8, 1};
  tracker.AddStep({1.5, 0.25, 9, absl::Milliseconds(1)}, losses);
  tracker.Sample(absl::Seconds(3));
  tracker.AddToHistory(2, 41, 0.01, absl::FromUnixSeconds(1'700'000'000));
  state::v1::StepResult result;
  tracker.Write(&result);
  ProgressTracker read;
  ASSERT_TRUE(read.Read(result, losses).ok());
  v1::History filled;
  read.history().Fill(kAllPoints, &filled);
  ASSERT_EQ(filled.steps().steps_size(), 1);
  EXPECT_EQ(filled.steps().timelines(0), 2);
  EXPECT_EQ(filled.steps().steps(0), 41);
  EXPECT_EQ(filled.steps().times(0), 1.7e9);
  EXPECT_EQ(filled.steps().losses(0), 0.75);
  EXPECT_EQ(filled.steps().smoothed_losses(0), 0.8);
  EXPECT_EQ(filled.steps().learning_rates(0), 0.01);
  EXPECT_EQ(filled.steps().gradient_norms(0), 1.5);
  EXPECT_EQ(filled.steps().update_norms(0), 0.25);
  EXPECT_EQ(filled.steps().parameter_norms(0), 9);
  EXPECT_EQ(filled.steps().examples_per_second(0), 32);
  result.mutable_history()->set_added(7);
  EXPECT_FALSE(read.Read(result, losses).ok());
}

}  // namespace
}  // namespace gradd
