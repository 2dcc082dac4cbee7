// What people are told of a run, through the run itself: see run_condition_test.cc for the table.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "core/run/run.h"
#include "core/run/run_registry.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_worker.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

class RunSituationTest : public testing::Test {
 protected:
  std::shared_ptr<gradd::Run> Create(const v1::Run& spec) {
    auto run = registry_.Create("r", spec, "");
    EXPECT_TRUE(run.ok()) << run.status();
    return run.ok() ? *run : nullptr;
  }
  std::unique_ptr<FakeWorker> Join(const std::string& worker, bool want_parameters = false) {
    auto fake = std::make_unique<FakeWorker>(&registry_, "r", worker);
    fake->Join(want_parameters);
    return fake;
  }
  void Pass(absl::Duration duration) {
    clock_.Advance(duration);
    registry_.Tick();
  }
  // One second after the other, as a server does.
  void PassSeconds(int seconds) {
    for (int i = 0; i < seconds; ++i) Pass(absl::Seconds(1));
  }
  std::vector<std::string> Logged() {
    std::vector<std::string> lines;
    for (const LogEntry& entry : registry_.log()->Take(clock_.Elapsed())) {
      lines.push_back(entry.Line());
    }
    return lines;
  }

  FakeClock clock_;
  RunRegistry registry_{Limits(), /*threads=*/2, &clock_};
};

void ExpectCondition(const gradd::Run& run, v1::RunCondition kind, const std::string& reason,
                     int64_t seconds) {
  const v1::RunProgress progress = run.Progress();
  EXPECT_EQ(progress.condition(), kind) << progress.ShortDebugString();
  EXPECT_EQ(progress.reason(), reason);
  EXPECT_EQ(progress.has_condition_time() ? progress.condition_time().seconds() : -1, seconds);
}

TEST_F(RunSituationTest, ARunSaysWhoseAbsenceItWaitsFor) {
  const auto run = Create(SynchronousSpec(1, 2));
  ExpectCondition(*run, v1::RUN_CONDITION_NO_WORKERS, "none has joined yet; it starts with 2", 0);
  const auto a = Join("a");
  PassSeconds(3);
  ExpectCondition(*run, v1::RUN_CONDITION_WAITING_FOR_WORKERS, "1 of 2 workers: a is there", 3);
  const auto b = Join("b");
  ExpectCondition(*run, v1::RUN_CONDITION_TRAINING, "", -1);
  a->Push(1, 0, {1});
  PassSeconds(6);
  ExpectCondition(*run, v1::RUN_CONDITION_WAITING_FOR_PUSHES,
                  "b computes, a has pushed; the step is made without b in 4m54s", 6);
  b->Disconnect();
  ExpectCondition(*run, v1::RUN_CONDITION_WAITING_FOR_WORKERS,
                  "b is not connected, a has pushed; the step is made without b in 4m54s", 6);
  PassSeconds(10);
  EXPECT_EQ(a->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_APPLIED);
  ExpectCondition(*run, v1::RUN_CONDITION_TRAINING, "with 1 of 2 workers: the lease of b ended",
                  -1);
  a->Leave();
  PassSeconds(40);
  ExpectCondition(*run, v1::RUN_CONDITION_NO_WORKERS, "the last one, a, left", 40);
  const auto again = Join("a");
  ExpectCondition(*run, v1::RUN_CONDITION_WAITING_FOR_WORKERS,
                  "1 of 2 workers: a is there, the lease of b ended", 0);
}

TEST_F(RunSituationTest, WhatGetRunAndListRunsShowIsTheSame) {
  const auto run = Create(SynchronousSpec(1, 1));
  for (const auto detail : {gradd::Run::Detail::kSummary, gradd::Run::Detail::kFull}) {
    EXPECT_EQ(run->Describe(detail).progress().condition(), v1::RUN_CONDITION_NO_WORKERS);
    EXPECT_EQ(run->Describe(detail).progress().reason(), "none has joined yet");
  }
}

TEST_F(RunSituationTest, APauseSaysWhoMadeIt) {
  const auto run = Create(SynchronousSpec(1, 1));
  ASSERT_TRUE(run->Pause("alice").ok());
  PassSeconds(2);
  ExpectCondition(*run, v1::RUN_CONDITION_PAUSED, "by alice", 2);
  EXPECT_THAT(Logged(), IsEmpty()) << "whoever paused it knows";
  ASSERT_TRUE(run->Resume("bob").ok());
  ExpectCondition(*run, v1::RUN_CONDITION_NO_WORKERS, "none has joined yet", 0);
}

TEST_F(RunSituationTest, APushThatIsNotFiniteIsSaidUntilAStepIsMade) {
  const auto run = Create(SynchronousSpec(1, 1));
  const auto a = Join("a");
  a->Push(1, 0, {1}, false, 1, std::nan(""));
  EXPECT_EQ(run->Progress().condition(), v1::RUN_CONDITION_DIVERGED);
  EXPECT_EQ(run->Progress().reason(),
            "push 1 from a was refused at step 0: header.loss: nan, expected a finite number");
  a->Push(1, 0, {std::numeric_limits<float>::infinity()});
  EXPECT_THAT(run->Progress().reason(), HasSubstr("element 0 is inf"));
  a->Push(1, 0, {1});
  EXPECT_EQ(a->WaitForResult(2).outcome(), v1::PUSH_OUTCOME_APPLIED);
  ExpectCondition(*run, v1::RUN_CONDITION_TRAINING, "", -1);
}

