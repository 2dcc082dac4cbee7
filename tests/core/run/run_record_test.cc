// The record of a run as a value: events in, state out.

#include "core/run/run_record.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/run/recent_events.h"

namespace gradd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

state::v1::Event ParseEvent(const std::string& text) {
  state::v1::Event event;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &event)) << text;
  return event;
}

std::string Created(const std::string& more = "max_steps: 4") {
  return "created { spec { name: 'runs/r' optimizer { sgd {} } schedule { learning_rate: 0.5 } "
         "policy { synchronous { workers: 2 } } " +
         more + " } uid: 'f00d' }";
}
std::string Joined(const std::string& worker) {
  return "member { worker: '" + worker + "' kind: KIND_JOINED address: 'host' }";
}
std::string Used(const std::string& worker, int sequence, double loss = 1) {
  return "used { worker: '" + worker + "' sequence: " + std::to_string(sequence) +
         " examples: 2 loss: " + std::to_string(loss) + " coefficient: 0.5 } ";
}
std::string Step(int step, const std::string& of, double loss = 1) {
  return "step { step: " + std::to_string(step) + " loss: " + std::to_string(loss) +
         " examples: 4 " + of + " }";
}

std::string TextOf(const RunRecord& record) {
  state::v1::RunState state;
  record.Write(&state);
  return state.DebugString();
}

// A record, and beside it, for every event before, one that was read back there and has gone on
// since: it must be the same.
class RunRecordTest : public testing::Test {
 protected:
  void Apply(const std::string& text) {
    state::v1::Event event = ParseEvent(text);
    event.set_number(++events_);
    event.mutable_time()->set_seconds(1000 + events_);
    if (events_ > 1) {
      state::v1::RunState state;
      record_.Write(&state);
      read_back_.push_back(std::make_unique<RunRecord>());
      ASSERT_TRUE(read_back_.back()->Read(state, absl::ZeroDuration()).ok());
    }
    record_.Apply(event);
    for (const auto& record : read_back_) {
      record->Apply(event);
      ASSERT_EQ(TextOf(*record), TextOf(record_)) << "after " << text;
    }
  }
  void ApplyAll(const std::vector<std::string>& texts) {
    for (const std::string& text : texts) Apply(text);
  }
  const Member& member(const std::string& worker) { return *record_.members().Find(worker); }
  std::vector<std::string> History() const {
    v1::Run run;
    record_.history().AppendTo(1 << 20, &run);
    std::vector<std::string> lines;
    for (const v1::Change& change : run.history()) {
      lines.push_back(absl::StrCat(change.step(), " ", change.author(), " ", change.field(), " ",
                                   change.old_value(), " ", change.new_value()));
    }
    return lines;
  }

  RunRecord record_;
  int64_t events_ = 0;
  std::vector<std::unique_ptr<RunRecord>> read_back_;
};

TEST_F(RunRecordTest, BeginsAsItWasCreated) {
  Apply(Created());
  EXPECT_EQ(record_.state(), v1::RUN_STATE_RUNNING);
  EXPECT_EQ(record_.step(), 0);
  EXPECT_EQ(record_.spec().max_steps(), 4);
  EXPECT_EQ(record_.policy().starts_with(), 2);
  EXPECT_EQ(record_.create_time().seconds(), 1001);
  EXPECT_EQ(record_.RateAt(0), 0.5);
}

TEST_F(RunRecordTest, ATimelineIsInTheHistoryAndThePushesAfterItAreOfIt) {
  ApplyAll({Created(), Joined("a"), Joined("b"), Step(1, Used("a", 1))});
  EXPECT_EQ(record_.timeline()->run_uid, "f00d");
  EXPECT_EQ(record_.timeline()->number, 1U);
  ApplyAll({"timeline { number: 2 author: 'ada' }", Step(2, Used("b", 1))});
  EXPECT_EQ(record_.timeline()->run_uid, "f00d");
  EXPECT_EQ(record_.timeline()->number, 2U);
  EXPECT_EQ(member("a").ledger.timeline, 1U);
  EXPECT_EQ(member("b").ledger.timeline, 2U);
  EXPECT_THAT(History(), testing::ElementsAre("1 ada timeline 1 2"));
}

