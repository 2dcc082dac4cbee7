#include "core/sync/synchronization_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gradd {
namespace {

using testing::HasSubstr;

SynchronousState State(bool formed, int live, int ready) {
  SynchronousState state;
  state.formed = formed;
  state.live_members = live;
  state.ready_members = ready;
  state.ready_pushes = ready;
  state.waited = absl::Seconds(1);
  state.deadline = absl::Seconds(10);
  return state;
}

TEST(SynchronousStepDueTest, WaitsForEveryLiveMember) {
  EXPECT_FALSE(SynchronousStepDue(State(true, 3, 0)));
  EXPECT_FALSE(SynchronousStepDue(State(true, 3, 2)));
  EXPECT_TRUE(SynchronousStepDue(State(true, 3, 3)));
}

TEST(SynchronousStepDueTest, WaitsUntilAllWorkersHaveCome) {
  EXPECT_FALSE(SynchronousStepDue(State(false, 1, 1)));
}

TEST(SynchronousStepDueTest, NeverWaitsLongerThanTheDeadline) {
  for (const bool formed : {false, true}) {
    SynchronousState state = State(formed, 3, 1);
    state.waited = state.deadline - absl::Milliseconds(1);
    EXPECT_FALSE(SynchronousStepDue(state));
    state.waited = state.deadline;
    EXPECT_TRUE(SynchronousStepDue(state));
    state.ready_pushes = 0;
    state.ready_members = 0;
    EXPECT_FALSE(SynchronousStepDue(state)) << "there is nothing to apply";
  }
}

TEST(SynchronousStepDueTest, CountsThePushOfAWorkerThatHasGone) {
  SynchronousState state = State(true, 1, 1);
  state.ready_pushes = 2;
  EXPECT_TRUE(SynchronousStepDue(state));
}

TEST(ValidatePolicyTest, NamesFieldValueAndRange) {
  const auto message = [](const v1::SynchronizationPolicy& policy) {
    return std::string(ValidatePolicy(policy, 8).message());
  };
  v1::SynchronizationPolicy policy;
  EXPECT_THAT(message(policy), HasSubstr("neither synchronous nor asynchronous"));
  policy.mutable_synchronous();
  EXPECT_THAT(message(policy), HasSubstr("policy.synchronous.workers: 0 is outside [1, 8]"));
  policy.mutable_synchronous()->set_workers(9);
  EXPECT_THAT(message(policy), HasSubstr("9 is outside [1, 8]"));
  policy.mutable_synchronous()->set_workers(8);
  EXPECT_TRUE(ValidatePolicy(policy, 8).ok());
  EXPECT_EQ(StepDeadline(policy.synchronous()), absl::Seconds(300));
  policy.mutable_synchronous()->mutable_deadline()->set_seconds(-1);
  EXPECT_THAT(message(policy), HasSubstr("policy.synchronous.deadline"));
  policy.mutable_asynchronous()->set_max_staleness(-1);
  EXPECT_THAT(message(policy), HasSubstr("max_staleness: -1 is negative"));
  policy.mutable_asynchronous()->set_max_staleness(0);
  EXPECT_TRUE(ValidatePolicy(policy, 8).ok());
  policy.mutable_asynchronous()->set_correction(static_cast<v1::StalenessCorrection>(9));
  EXPECT_THAT(message(policy), HasSubstr("9 is no StalenessCorrection"));
}

TEST(StalenessFactorTest, DividesByOnePlusStaleness) {
  EXPECT_EQ(StalenessFactor(v1::STALENESS_CORRECTION_NONE, 7), 1);
  EXPECT_EQ(StalenessFactor(v1::STALENESS_CORRECTION_LEARNING_RATE, 0), 1);
  EXPECT_EQ(StalenessFactor(v1::STALENESS_CORRECTION_LEARNING_RATE, 3), 0.25);
}

}  // namespace
}  // namespace gradd
