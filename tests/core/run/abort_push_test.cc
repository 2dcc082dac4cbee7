// Workers take pushes back.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/run/run.h"
#include "core/run/run_registry.h"
#include "tests/core/run/push_stages.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_worker.h"
#include "tests/support/no_claims.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

struct AbortRow {
  Stage stage;
  const char* outcome;  // Of the push.
  float parameter;      // After a step of 1s from both.
};

class AbortStageTest : public testing::TestWithParam<AbortRow> {};

TEST_P(AbortStageTest, APushThatIsTakenBackLeavesNoTrace) {
  const AbortRow& row = GetParam();
  PushStages stages(row.stage);
  FakeWorker& a = stages.a();
  a.Abort(1);
  stages.Settle();
  if (row.stage == Stage::kHeld) {
    EXPECT_EQ(a.requests_held(), 2U) << "what comes after a part that waits, waits too";
  }
  stages.MakeRoom();
  EXPECT_THAT(stages.OutcomesOfA(), ElementsAre(row.outcome));
  EXPECT_EQ(a.requests_held(), 0U);
  EXPECT_EQ(stages.claimed_bytes(), 0);
  a.Abort(1);
  stages.Settle();
  EXPECT_THAT(a.results(), SizeIs(1)) << "it is answered once";
  stages.MakeStep();
  EXPECT_EQ(stages.Parameter(), row.parameter);
  EXPECT_EQ(stages.claimed_bytes(), 0);
}

INSTANTIATE_TEST_SUITE_P(Table, AbortStageTest,
                         testing::Values(AbortRow{Stage::kHalf, "ABORTED", -1},
                                         AbortRow{Stage::kHeld, "ABORTED", -1},
                                         AbortRow{Stage::kWaiting, "ABORTED", -1},
                                         // Too late.
                                         AbortRow{Stage::kFolded, "ACCUMULATED", -103.0F / 4},
                                         AbortRow{Stage::kOnItsWay, "APPLIED", -101.0F / 2 - 1}),
                         [](const auto& row) {
                           return kStageNames[static_cast<size_t>(row.param.stage)];
                         });

class AbortPushTest : public testing::Test {
 protected:
  std::shared_ptr<gradd::Run> Create(const v1::Run& spec) {
    return *registry_.Create("r", spec, "");
  }
  std::unique_ptr<FakeWorker> Join(const std::string& worker) {
    auto fake = std::make_unique<FakeWorker>(&registry_, "r", worker, /*instance=*/1);
    fake->Join();
    return fake;
  }

  FakeClock clock_;
  RunRegistry registry_{Limits(), /*threads=*/1, &clock_};
};

TEST_F(AbortPushTest, OneThatIsNotThereIsNotAborted) {
  Create(SynchronousSpec(2, 1));
  const auto a = Join("a");
  a->Abort(1);
  a->PushPart(1, 0, {1});
  a->Abort(2);
  a->PushRest(1, {1});
  EXPECT_EQ(a->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_THAT(a->results(), SizeIs(1));
  EXPECT_EQ(a->end(), std::nullopt);
  a->Abort(0);
  EXPECT_EQ(ReasonOf(a->WaitForEnd()), "SEQUENCE_INVALID");
}

TEST_F(AbortPushTest, OneThatWasRefusedIsNotAnsweredAgain) {
  Create(SynchronousSpec(2, 1));
  const auto a = Join("a");
  a->PushPart(2, 0, {1});
  EXPECT_EQ(a->WaitForResult(0).reason(), "SEQUENCE_SKIPS");
  a->Abort(2);
  a->Push(1, 0, {1, 1});
  EXPECT_EQ(a->WaitForResult(1).outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_THAT(a->results(), SizeIs(2));
}

TEST_F(AbortPushTest, OneWhoseStepHasPassedDoesNotUseUpItsSequence) {
  v1::Run spec = SynchronousSpec(2, 2);
  spec.mutable_policy()->mutable_synchronous()->mutable_deadline()->set_seconds(1);
  const auto run = Create(spec);
  const auto a = Join("a");
  const auto b = Join("b");
  a->PushPart(1, 0, {1});
  b->Push(1, 0, {1, 1});
  clock_.Advance(absl::Seconds(2));
  registry_.Tick();
  ASSERT_EQ(b->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_APPLIED);
  a->Abort(1);
  EXPECT_EQ(a->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_ABORTED);
  a->Push(1, 1, {1, 1});
  b->Push(2, 1, {1, 1});
  EXPECT_EQ(a->WaitForResult(1).outcome(), v1::PUSH_OUTCOME_APPLIED);
}

// After a lost connection: its first part says which push is meant.
TEST_F(AbortPushTest, OneThatWaitsSinceAnEarlierSessionIsAborted) {
  Create(SynchronousSpec(2, 2));
  auto a = Join("a");
  const auto b = Join("b");
  a->Push(1, 0, {5, 5});
  a = Join("a");
  a->PushPart(1, 0, {5});
  a->Abort(1);
  EXPECT_EQ(a->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_ABORTED);
  AwaitNoClaims(registry_);
  a->Push(1, 0, {1, 1});
  b->Push(1, 0, {1, 1});
  EXPECT_EQ(a->WaitForResult(1).outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_THAT(a->results(), SizeIs(2));
}

TEST_F(AbortPushTest, OneThatCountedStays) {
  Create(SynchronousSpec(2, 1));
  auto a = Join("a");
  a->Push(1, 0, {5, 5});
  a = Join("a");
  a->PushPart(1, 0, {5});
  a->Abort(1);
  EXPECT_EQ(a->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_DUPLICATE);
  EXPECT_EQ(a->WaitForResult(0).committed_outcome(), v1::PUSH_OUTCOME_APPLIED);
}

TEST_F(AbortPushTest, ARepetitionIsAbortedAndThePushThatWaitsStays) {
  Create(SynchronousSpec(2, 2));
  const auto a = Join("a");
  const auto b = Join("b");
  a->Push(1, 0, {1, 1});
  a->PushPart(1, 0, {1});
  a->Abort(1);
  EXPECT_EQ(a->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_DUPLICATE);
  b->Push(1, 0, {1, 1});
  EXPECT_EQ(a->WaitForResult(1).outcome(), v1::PUSH_OUTCOME_APPLIED);
}

TEST_F(AbortPushTest, TheNextPushBehindOneThatWaitsIsTaken) {
  const auto run = Create(SynchronousSpec(1, 2));
  const auto a = Join("a");
  const auto b = Join("b");
  a->Push(1, 0, {5});
  a->Abort(1);
  a->Push(1, 0, {1});
  b->Push(1, 0, {1});
  EXPECT_EQ(a->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_ABORTED);
  EXPECT_EQ(a->WaitForResult(1).outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(run->ReadMetrics().outcomes[v1::PUSH_OUTCOME_ABORTED], 1);
  EXPECT_EQ(run->Progress().rejected_pushes(), 0);
}

}  // namespace
}  // namespace gradd
