// Steps that are made of a quorum: who is waited for, and what becomes of those who come later.

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "core/run/run.h"
#include "core/run/run_registry.h"
#include "tests/core/run/three_workers_test.h"
#include "tests/support/fake_worker.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Pushes of two elements.
Limits RoomForFour() {
  Limits limits;
  limits.max_staged_bytes = 4 * 2 * static_cast<int64_t>(sizeof(float));
  return limits;
}

// A run of two parameters, in which two workers make a quorum.
class QuorumTest : public ThreeWorkersTest {
 protected:
  QuorumTest() : ThreeWorkersTest(RoomForFour()) {}

  void Create(const std::string& options = "") {
    v1::Run spec = SynchronousSpec(2, 3);
    v1::Synchronous more;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString("quorum: 2 " + options, &more))
        << options;
    spec.mutable_policy()->mutable_synchronous()->MergeFrom(more);
    spec.mutable_lease_duration()->set_seconds(60);
    CreateAndJoin(spec);
  }
  // From the present parameters, or those of an earlier step.
  void Push(size_t worker, float value) { PushFrom(step(), worker, value); }
  void PushFrom(int64_t base_step, size_t worker, float value) {
    workers_[worker]->Push(++sequences_[worker], base_step, {value, 2 * value});
  }
  std::vector<v1::PushOutcome> Outcomes(size_t worker) const {
    std::vector<v1::PushOutcome> outcomes;
    for (const v1::PushResult& result : workers_[worker]->results()) {
      outcomes.push_back(result.outcome());
    }
    return outcomes;
  }
  float parameter() const {
    float first = 0;
    run_->RequestSnapshot(SnapshotContents::kAll,
                          [&](const auto& snapshot) { first = ValuesOf(*snapshot)[0]; });
    return first;
  }
};

TEST_F(QuorumTest, MakesAStepAndWhoComesLaterIsSuperseded) {
  Create();
  Push(2, 1);
  EXPECT_EQ(step(), 0);
  Push(0, 3);
  EXPECT_EQ(step(), 1);
  EXPECT_EQ(parameter(), -2) << "the mean of two";
  PushFrom(0, 1, 100);
  EXPECT_THAT(Outcomes(1), ElementsAre(v1::PUSH_OUTCOME_SUPERSEDED));
  EXPECT_EQ(parameter(), -2);
}

TEST_F(QuorumTest, WaitsForItsGraceAndTakesWhoComesInIt) {
  Create("grace { nanos: 250000000 }");
  Push(0, 1);
  Push(1, 3);
  EXPECT_EQ(step(), 0);
  Pass(absl::Milliseconds(249));
  EXPECT_EQ(step(), 0);
  Pass(absl::Milliseconds(1));
  EXPECT_EQ(step(), 1);
  Push(0, 1);
  Push(1, 1);
  Push(2, 1);
  EXPECT_EQ(step(), 2) << "all are there: nobody is waited for";
}

// Between two ticks of the server.
TEST_F(QuorumTest, GraceIsOverWhenItsAlarmRings) {
  Create("grace { nanos: 20000000 }");
  Push(0, 1);
  Push(1, 3);
  clock_.Advance(absl::Milliseconds(19));
  registry_.alarms().Ring();
  executor_->RunAll();
  EXPECT_EQ(step(), 0);
  clock_.Advance(absl::Milliseconds(1));
  registry_.alarms().Ring();
  executor_->RunAll();
  EXPECT_EQ(step(), 1);
}

TEST_F(QuorumTest, AnAdaptiveGraceIsHalfOfWhatTheLastOneTook) {
  Create("adaptive_grace: true");
  // Nothing is known: not at all. The third one comes 4 s later.
  Push(0, 1);
  Push(1, 1);
  EXPECT_EQ(step(), 1);
  Pass(absl::Seconds(4));
  PushFrom(0, 2, 1);
  EXPECT_THAT(Outcomes(2), ElementsAre(v1::PUSH_OUTCOME_SUPERSEDED));
  Push(0, 1);
  Push(1, 1);
  EXPECT_EQ(step(), 2) << "what is known counts from the next step on";
  state::v1::RunState state;
  run_->WriteState(&state);
  EXPECT_EQ(state.quorum_lag_seconds(), 4);
  Push(0, 1);
  Push(1, 1);
  Pass(absl::Milliseconds(1999));
  EXPECT_EQ(step(), 2);
  Pass(absl::Milliseconds(1));
  EXPECT_EQ(step(), 3) << "half of 4 s";
}

