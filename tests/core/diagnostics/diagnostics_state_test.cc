// What diagnostics go on from: written down and read back after any step, they say the same of
// whatever comes next.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "core/diagnostics/loss_tracker.h"
#include "core/diagnostics/push_outcomes.h"

namespace gradd {
namespace {

using testing::HasSubstr;

// Comes down, is not finite for a step, leaves, and comes back.
std::vector<double> SomeLosses() {
  std::vector<double> losses;
  for (int i = 0; i < 700; ++i) losses.push_back(10.0 / (1 + i) + 0.01 * std::sin(i));
  losses[300] = std::numeric_limits<double>::infinity();
  for (size_t i = 500; i < 600; ++i) losses[i] = 1e6;
  return losses;
}

template <typename Tracker, typename State>
std::string Written(const Tracker& tracker, State state) {
  tracker.Write(&state);
  return state.SerializeAsString();
}

TEST(DiagnosticsStateTest, LossesReadBackAfterAnyStepGoOnAsTheyWould) {
  const std::vector<double> losses = SomeLosses();
  LossTracker live;
  LossTracker read;
  bool diverged = false;
  bool recovered = false;
  for (size_t i = 0; i < losses.size(); ++i) {
    state::v1::LossState state;
    live.Write(&state);
    read = LossTracker();
    ASSERT_TRUE(read.Read(state).ok()) << "before step " << i + 1;
    for (LossTracker* const each : {&live, &read}) {
      each->AddStep(losses[i], /*examples=*/8, static_cast<int64_t>(i % 3));
    }
    ASSERT_EQ(Written(read, state::v1::LossState()), Written(live, state::v1::LossState()))
        << "step " << i + 1;
    ASSERT_EQ(read.divergence().has_value(), live.divergence().has_value()) << "step " << i + 1;
    diverged = diverged || live.divergence().has_value();
    recovered = recovered || (diverged && !live.divergence().has_value());
  }
  EXPECT_TRUE(diverged && recovered) << "otherwise the losses are too tame";
  EXPECT_EQ(live.summary().steps, 700);
  EXPECT_EQ(live.summary().examples, 5600);
}

TEST(DiagnosticsStateTest, NumbersThatNoTrackerHasAreRefusedByName) {
  struct Case {
    const char* what;
    void (*change)(state::v1::LossState*);
  };
  const Case cases[] = {
      {"losses.steps: -1", [](auto* state) { state->set_steps(-1); }},
      {"losses.examples: -1", [](auto* state) { state->set_examples(-1); }},
      {"losses.best_step: 2", [](auto* state) { state->set_best_step(2); }},
      {"mean.bias: 1.5", [](auto* state) { state->mutable_mean()->set_bias(1.5); }},
      {"mean.bias: nan",
       [](auto* state) {
         state->mutable_mean()->set_bias(std::numeric_limits<double>::quiet_NaN());
       }},
      {"divergence.steps: 20", [](auto* state) { state->mutable_divergence()->set_steps(20); }},
      {"divergence.against: 2", [](auto* state) { state->mutable_divergence()->set_against(2); }},
      {"divergence.history: 51 means",
       [](auto* state) {
         for (int i = 0; i < 51; ++i) state->mutable_divergence()->add_history(1);
       }},
  };
  for (const Case& each : cases) {
    LossTracker tracker;
    tracker.AddStep(1, 1, 0);
    state::v1::LossState state;
    tracker.Write(&state);
    if (std::string(each.what).find("history") != std::string::npos) {
      state.mutable_divergence()->clear_history();
    }
    each.change(&state);
    const absl::Status status = LossTracker().Read(state);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << each.what;
    EXPECT_THAT(std::string(status.message()), HasSubstr(each.what));
  }
}

TEST(DiagnosticsStateTest, OutcomesAreReadBack) {
  PushOutcomes outcomes;
  outcomes.Add(v1::PUSH_OUTCOME_APPLIED);
  outcomes.Add(v1::PUSH_OUTCOME_STALE);
  outcomes.Add(v1::PUSH_OUTCOME_STALE);
  state::v1::OutcomesState state;
  outcomes.Write(&state);
  PushOutcomes read;
  ASSERT_TRUE(read.Read(state).ok());
  EXPECT_EQ(read.counts(), outcomes.counts());

  // Written by a server that knew of fewer outcomes.
  state.mutable_counts()->RemoveLast();
  ASSERT_TRUE(read.Read(state).ok());
  EXPECT_EQ(read.counts(), outcomes.counts());
  state.set_counts(0, -1);
  EXPECT_THAT(std::string(read.Read(state).message()), HasSubstr("-1 is negative"));
  for (int i = 0; i < 50; ++i) state.add_counts(0);
  EXPECT_THAT(std::string(read.Read(state).message()), HasSubstr("at most"));
}

}  // namespace
}  // namespace gradd
