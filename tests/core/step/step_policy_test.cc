// A policy as a table: what is there, and what is decided.

#include "core/step/step_policy.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace gradd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using What = Verdict::What;

v1::SynchronizationPolicy Spec(const std::string& text) {
  v1::SynchronizationPolicy spec;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &spec)) << text;
  return spec;
}

constexpr char kThreeWorkers[] = "synchronous { workers: 3 deadline { seconds: 10 } }";

// A state with these pushes in it, a second after the first one came.
struct Facts {
  bool formed = true;
  int64_t expected = 3;
  int64_t complete = 0;
  absl::Duration waited = absl::Seconds(1);
  int64_t window = 1;
  int64_t window_pushes = 0;
  std::vector<WaitingPush> waiting = {};
  int64_t open_step = 7;
};

PolicyState StateOf(const Facts& facts) {
  PolicyState state;
  state.open_step = facts.open_step;
  state.formed = facts.formed;
  state.expected = facts.expected;
  state.complete = facts.complete;
  state.window = facts.window;
  state.window_pushes = facts.window_pushes;
  state.waiting = facts.waiting;
  state.waited = facts.waited;
  return state;
}

WaitingPush Push(const std::string& worker, int64_t base_step = 7, int64_t in_window = 0) {
  WaitingPush push;
  push.worker = worker;
  push.sequence = 1;
  push.base_step = base_step;
  push.in_window = in_window;
  return push;
}

struct Row {
  std::string name;
  std::string policy;
  Facts facts;
  What what;
  std::vector<size_t> used = {};
  std::vector<size_t> dropped = {};
  double rate_factor = 1;
};

std::vector<Row> Rows() {
  const absl::Duration deadline = absl::Seconds(10);
  const absl::Duration almost = deadline - absl::Milliseconds(1);
  const std::string corrected =
      "asynchronous { max_staleness: 4 correction: STALENESS_CORRECTION_LEARNING_RATE }";
  return {
      {"nothing to apply", kThreeWorkers, {}, What::kWait},
      {"waits for every expected worker",
       kThreeWorkers,
       {true, 3, 2, almost, 1, 0, {Push("b"), Push("a")}},
       What::kWait},
      {"all are in: in the order of ids",
       kThreeWorkers,
       {true, 3, 3, absl::ZeroDuration(), 1, 0, {Push("b"), Push("c"), Push("a")}},
       What::kStep,
       {2, 0, 1}},
      {"not formed: waits for the others",
       kThreeWorkers,
       {false, 1, 1, almost, 1, 0, {Push("a")}},
       What::kWait},
      {"never longer than the deadline, formed or not",
       kThreeWorkers,
       {false, 1, 1, deadline, 1, 0, {Push("a")}},
       What::kStep,
       {0}},
      {"at the deadline with what there is",
       kThreeWorkers,
       {true, 3, 1, deadline, 1, 0, {Push("c")}},
       What::kStep,
       {0}},
      {"at the deadline without anything", kThreeWorkers, {true, 3, 0, deadline}, What::kWait},
      {"the push of a worker that has gone counts",
       kThreeWorkers,
       {true, 1, 1, almost, 1, 0, {Push("gone"), Push("a")}},
       What::kStep,
       {1, 0}},
      {"a window: folds until the last of each worker",
       kThreeWorkers,
       {true, 2, 0, almost, 3, 3, {Push("a", 7, 2), Push("b", 7, 1)}},
       What::kFold,
       {1}},
      {"a window: the last ones wait for each other",
       kThreeWorkers,
       {true, 2, 1, almost, 3, 4, {Push("a", 7, 2)}},
       What::kWait},
      {"a window: all are in",
       kThreeWorkers,
       {true, 2, 2, almost, 3, 4, {Push("b", 7, 2), Push("a", 7, 2)}},
       What::kStep,
       {1, 0}},
      {"a window that a change has filled",
       kThreeWorkers,
       {true, 2, 2, almost, 2, 4},
       What::kStep,
       {}},
      {"a window at the deadline",
       kThreeWorkers,
       {true, 2, 1, deadline, 3, 4, {Push("a", 7, 2)}},
       What::kStep,
       {0}},
      {"asynchronous: nothing", "asynchronous {}", {}, What::kWait},
      {"asynchronous: each is a step, first come, first served",
       "asynchronous {}",
       {true, 3, 0, almost, 1, 0, {Push("b", 1), Push("a")}},
       What::kStep,
       {0}},
      {"asynchronous: stale ones are dropped",
       corrected,
       {true, 3, 0, almost, 1, 0, {Push("old", 2), Push("b", 3), Push("a")}},
       What::kStep,
       {1},
       {0},
       0.2},
      {"asynchronous: all are stale",
       corrected,
       {true, 3, 0, almost, 1, 0, {Push("old", 2)}},
       What::kWait,
       {},
       {0}},
      {"asynchronous, a window: folds",
       "asynchronous {}",
       {true, 3, 0, almost, 3, 1, {Push("b")}},
       What::kFold,
       {0}},
      {"asynchronous, a window: the last one closes it",
       "asynchronous {}",
       {true, 3, 0, almost, 3, 2, {Push("b"), Push("a")}},
       What::kStep,
       {0}},
      {"asynchronous, a window that a change has filled",
       "asynchronous {}",
       {true, 3, 0, almost, 2, 99, {Push("b")}},
       What::kStep,
       {}},
  };
}