TEST_F(QuorumTest, ACarriedPushIsItsWorkersPushOfTheNextStep) {
  Create("late_pushes: LATE_PUSHES_CARRIED");
  Push(0, 1);
  Push(1, 3);
  EXPECT_EQ(step(), 1);
  EXPECT_EQ(parameter(), -2);
  PushFrom(0, 2, 5);
  EXPECT_THAT(Outcomes(2), IsEmpty()) << "it waits";
  EXPECT_EQ(step(), 1);
  Push(0, 7);
  EXPECT_EQ(step(), 2) << "it counts for the quorum";
  EXPECT_EQ(parameter(), -2 - 6);
  EXPECT_THAT(Outcomes(2), ElementsAre(v1::PUSH_OUTCOME_APPLIED));
  EXPECT_EQ(run_->Progress().staleness(), 1);
  // Later still, it is too late.
  Push(0, 0);
  Push(1, 0);
  EXPECT_EQ(step(), 3);
  PushFrom(1, 2, 5);
  EXPECT_THAT(Outcomes(2), ElementsAre(v1::PUSH_OUTCOME_APPLIED, v1::PUSH_OUTCOME_SUPERSEDED));
}

// At the end of the grace, with one other.
TEST_F(QuorumTest, ACarriedPushIsTakenWithWhoeverIsThere) {
  Create("grace { seconds: 1 } late_pushes: LATE_PUSHES_CARRIED");
  Push(0, 1);
  Push(1, 1);
  Pass(absl::Seconds(1));
  EXPECT_EQ(step(), 1);
  PushFrom(0, 2, 1);
  Push(0, 1);
  Pass(absl::Seconds(1));
  EXPECT_EQ(step(), 2);
  EXPECT_THAT(Outcomes(2), ElementsAre(v1::PUSH_OUTCOME_APPLIED));
}

TEST_F(QuorumTest, NobodyMissesADeadlineByIt) {
  Create("missed_deadlines: 1");
  for (int i = 0; i < 5; ++i) {
    Push(0, 1);
    Push(1, 1);
  }
  EXPECT_EQ(step(), 5);
  const v1::Run described = run_->Describe(gradd::Run::Detail::kWorkers);
  for (const v1::WorkerStatus& worker : described.workers()) {
    EXPECT_EQ(worker.missed_deadlines(), 0) << worker.worker();
  }
}

TEST_F(QuorumTest, ItsRoomIsFreeWhenAStepIsMadeWithoutAPush) {
  for (const bool carried : {false, true}) {
    SCOPED_TRACE(carried);
    workers_.clear();
    std::fill(std::begin(sequences_), std::end(sequences_), 0);
    if (run_ != nullptr) {
      ASSERT_TRUE(registry_.Delete("runs/r").ok());
    }
    Create(carried ? "late_pushes: LATE_PUSHES_CARRIED" : "");
    workers_[2]->PushPart(++sequences_[2], 0, {1});
    Push(0, 1);
    Push(1, 1);
    EXPECT_EQ(step(), 1);
    executor_->RunAll();
    // It may still be part of the next step where late ones are carried.
    EXPECT_EQ(registry_.claimed_bytes() > 0, carried);
    Push(0, 1);
    Push(1, 1);
    executor_->RunAll();
    EXPECT_EQ(registry_.claimed_bytes(), 0);
  }
}

TEST_F(QuorumTest, CanBeChangedWhileAStepWaits) {
  Create();
  Push(0, 1);
  v1::Run values;
  values.mutable_policy()->mutable_synchronous()->set_quorum(1);
  Change("policy.synchronous.quorum", values);
  EXPECT_EQ(step(), 1) << "what waits is enough";
  values.mutable_policy()->mutable_synchronous()->set_quorum(3);
  Change("policy.synchronous.quorum", values);
  Push(0, 1);
  Push(1, 1);
  EXPECT_EQ(step(), 1) << "it is not any more";
  values.mutable_policy()->mutable_synchronous()->set_late_pushes(v1::LATE_PUSHES_CARRIED);
  Change("policy.synchronous.late_pushes", values);
  Push(2, 1);
  EXPECT_EQ(step(), 2);
  Push(0, 1);
  Push(1, 1);
  PushFrom(1, 2, 1);  // It is carried, and waits with the others.
  EXPECT_EQ(step(), 3);
}

TEST_F(QuorumTest, WhatWasCarriedIsSupersededWhenThatIsTurnedOff) {
  Create("late_pushes: LATE_PUSHES_CARRIED");
  Push(0, 1);
  Push(1, 1);
  PushFrom(0, 2, 1);
  EXPECT_THAT(Outcomes(2), IsEmpty());
  v1::Run values;
  values.mutable_policy()->mutable_synchronous()->set_late_pushes(v1::LATE_PUSHES_SUPERSEDED);
  Change("policy.synchronous.late_pushes", values);
  EXPECT_THAT(Outcomes(2), ElementsAre(v1::PUSH_OUTCOME_SUPERSEDED));
  EXPECT_EQ(step(), 1);
}

