// A policy as a table: what is there, and what is decided.

#include "core/step/step_policy.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <cmath>
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

constexpr char kThreeOfFive[] =
    "synchronous { workers: 5 quorum: 3 grace { seconds: 2 } deadline { seconds: 10 } }";
constexpr char kAdaptive[] =
    "synchronous { workers: 5 quorum: 3 adaptive_grace: true deadline { seconds: 10 } }";
constexpr char kCarried[] =
    "synchronous { workers: 5 quorum: 3 late_pushes: LATE_PUSHES_CARRIED deadline { seconds: 10 } "
    "}";
constexpr absl::Duration kNow = absl::Hours(1);

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
  absl::Duration quorum_lag = absl::ZeroDuration();
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
  state.now = kNow;
  state.quorum_lag = facts.quorum_lag;
  state.oldest_kept_step = facts.open_step - 2;
  return state;
}

WaitingPush Push(const std::string& worker, int64_t base_step = 7, int64_t in_window = 0) {
  WaitingPush push;
  push.worker = worker;
  push.sequence = 1;
  push.base_step = base_step;
  push.in_window = in_window;
  push.complete_at = kNow;
  return push;
}

// Complete for so long.
WaitingPush Since(double seconds, WaitingPush push) {
  push.complete_at = kNow - absl::Seconds(seconds);
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
      {"a quorum: waits until it is there",
       kThreeOfFive,
       {true, 5, 2, absl::Seconds(9), 1, 0, {Since(9, Push("b")), Since(8, Push("a"))}},
       What::kWait},
      {"a quorum: its grace counts from its last push",
       kThreeOfFive,
       {true,
        5,
        3,
        absl::Seconds(9),
        1,
        0,
        {Since(9, Push("b")), Since(8, Push("a")), Since(1.999, Push("c"))}},
       What::kWait},
      {"a quorum: with all that came in its grace",
       kThreeOfFive,
       {true,
        5,
        4,
        absl::Seconds(9),
        1,
        0,
        {Since(9, Push("b")), Since(8, Push("a")), Since(2, Push("d")), Since(1, Push("c"))}},
       What::kStep,
       {1, 0, 3, 2}},
      {"a quorum: all are in, so nobody else comes",
       kThreeOfFive,
       {true, 3, 3, absl::Seconds(1), 1, 0, {Push("b"), Push("a"), Push("c")}},
       What::kStep,
       {1, 0, 2}},
      {"a quorum of those that are expected, where these are fewer",
       kThreeOfFive,
       {true, 2, 1, absl::Seconds(9), 1, 0, {Since(9, Push("b"))}},
       What::kWait},
      {"a quorum: never past the deadline",
       kThreeOfFive,
       {true,
        5,
        3,
        deadline,
        1,
        0,
        {Since(10, Push("b")), Since(9, Push("a")), Since(1, Push("c"))}},
       What::kStep,
       {1, 0, 2}},
      {"a quorum: the run is not formed",
       kThreeOfFive,
       {false, 3, 2, absl::Seconds(9), 1, 0, {Since(9, Push("b")), Since(9, Push("a"))}},
       What::kWait},
      {"a quorum and a window: the last pushes make it",
       kThreeOfFive,
       {true,
        5,
        3,
        absl::Seconds(9),
        2,
        5,
        {Since(2, Push("a", 7, 1)), Since(2, Push("b", 7, 1)), Since(2, Push("c", 7, 1))}},
       What::kStep,
       {0, 1, 2}},
      {"a quorum that a shorter window has made",
       kThreeOfFive,
       {true, 5, 3, absl::Seconds(2), 1, 3},
       What::kStep,
       {}},
      {"a quorum: the push of a worker that has gone is one of it",
       kThreeOfFive,
       {true,
        4,
        2,
        absl::Seconds(9),
        1,
        0,
        {Since(9, Push("gone")), Since(8, Push("a")), Since(2, Push("b"))}},
       What::kStep,
       {1, 2, 0}},
      {"an adaptive grace: half of the lag is not over",
       kAdaptive,
       {true,
        5,
        3,
        absl::Seconds(9),
        1,
        0,
        {Since(9, Push("a")), Since(8, Push("b")), Since(1.999, Push("c"))},
        7,
        absl::Seconds(4)},
       What::kWait},
      {"an adaptive grace: it is",
       kAdaptive,
       {true,
        5,
        3,
        absl::Seconds(9),
        1,
        0,
        {Since(9, Push("a")), Since(8, Push("b")), Since(2, Push("c"))},
        7,
        absl::Seconds(4)},
       What::kStep,
       {0, 1, 2}},
      {"an adaptive grace: never past the deadline",
       kAdaptive,
       {true,
        5,
        3,
        deadline,
        1,
        0,
        {Since(10, Push("a")), Since(10, Push("b")), Since(1, Push("c"))},
        7,
        absl::Hours(1)},
       What::kStep,
       {0, 1, 2}},
      {"a carried push counts for the quorum, since the step before was made",
       "synchronous { workers: 5 quorum: 3 grace { seconds: 2 } late_pushes: LATE_PUSHES_CARRIED }",
       {true,
        5,
        3,
        absl::Seconds(1),
        1,
        0,
        {Since(50, Push("late", 6)), Since(1, Push("a")), Since(1, Push("b"))}},
       What::kWait},
      {"a carried push is one of the step",
       kCarried,
       {true,
        5,
        3,
        absl::Seconds(1),
        1,
        0,
        {Since(50, Push("late", 6)), Since(1, Push("a")), Push("b")}},
       What::kStep,
       {1, 2, 0}},
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
      {"delay compensation: what is not kept is stale",
       "asynchronous { delay_compensation { strength: 0.5 } }",
       {true, 3, 0, almost, 1, 0, {Push("old", 4), Push("b", 5), Push("a")}},
       What::kStep,
       {1},
       {0}},
      {"delay compensation: or is taken as it is",
       "asynchronous { delay_compensation { strength: 0.5 old_bases: OLD_BASES_UNCORRECTED } }",
       {true, 3, 0, almost, 1, 0, {Push("old", 4), Push("b", 5), Push("a")}},
       What::kStep,
       {0}},
      {"age decay: nothing is left at the cutoff",
       "asynchronous { age_decay { alpha: 0.1 cutoff: 3 } }",
       {true, 3, 0, almost, 1, 0, {Push("old", 4), Push("b", 5), Push("a")}},
       What::kStep,
       {1},
       {0}},
      {"bounded staleness: each is a step",
       "bounded_staleness { bound: 0 }",
       {true, 3, 0, almost, 1, 0, {Push("b", 1), Push("a")}},
       What::kStep,
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

// Against the formulas, written down again, for every staleness from 0 to 8.
TEST(StepPolicyTest, CorrectsTheGradientByItsAge) {
  const auto decays = MakeStepPolicy(Spec("asynchronous { age_decay { alpha: 0.3 } }"));
  const auto ends = MakeStepPolicy(Spec("asynchronous { age_decay { alpha: 0.3 cutoff: 8 } }"));
  const auto compensates =
      MakeStepPolicy(Spec("asynchronous { delay_compensation { strength: 0.5 } }"));
  for (int64_t staleness = 0; staleness <= 8; ++staleness) {
    SCOPED_TRACE(staleness);
    PolicyState state;
    state.open_step = 10;
    const std::vector<WaitingPush> waiting = {Push("a", 10 - staleness)};
    state.waiting = waiting;
    const auto age = static_cast<double>(staleness);
    EXPECT_DOUBLE_EQ(decays->Decide(state).gradient_factor, std::exp(-0.3 * age));
    const Verdict ending = ends->Decide(state);
    EXPECT_EQ(ending.what, staleness == 8 ? What::kWait : What::kStep);
    if (staleness < 8) {
      EXPECT_DOUBLE_EQ(ending.gradient_factor,
                       std::exp(-0.3 * age) * 0.5 * (1 + std::cos(std::acos(-1) * age / 8)));
    }
    const Verdict compensated = compensates->Decide(state);
    EXPECT_EQ(compensated.compensation, staleness == 0 ? 0 : 0.5);
    EXPECT_EQ(compensated.gradient_factor, 1);
    EXPECT_EQ(compensated.rate_factor, 1);
  }
}

TEST(StepPolicyTest, CannotCorrectWithoutMemoryForIt) {
  std::vector<WaitingPush> waiting = {Push("a", 6)};
  waiting[0].cannot_be_corrected = true;
  PolicyState state = StateOf({});
  state.waiting = waiting;
  const Verdict stale =
      MakeStepPolicy(Spec("asynchronous { delay_compensation { strength: 0.5 } }"))->Decide(state);
  EXPECT_EQ(stale.what, What::kWait);
  EXPECT_EQ(stale.dropped.size(), 1);
  const Verdict taken = MakeStepPolicy(Spec("asynchronous { delay_compensation { strength: 0.5 "
                                            "old_bases: OLD_BASES_UNCORRECTED } }"))
                            ->Decide(state);
  EXPECT_EQ(taken.what, What::kStep);
  EXPECT_EQ(taken.compensation, 0);
}

TEST(StepPolicyTest, HoldsBackWhoIsFurtherAheadThanTheBound) {
  const auto policy = MakeStepPolicy(Spec("bounded_staleness { bound: 3 }"));
  EXPECT_TRUE(policy->holds_back());
  EXPECT_TRUE(policy->Releases(3));
  EXPECT_FALSE(policy->Releases(4));
  std::vector<PolicyMember> members = {{"a", true, false, 3}, {"b", true, false, 0}};
  PolicyState state = StateOf({});
  state.members = members;
  EXPECT_THAT(policy->Explain(state).waits_for, IsEmpty()) << "nobody is held back";
  members[0].ahead = 4;
  EXPECT_THAT(policy->Explain(state).waits_for, ElementsAre("b"));
  for (const char* const other : {kThreeWorkers, "asynchronous {}"}) {
    EXPECT_FALSE(MakeStepPolicy(Spec(other))->holds_back());
    EXPECT_TRUE(MakeStepPolicy(Spec(other))->Releases(1'000'000));
  }
}

TEST(StepPolicyTest, SaysWhenItIsDueAndWhoMadeIt) {
  const auto policy = MakeStepPolicy(Spec(kThreeOfFive));
  Facts facts{true, 5, 2, absl::Seconds(9), 1, 0, {Since(9, Push("b")), Since(8, Push("a"))}};
  EXPECT_EQ(policy->Decide(StateOf(facts)).wait_left, absl::Seconds(1)) << "the deadline";
  facts.waited = absl::Seconds(5);
  facts.complete = 3;
  facts.waiting.push_back(Since(1.5, Push("c")));
  EXPECT_EQ(policy->Decide(StateOf(facts)).wait_left, absl::Seconds(0.5)) << "the grace";
  EXPECT_EQ(policy->Explain(StateOf(facts)).until, absl::Seconds(0.5));
  facts.waiting.back() = Since(2.5, Push("c"));
  const Verdict of_quorum = policy->Decide(StateOf(facts));
  EXPECT_EQ(of_quorum.what, What::kStep);
  EXPECT_EQ(of_quorum.quorum_at, kNow - absl::Seconds(2.5));
  EXPECT_FALSE(of_quorum.at_deadline);
  facts.waiting.pop_back();
  facts.complete = 2;
  facts.waited = absl::Seconds(10);
  const Verdict of_deadline = policy->Decide(StateOf(facts));
  EXPECT_EQ(of_deadline.what, What::kStep);
  EXPECT_FALSE(of_deadline.quorum_at.has_value());
  EXPECT_TRUE(of_deadline.at_deadline);
  EXPECT_EQ(policy->Decide(StateOf({})).wait_left, absl::InfiniteDuration());
}

TEST(StepPolicyTest, APushFromOlderParametersIsNotAdmittedToAStepOfAll) {
  const PolicyState state = StateOf({});
  const auto synchronous = MakeStepPolicy(Spec(kThreeWorkers));
  EXPECT_TRUE(synchronous->Admits(7, state));
  EXPECT_FALSE(synchronous->Admits(6, state));
  const auto carries = MakeStepPolicy(Spec(kCarried));
  EXPECT_TRUE(carries->Admits(6, state));
  EXPECT_FALSE(carries->Admits(5, state));
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
  state.formed = false;
  EXPECT_THAT(policy->Explain(state).waits_for, IsEmpty()) << "others, who are not there";
  EXPECT_EQ(policy->Explain(state).until, absl::Seconds(9));
}

TEST(StepPolicyTest, ForgivesThreeMissedDeadlinesUnlessTold) {
  EXPECT_EQ(MakeStepPolicy(Spec(kThreeWorkers))->forgives(), 3);
  EXPECT_EQ(MakeStepPolicy(Spec("synchronous { workers: 1 missed_deadlines: 0 }"))->forgives(), 0);
  EXPECT_EQ(MakeStepPolicy(Spec("asynchronous {}"))->forgives(), 0);
}

TEST(ValidatePolicyTest, NamesFieldValueAndRange) {
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"", "none of synchronous, asynchronous and bounded_staleness is set"},
      {"synchronous {}", "policy.synchronous.workers: 0 is outside [1, 8]"},
      {"synchronous { workers: 9 }", "9 is outside [1, 8]"},
      {"synchronous { workers: 8 }", ""},
      {"synchronous { workers: 8 deadline { seconds: -1 } }", "policy.synchronous.deadline"},
      {"synchronous { workers: 8 missed_deadlines: -1 }",
       "policy.synchronous.missed_deadlines: -1 is outside [0, 1000000]"},
      {"synchronous { workers: 8 quorum: 9 }",
       "policy.synchronous.quorum: 9 is outside [1, 8], the workers"},
      {"synchronous { workers: 8 quorum: 0 }", "policy.synchronous.quorum: 0 is outside [1, 8]"},
      {"synchronous { workers: 8 quorum: 8 grace { nanos: 1 } late_pushes: LATE_PUSHES_CARRIED }",
       ""},
      {"synchronous { workers: 8 quorum: 1 adaptive_grace: true }", ""},
      {"synchronous { workers: 8 quorum: 1 grace { seconds: -1 } }", "policy.synchronous.grace"},
      {"synchronous { workers: 8 quorum: 1 grace { seconds: 86401 } }", "policy.synchronous.grace"},
      {"synchronous { workers: 8 grace { seconds: 1 } }",
       "policy.synchronous.grace: it begins with the quorum"},
      {"synchronous { workers: 8 adaptive_grace: true }",
       "policy.synchronous.adaptive_grace: it begins with the quorum"},
      {"synchronous { workers: 8 late_pushes: 9 }", "9 is no LatePushes"},
      {"asynchronous { max_staleness: -1 }", "max_staleness: -1 is negative"},
      {"asynchronous { max_staleness: 0 }", ""},
      {"asynchronous { correction: 9 }", "9 is no StalenessCorrection"},
      {"asynchronous { delay_compensation {} }",
       "policy.asynchronous.delay_compensation.strength: 0 is outside (0, 1e+06]"},
      {"asynchronous { delay_compensation { strength: nan } }", "strength: nan is outside"},
      {"asynchronous { delay_compensation { strength: 1e6 kept_steps: 1000 } }", ""},
      {"asynchronous { delay_compensation { strength: 1 kept_steps: 0 } }",
       "policy.asynchronous.delay_compensation.kept_steps: 0 is outside [1, 1000]"},
      {"asynchronous { delay_compensation { strength: 1 old_bases: 9 } }", "9 is no OldBases"},
      {"asynchronous { delay_compensation { strength: 1 } age_decay {} }",
       "policy.asynchronous.delay_compensation: beside age_decay"},
      {"asynchronous { delay_compensation { strength: 1 } correction: "
       "STALENESS_CORRECTION_LEARNING_RATE }",
       "policy.asynchronous.delay_compensation: beside correction"},
      {"asynchronous { age_decay {} correction: STALENESS_CORRECTION_LEARNING_RATE }",
       "policy.asynchronous.age_decay: beside correction"},
      {"asynchronous { age_decay { alpha: -0.1 } }",
       "policy.asynchronous.age_decay.alpha: -0.1 is outside [0, 100]"},
      {"asynchronous { age_decay { alpha: inf } }", "alpha: inf is outside [0, 100]"},
      {"asynchronous { age_decay { alpha: 1 cutoff: 0 } }",
       "policy.asynchronous.age_decay.cutoff: 0 is outside [1, 1000000]"},
      {"asynchronous { age_decay { cutoff: 1 } correction: STALENESS_CORRECTION_NONE }", ""},
      {"bounded_staleness {}", "policy.bounded_staleness.bound: not set"},
      {"bounded_staleness { bound: -1 }",
       "policy.bounded_staleness.bound: -1 is outside [0, 1000000]"},
      {"bounded_staleness { bound: 0 }", ""}};
  for (const auto& [text, message] : rows) {
    const absl::Status status = ValidatePolicy(Spec(text), 8);
    EXPECT_EQ(status.ok(), message.empty()) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message)) << text;
  }
}

}  // namespace
}  // namespace gradd