TEST(StepPolicyTest, DecidesByTheTable) {
  for (const Row& row : Rows()) {
    const Verdict verdict = MakeStepPolicy(Spec(row.policy))->Decide(StateOf(row.facts));
    EXPECT_EQ(verdict.what, row.what) << row.name;
    EXPECT_EQ(verdict.used, row.used) << row.name;
    std::vector<size_t> dropped;
    for (const Verdict::Dropped& one : verdict.dropped) {
      dropped.push_back(one.index);
      EXPECT_EQ(one.outcome, v1::PUSH_OUTCOME_STALE) << row.name;
    }
    EXPECT_EQ(dropped, row.dropped) << row.name;
    EXPECT_DOUBLE_EQ(verdict.rate_factor, row.rate_factor) << row.name;
  }
}

TEST(StepPolicyTest, APushFromOlderParametersIsNotAdmittedToAStepOfAll) {
  const PolicyState state = StateOf({});
  const auto synchronous = MakeStepPolicy(Spec(kThreeWorkers));
  EXPECT_TRUE(synchronous->Admits(7, state));
  EXPECT_FALSE(synchronous->Admits(6, state));
  EXPECT_TRUE(MakeStepPolicy(Spec("asynchronous {}"))->Admits(0, state));
}

TEST(StepPolicyTest, SaysWhomItWaitsForAndUntilWhen) {
  const std::vector<PolicyMember> members = {
      {"a", true, true}, {"b", true, false}, {"c", false, false}, {"d", true, false}};
  PolicyState state = StateOf({});
  state.members = members;
  const auto policy = MakeStepPolicy(Spec(kThreeWorkers));
  EXPECT_THAT(policy->Explain(state).waits_for, ElementsAre("b", "d"));
  EXPECT_EQ(policy->Explain(state).until, absl::InfiniteDuration()) << "nothing has begun";
  const std::vector<WaitingPush> waiting = {Push("a")};
  state.waiting = waiting;
  EXPECT_EQ(policy->Explain(state).until, absl::Seconds(9));
  const auto asynchronous = MakeStepPolicy(Spec("asynchronous {}"));
  EXPECT_THAT(asynchronous->Explain(state).waits_for, IsEmpty());
}

TEST(StepPolicyTest, ForgivesThreeMissedDeadlinesUnlessTold) {
  EXPECT_EQ(MakeStepPolicy(Spec(kThreeWorkers))->forgives(), 3);
  EXPECT_EQ(MakeStepPolicy(Spec("synchronous { workers: 1 missed_deadlines: 0 }"))->forgives(), 0);
  EXPECT_EQ(MakeStepPolicy(Spec("asynchronous {}"))->forgives(), 0);
}

TEST(ValidatePolicyTest, NamesFieldValueAndRange) {
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"", "neither synchronous nor asynchronous"},
      {"synchronous {}", "policy.synchronous.workers: 0 is outside [1, 8]"},
      {"synchronous { workers: 9 }", "9 is outside [1, 8]"},
      {"synchronous { workers: 8 }", ""},
      {"synchronous { workers: 8 deadline { seconds: -1 } }", "policy.synchronous.deadline"},
      {"synchronous { workers: 8 missed_deadlines: -1 }",
       "policy.synchronous.missed_deadlines: -1 is outside [0, 1000000]"},
      {"asynchronous { max_staleness: -1 }", "max_staleness: -1 is negative"},
      {"asynchronous { max_staleness: 0 }", ""},
      {"asynchronous { correction: 9 }", "9 is no StalenessCorrection"}};
  for (const auto& [text, message] : rows) {
    const absl::Status status = ValidatePolicy(Spec(text), 8);
    EXPECT_EQ(status.ok(), message.empty()) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message)) << text;
  }
}

}  // namespace
}  // namespace gradd