// Deadlines in a row: the steps between them were made by a quorum.
TEST_F(QuorumTest, BreaksARowOfMissedDeadlines) {
  Create("missed_deadlines: 2 deadline { seconds: 10 }");
  const auto miss = [&] {
    Push(0, 1);
    Pass(absl::Seconds(10));
  };
  const auto missed = [&] {
    return run_->Describe(gradd::Run::Detail::kWorkers).workers(2).missed_deadlines();
  };
  miss();
  EXPECT_EQ(step(), 1);
  EXPECT_EQ(missed(), 1);
  Push(0, 1);
  Push(1, 1);
  EXPECT_EQ(step(), 2);
  EXPECT_EQ(missed(), 0);
  miss();
  EXPECT_EQ(missed(), 1);
  miss();
  EXPECT_EQ(missed(), 2) << "no step waits for it";
  Push(0, 1);
  Push(1, 1);
  EXPECT_EQ(missed(), 2) << "until a push of it is there";
}

// The quorum is in at 9 s, and its grace would end at 12.
TEST_F(QuorumTest, NobodyMissesTheDeadlineThatEndsItsGrace) {
  Create("missed_deadlines: 1 deadline { seconds: 10 } grace { seconds: 3 }");
  Push(0, 1);
  Pass(absl::Seconds(9));
  Push(1, 1);
  Pass(absl::Seconds(1));
  EXPECT_EQ(step(), 1);
  EXPECT_EQ(run_->Describe(gradd::Run::Detail::kWorkers).workers(2).missed_deadlines(), 0);
}

// Its push is part of the step, and so it counts for the quorum.
TEST_F(QuorumTest, StaysWhenOneOfItLeaves) {
  Create("grace { seconds: 5 }");
  Push(0, 1);
  Push(1, 1);
  workers_[0]->Leave();
  Pass(absl::Seconds(4));
  EXPECT_EQ(step(), 0);
  Pass(absl::Seconds(1));
  EXPECT_EQ(step(), 1);
}

TEST_F(QuorumTest, DoesNotWaitForItsGraceWhereTheServerStops) {
  Create("grace { seconds: 5 }");
  Push(0, 1);
  Push(1, 1);
  EXPECT_EQ(step(), 0);
  run_->Drain();
  EXPECT_EQ(step(), 1);
  EXPECT_THAT(Outcomes(0), ElementsAre(v1::PUSH_OUTCOME_APPLIED));
}

// What a run that stops has in flight may complete, and nothing else begins.
TEST_F(QuorumTest, NothingIsCarriedIntoAStepThatDoesNotCome) {
  for (const bool drains : {false, true}) {
    SCOPED_TRACE(drains);
    workers_.clear();
    std::fill(std::begin(sequences_), std::end(sequences_), 0);
    if (run_ != nullptr) {
      ASSERT_TRUE(registry_.Delete("runs/r").ok());
    }
    Create("late_pushes: LATE_PUSHES_CARRIED");
    Push(0, 1);
    Push(1, 1);
    PushFrom(0, 2, 1);
    EXPECT_THAT(Outcomes(2), IsEmpty());
    if (drains) {
      Push(0, 1);  // With what was carried, that makes a step.
      EXPECT_EQ(step(), 2);
      PushFrom(1, 1, 1);
      run_->Drain();
      EXPECT_EQ(step(), 2);
      for (const auto& worker : workers_) EXPECT_TRUE(worker->end().has_value());
    } else {
      ASSERT_TRUE(run_->Finish("ada", "").ok());
      EXPECT_THAT(Outcomes(2), ElementsAre(v1::PUSH_OUTCOME_SUPERSEDED));
    }
  }
}

// A push stops coming in when its step was made without it: the others' pushes keep their room,
// though another run needs it.
TEST_F(QuorumTest, WhatComesTooLateDoesNotMakeTheRunStandStill) {
  Create();
  workers_[2]->PushPart(++sequences_[2], 0, {1});
  Push(0, 1);
  Push(1, 1);
  executor_->RunAll();
  Push(0, 1);
  ASSERT_TRUE(registry_.Create("other", SynchronousSpec(4, 2), "").ok());
  FakeWorker first(&registry_, "other", "a");
  FakeWorker second(&registry_, "other", "b");
  first.Join();
  second.Join();
  first.Push(1, 0, {1, 1, 1, 1});
  second.Push(1, 0, {1, 1, 1, 1});
  for (int i = 0; i < 14; ++i) Pass(absl::Seconds(1));
  executor_->RunAll();
  EXPECT_THAT(Outcomes(0), ElementsAre(v1::PUSH_OUTCOME_APPLIED)) << "it is not dropped";
  Push(1, 1);
  executor_->RunAll();
  EXPECT_EQ(step(), 2);
  EXPECT_EQ((*registry_.Find("runs/other"))->Progress().step(), 1);
}

TEST_F(QuorumTest, SaysHowManyMoreMakeTheStep) {
  Create();
  Push(0, 1);
  Pass(absl::Seconds(10));
  EXPECT_EQ(run_->Progress().reason(),
            "b and c compute, a has pushed; 1 more worker makes the step; it is made without b and "
            "c in 4m50s");
  EXPECT_THAT(run_->Progress().waits_for(), ElementsAre("b", "c"));
}

}  // namespace
}  // namespace gradd
