#include "core/step/step_decision.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace gradd {
namespace {

using testing::ElementsAre;
using testing::FloatEq;

const std::vector<WaitingPush> kPushes = {{"b", 3, 6, 10, 2.0, 0}, {"a", 9, 7, 30, 4.0, 0}};

// A verdict that uses one push.
Verdict UseOnly(size_t index) {
  Verdict verdict;
  verdict.what = Verdict::What::kFold;
  verdict.used = {index};
  return verdict;
}

PolicyState State() {
  PolicyState state;
  state.open_step = 7;
  state.waiting = kPushes;
  return state;
}

TEST(StepDecisionTest, IsTheMeanOfAllExamples) {
  Verdict verdict;
  verdict.what = Verdict::What::kStep;
  verdict.used = {1, 0};
  verdict.rate_factor = 0.5;
  const state::v1::StepDecision decision = DecideStep(verdict, State(), {0.1, 0.2, 0.9});
  EXPECT_EQ(decision.step(), 8);
  EXPECT_EQ(decision.used(0).worker(), "a");
  EXPECT_EQ(decision.used(0).sequence(), 9);
  EXPECT_EQ(decision.used(1).base_step(), 6);
  EXPECT_THAT(CoefficientsOf(decision), ElementsAre(0.75F, 0.25F));
  EXPECT_EQ(decision.window_coefficient(), 0);
  EXPECT_EQ(decision.examples(), 40);
  EXPECT_DOUBLE_EQ(decision.loss(), 0.75 * 4 + 0.25 * 2);
  EXPECT_EQ(decision.staleness(), 1);
  EXPECT_DOUBLE_EQ(decision.learning_rate(), 0.05);
  EXPECT_DOUBLE_EQ(decision.learning_rate_without_warm_up(), 0.1);
  EXPECT_DOUBLE_EQ(decision.momentum(), 0.9);
}

TEST(StepDecisionTest, WhatLiesInTheWindowCountsByItsExamples) {
  PolicyState state = State();
  state.window = 4;
  state.window_pushes = 2;
  state.window_examples = 60;
  state.window_loss = 1;
  state.window_staleness = 5;
  Verdict verdict;
  verdict.what = Verdict::What::kStep;
  verdict.used = {1, 0};
  const state::v1::StepDecision decision = DecideStep(verdict, state, {});
  EXPECT_EQ(decision.examples(), 100);
  EXPECT_FLOAT_EQ(decision.window_coefficient(), 0.6F);
  EXPECT_THAT(CoefficientsOf(decision), ElementsAre(FloatEq(0.3F), FloatEq(0.1F)));
  EXPECT_DOUBLE_EQ(decision.loss(), 0.6 * 1 + 0.3 * 4 + 0.1 * 2);
  EXPECT_EQ(decision.staleness(), 5);
}

TEST(StepDecisionTest, AWindowOnItsOwnIsTakenAsItIs) {
  PolicyState state = State();
  state.window_pushes = 99;
  state.window_examples = 990;
  state.window_loss = 3;
  Verdict verdict;
  verdict.what = Verdict::What::kStep;
  const state::v1::StepDecision decision = DecideStep(verdict, state, {});
  EXPECT_EQ(decision.window_coefficient(), 1);
  EXPECT_EQ(decision.examples(), 990);
  EXPECT_EQ(decision.loss(), 3);
}

TEST(StepDecisionTest, AFoldKeepsTheMeanOfTheExamples) {
  PolicyState state = State();
  const state::v1::FoldedPush first = DecideFold(UseOnly(0), state);
  EXPECT_EQ(first.keep(), 0);
  EXPECT_EQ(first.push().coefficient(), 1);
  state.window_pushes = 1;
  state.window_examples = 10;
  const state::v1::FoldedPush second = DecideFold(UseOnly(1), state);
  EXPECT_EQ(second.push().worker(), "a");
  EXPECT_EQ(second.keep(), 0.25F);
  EXPECT_EQ(second.push().coefficient(), 0.75F);
}

TEST(StepDecisionTest, AGradientThatIsScaledCountsLessAndItsExamplesAsTheyAre) {
  Verdict verdict = UseOnly(0);
  verdict.gradient_factor = 0.25;
  verdict.compensation = 0.5;
  const state::v1::StepDecision decision = DecideStep(verdict, State(), {});
  EXPECT_THAT(CoefficientsOf(decision), ElementsAre(0.25F));
  EXPECT_EQ(decision.used(0).compensation(), 0.5);
  EXPECT_EQ(decision.examples(), 10);
  EXPECT_EQ(decision.loss(), 2);
  PolicyState state = State();
  state.window_pushes = 1;
  state.window_examples = 30;
  const state::v1::FoldedPush fold = DecideFold(verdict, state);
  EXPECT_EQ(fold.keep(), 0.75F);
  EXPECT_EQ(fold.push().coefficient(), 0.0625F);
}

TEST(StepDecisionTest, ExampleCountsNearTheLimitDoNotOverflow) {
  const int64_t most = int64_t{1} << 40;
  const std::vector<WaitingPush> pushes = {{"a", 1, 7, most, 1, 0}, {"b", 1, 7, most, 3, 0}};
  PolicyState state = State();
  state.waiting = pushes;
  Verdict verdict;
  verdict.what = Verdict::What::kStep;
  verdict.used = {0, 1};
  const state::v1::StepDecision decision = DecideStep(verdict, state, {});
  EXPECT_EQ(decision.examples(), 2 * most);
  EXPECT_EQ(decision.loss(), 2);
}

TEST(StepDecisionTest, SaysWhatBecomesOfTheOthers) {
  Verdict verdict;
  verdict.what = Verdict::What::kStep;
  verdict.used = {1};
  verdict.dropped = {{0, v1::PUSH_OUTCOME_STALE}};
  const state::v1::StepDecision decision = DecideStep(verdict, State(), {});
  ASSERT_EQ(decision.others_size(), 1);
  EXPECT_EQ(decision.others(0).worker(), "b");
  EXPECT_EQ(decision.others(0).outcome(), v1::PUSH_OUTCOME_STALE);
  EXPECT_THAT(CoefficientsOf(decision), ElementsAre(1));
}

}  // namespace
}  // namespace gradd