TEST_F(RunRecordTest, AStepMovesTheLedgerOfWhoeverIsPartOfIt) {
  ApplyAll({Created(), Joined("a"), Joined("b")});
  EXPECT_TRUE(record_.members().formed());
  Apply(Step(1, Used("a", 1) + Used("b", 1), 2.5));
  EXPECT_EQ(record_.step(), 1);
  EXPECT_EQ(member("a").ledger.sequence, 1);
  EXPECT_EQ(member("a").ledger.outcome, v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(member("a").ledger.step, 1);
  EXPECT_EQ(member("a").applied_pushes, 1);
  EXPECT_EQ(record_.losses().summary().loss, 2.5);
  EXPECT_EQ(record_.losses().summary().examples, 4);
  EXPECT_EQ(record_.outcomes().counts()[v1::PUSH_OUTCOME_APPLIED], 2);
  EXPECT_EQ(record_.state(), v1::RUN_STATE_RUNNING);
}

TEST_F(RunRecordTest, WhoIsMissingInThreeStepsIsExpectedAgainOnceAPushOfItIsComplete) {
  ApplyAll({Created("max_steps: 9"), Joined("a"), Joined("b")});
  for (int step = 1; step <= 3; ++step) Apply(Step(step, Used("a", step) + "missing: 'b'"));
  EXPECT_FALSE(record_.members().IsExpected(member("b")));
  Apply("member { worker: 'b' kind: KIND_EXPECTED }");
  EXPECT_TRUE(record_.members().IsExpected(member("b")));
}

TEST_F(RunRecordTest, OnlyAnswersForGoodUseASequenceUp) {
  struct Case {
    const char* outcome;
    int64_t sequence;  // The ledger's afterwards.
    int64_t skipped;
  };
  ApplyAll({Created(), Joined("a")});
  int64_t rejected = 0;
  for (const Case& each : {Case{"SKIPPED", 1, 1}, Case{"REJECTED", 1, 1}, Case{"ROLLED_BACK", 1, 1},
                           Case{"SKIPPED", 2, 2}, Case{"STALE", 3, 2}, Case{"SUPERSEDED", 4, 2}}) {
    const int64_t next = member("a").ledger.sequence + 1;
    Apply("answer { worker: 'a' sequence: " + std::to_string(next) +
          " step: 7 outcome: PUSH_OUTCOME_" + each.outcome + " }");
    EXPECT_EQ(member("a").ledger.sequence, each.sequence) << each.outcome;
    EXPECT_EQ(record_.skipped_in_a_row(), each.skipped) << each.outcome;
    EXPECT_EQ(member("a").rejected_pushes, ++rejected) << each.outcome;
    EXPECT_EQ(member("a").ledger.step, 7) << each.outcome;
  }
  Apply(Step(1, Used("a", 5)));
  EXPECT_EQ(record_.skipped_in_a_row(), 0);
}

TEST_F(RunRecordTest, AWindowIsWhatWasFoldedSinceTheLastStep) {
  ApplyAll({Created(), Joined("a"),
            "fold { push { worker: 'a' sequence: 1 examples: 1 loss: 4 } largest: 3 }",
            "fold { push { worker: 'a' sequence: 2 examples: 3 loss: 0 } largest: 2 keep: 0.25 }"});
  EXPECT_EQ(record_.window().pushes, 2);
  EXPECT_EQ(record_.window().examples, 4);
  EXPECT_EQ(record_.window().loss, 1);
  EXPECT_EQ(record_.window().largest, 3);
  EXPECT_EQ(member("a").in_window, 2);
  EXPECT_EQ(member("a").ledger.outcome, v1::PUSH_OUTCOME_ACCUMULATED);
  Apply(Step(1, Used("a", 3)));
  EXPECT_EQ(record_.window().pushes, 0);
  EXPECT_EQ(member("a").in_window, 0);
}

TEST_F(RunRecordTest, TheLastStepEndsTheRun) {
  ApplyAll({Created("max_steps: 1"), Joined("a"), Step(1, Used("a", 1))});
  EXPECT_EQ(record_.state(), v1::RUN_STATE_FINISHED);
  EXPECT_THAT(History(), ElementsAre("1  state \"RUN_STATE_RUNNING\" \"RUN_STATE_FINISHED\""));
  EXPECT_EQ(absl::ToUnixSeconds(record_.state_time()), 1003);

  // It goes on only if it is told for how long.
  const std::string spec =
      "spec { optimizer { sgd {} } schedule { learning_rate: 0.5 } "
      "policy { synchronous { workers: 2 } } ";
  Apply("change { author: 'ada' mask { paths: 'schedule' } " + spec + "} }");
  EXPECT_EQ(record_.state(), v1::RUN_STATE_FINISHED);
  Apply("change { author: 'ada' mask { paths: 'max_steps' } " + spec + "max_steps: 3 } }");
  EXPECT_EQ(record_.state(), v1::RUN_STATE_RUNNING);
  EXPECT_EQ(record_.state_author(), "ada");
  Apply("change { author: 'bob' mask { paths: 'max_steps' } " + spec + "max_steps: 1 } }");
  EXPECT_EQ(record_.state(), v1::RUN_STATE_FINISHED) << "it has made as many";
}

TEST_F(RunRecordTest, AChangeIsInTheHistoryFieldByField) {
  ApplyAll({Created(), Joined("a"), Step(1, Used("a", 1)),
            "change { author: 'ada' mask { paths: 'schedule.learning_rate' paths: 'max_steps' } "
            "spec { optimizer { sgd {} } schedule { learning_rate: 0.25 begins_at: 1 } "
            "policy { asynchronous {} } max_steps: 4 } }"});
  EXPECT_THAT(History(),
              ElementsAre("1 ada schedule.learning_rate 0.5 0.25", "1 ada schedule.begins_at  1"));
  EXPECT_EQ(record_.RateAt(1), 0.25);
  EXPECT_EQ(record_.policy().starts_with(), 0) << "the policy is another one";
}

TEST_F(RunRecordTest, PlateausComeOfLossesAndEvaluations) {
  ApplyAll(
      {"created { uid: 'f00d' spec { optimizer { sgd {} } schedule { learning_rate: 1 "
       "reduce_on_plateau { "
       "patience: 0 factor: 0.5 } } policy { asynchronous {} } } }",
       "evaluation { step: 1 loss: 1 examples: 1 }", "evaluation { step: 2 loss: 2 examples: 1 }"});
  EXPECT_EQ(record_.RateAt(0), 0.5);
  EXPECT_EQ(record_.RatesAt(0).learning_rate, 0.5);
  EXPECT_EQ(record_.evaluation()->loss(), 2);
  EXPECT_THAT(History(), ElementsAre("0 reduce_on_plateau schedule.reduce_on_plateau 1 0.5"));
}

TEST_F(RunRecordTest, WhoGoesStaysInTheLedgerAndIsRemembered) {
  ApplyAll({Created(), Joined("a"), Joined("b"), Step(1, Used("a", 1) + Used("b", 1)),
            "member { worker: 'a' kind: KIND_LEFT }",
            "member { worker: 'b' kind: KIND_LOST unread: true }"});
  EXPECT_EQ(member("a").state, v1::WORKER_STATE_LEFT);
  EXPECT_EQ(member("b").state, v1::WORKER_STATE_EXPIRED);
  EXPECT_FALSE(record_.members().formed());
  EXPECT_EQ(record_.members().departures().all().front().worker, "b");
  EXPECT_EQ(record_.members().departures().all().front().at, absl::Seconds(1006));
  Apply(Joined("a"));
  EXPECT_EQ(member("a").ledger.sequence, 1);
}

TEST_F(RunRecordTest, StatesSayWhoAndWhatFor) {
  ApplyAll({Created(), "state { state: RUN_STATE_PAUSED reason: 'the result is not finite' }"});
  EXPECT_EQ(record_.state(), v1::RUN_STATE_PAUSED);
  EXPECT_EQ(record_.state_reason(), "the result is not finite");
  ApplyAll({"state { state: RUN_STATE_RUNNING author: 'ada' }", "deleted {}"});
  EXPECT_EQ(record_.state_author(), "ada");
  EXPECT_TRUE(record_.deleted());
}

TEST(RunRecordReadTest, WhatNoRecordHasIsRefusedByName) {
  RunRecord record;
  state::v1::Event event = ParseEvent(Created());
  event.set_number(1);
  record.Apply(event);
  struct Case {
    const char* what;
    void (*change)(state::v1::RunState*);
  };
  const Case cases[] = {
      {"0 events", [](auto* state) { state->set_events(0); }},
      {"-1 steps", [](auto* state) { state->set_step(-1); }},
      {"9007199254740992 steps, below 9007199254740992 expected",
       [](auto* state) { state->set_step(int64_t{1} << 53); }},
      {"its uid is \"\"", [](auto* state) { state->clear_uid(); }},
      {"its timeline 0", [](auto* state) { state->set_timeline(0); }},
      {"RUNNING, PAUSED or FINISHED", [](auto* state) { state->set_state(v1::RUN_STATE_HELD); }},
      {"policy", [](auto* state) { state->mutable_spec()->clear_policy(); }},
      {"learning_rate",
       [](auto* state) { state->mutable_spec()->mutable_schedule()->set_learning_rate(-1); }},
      {"window", [](auto* state) { state->mutable_window()->set_pushes(3); }},
      {"plateau.factor", [](auto* state) { state->mutable_plateau()->set_factor(-1); }},
      {"member", [](auto* state) { state->mutable_members()->add_members(); }},
      {"outcomes", [](auto* state) { state->mutable_outcomes()->set_counts(1, -1); }},
      {"losses", [](auto* state) { state->mutable_losses()->set_steps(-1); }},
  };
  for (const Case& each : cases) {
    state::v1::RunState state;
    record.Write(&state);
    each.change(&state);
    const absl::Status status = RunRecord().Read(state, absl::ZeroDuration());
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << each.what;
    EXPECT_THAT(std::string(status.message()), HasSubstr(each.what));
  }
}

TEST(RecentEventsTest, TheOldestAreForgotten) {
  RecentEvents events(/*most_bytes=*/100);
  for (int i = 1; i <= 200; ++i) {
    state::v1::Event event;
    event.set_number(i);
    event.mutable_member()->set_worker("a");
    events.Append(event, {});
  }
  const std::vector<state::v1::Event> kept = events.All();
  ASSERT_GT(kept.size(), 5U);
  ASSERT_LT(kept.size(), 20U);
  EXPECT_EQ(kept.back().number(), 200);
  EXPECT_EQ(kept.front().number(), 201 - static_cast<int64_t>(kept.size()));
}

}  // namespace
}  // namespace gradd