TEST_F(RunSituationTest, OneOfManyAsynchronousWorkersThatComputesNonsenseIsNoDivergence) {
  const auto run = Create(AsynchronousSpec(1));
  const auto a = Join("a");
  const auto b = Join("b");
  a->Push(1, 0, {1}, false, 1, std::nan(""));
  EXPECT_EQ(run->Progress().condition(), v1::RUN_CONDITION_TRAINING);
  b->Push(1, 0, {1}, false, 1, std::nan(""));
  EXPECT_EQ(run->Progress().condition(), v1::RUN_CONDITION_DIVERGED);
}

TEST_F(RunSituationTest, ALossThatLeavesIsSaidAndLogged) {
  const auto run = Create(SynchronousSpec(1, 1));
  const auto a = Join("a");
  for (int step = 0; step < 500; ++step) {
    a->Push(step + 1, step, {0}, false, 1, /*loss=*/step < 400 ? 2 : 62);
    a->WaitForResult(static_cast<size_t>(step));
  }
  ExpectCondition(*run, v1::RUN_CONDITION_DIVERGED, "loss is 31x its best since step 401", -1);
  PassSeconds(3);
  EXPECT_THAT(
      Logged(),
      ElementsAre("run diverged: run=r reason=\"loss is 31x its best since step 401\" step=500"));
}

TEST_F(RunSituationTest, TheLogHearsOnceOfARunThatWaitsAndOnceThatItGoesOn) {
  v1::Run spec = SynchronousSpec(1, 2);
  spec.mutable_lease_duration()->set_seconds(3600);  // Nobody sends heartbeats here.
  const auto run = Create(spec);
  const auto a = Join("a");
  PassSeconds(29);
  EXPECT_THAT(Logged(), IsEmpty());
  PassSeconds(100);
  EXPECT_THAT(Logged(), ElementsAre("run waits for workers: run=r reason=\"1 of 2 workers: a is "
                                    "there\" step=0 for=30s"));
  const auto b = Join("b");
  PassSeconds(2);
  EXPECT_THAT(Logged(), ElementsAre("run goes on: run=r step=0"));
}

TEST_F(RunSituationTest, TheLogHearsOfWorkersThatAreLost) {
  const auto run = Create(SynchronousSpec(1, 1));
  const auto a = Join("a");
  a->Disconnect();
  PassSeconds(16);
  EXPECT_THAT(Logged(),
              ElementsAre("worker lost: run=r worker=a reason=\"its lease of 15s ended\" "
                          "silent_for=15s was=disconnected step=0 left=0",
                          "run has no workers: run=r reason=\"the lease of the last one, a, ended: "
                          "it was silent\" step=0"));
}

TEST_F(RunSituationTest, TheLogHearsOfRefusedPushesButNotOfEachOne) {
  const auto run = Create(SynchronousSpec(1, 1));
  const auto a = Join("a");
  for (int i = 0; i < 100; ++i) a->Push(7, 0, {1});
  EXPECT_THAT(Logged(),
              ElementsAre(AllOf(StartsWith("push rejected: run=r worker=a reason=SEQUENCE_SKIPS "),
                                HasSubstr(" sequence=7 step=0"))));
  Pass(RunLog::kInterval);
  EXPECT_THAT(Logged(), ElementsAre(HasSubstr(" repeated=99")));
}

TEST_F(RunSituationTest, TheLogHearsWithoutWhomAStepWasMade) {
  v1::Run spec = SynchronousSpec(1, 3);
  spec.mutable_policy()->mutable_synchronous()->mutable_deadline()->set_seconds(2);
  const auto run = Create(spec);
  const auto a = Join("a");
  const auto b = Join("b");
  const auto c = Join("c");
  b->Push(1, 0, {1});
  PassSeconds(3);
  EXPECT_EQ(b->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_THAT(Logged(), ElementsAre("step made without workers: run=r worker=a,c reason=\"their "
                                    "pushes were not in at the deadline\" missing=2 pushes=1 "
                                    "step=1"));
}

TEST_F(RunSituationTest, TheLogHearsHowARunEnded) {
  v1::Run spec = SynchronousSpec(1, 1);
  spec.set_max_steps(1);
  const auto run = Create(spec);
  const auto a = Join("a");
  a->Push(1, 0, {1}, false, 1, /*loss=*/0.25);
  a->WaitForResult(0);
  PassSeconds(2);
  EXPECT_THAT(Logged(), ElementsAre("run finished: run=r step=1 loss=0.25 smoothed_loss=0.25"));
  ExpectCondition(*run, v1::RUN_CONDITION_FINISHED, "", 2);
}

// ---- Refusals ----

TEST_F(RunSituationTest, ARefusalForASessionThatWasTakenOverGoesToNobody) {
  const auto run = Create(SynchronousSpec(2, 1));
  FakeWorker old_session(&registry_, "r", "a", /*instance=*/5);
  old_session.Join();
  v1::TrainRequest begin;
  begin.mutable_push()->mutable_header()->set_sequence(1);
  begin.mutable_push()->mutable_header()->set_examples(1);
  old_session.Request(begin);
  FakeWorker new_session(&registry_, "r", "a", /*instance=*/5);
  new_session.Join();
  v1::TrainRequest rest;  // Half of a push.
  rest.mutable_push()->mutable_commit();
  old_session.Request(rest);
  EXPECT_THAT(old_session.results(), IsEmpty());
  EXPECT_THAT(new_session.results(), IsEmpty());
  EXPECT_EQ(run->Progress().rejected_pushes(), 0);
  new_session.Push(1, 0, {1, 1});
  EXPECT_EQ(new_session.WaitForResult(0).outcome(), v1::PUSH_OUTCOME_APPLIED);
}

}  // namespace
}  // namespace gradd
