// A run begins a new timeline while its workers push.

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
#include "tests/support/specs.h"

namespace gradd {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

struct TimelineRow {
  Stage stage;
  const char* outcome;  // Of the push.
  int64_t sequence;     // Of the worker's last one that counts.
  float parameter;      // After a step of 1s from both.
};

class TimelineStageTest : public testing::TestWithParam<TimelineRow> {};

TEST_P(TimelineStageTest, WhatDoesNotCountYetIsRolledBackAndItsWorkerGoesOn) {
  const TimelineRow& row = GetParam();
  PushStages stages(row.stage);
  FakeWorker& a = stages.a();
  a.SetTimeline(1);
  ASSERT_TRUE(stages.run().BeginTimeline("ada").ok());
  stages.Settle();
  EXPECT_EQ(a.requests_held(), 0U) << "it needs no room any more";
  stages.PushRest();
  EXPECT_THAT(stages.OutcomesOfA(), ElementsAre(row.outcome));
  EXPECT_EQ(stages.claimed_bytes(), row.stage == Stage::kHeld ? kStagePushBytes : 0);
  EXPECT_THAT(a.events(), ElementsAre(v1::RUN_EVENT_KIND_TIMELINE));
  EXPECT_EQ(a.end(), std::nullopt);
  if (row.outcome == std::string("ROLLED_BACK")) {
    EXPECT_EQ(a.results()[0].last_sequence(), 0);
    EXPECT_TRUE(a.results()[0].parameters_follow());
    EXPECT_EQ(a.parameters_timeline(), 2U);
  }
  stages.MakeRoom();

  // What it has computed meanwhile.
  const int64_t step = stages.run().Progress().step();
  a.Push(row.sequence + 1, step, PushStages::Gradient(100), /*want_parameters=*/true);
  stages.Settle();
  ASSERT_THAT(a.results(), SizeIs(2));
  EXPECT_EQ(a.results()[1].outcome(), v1::PUSH_OUTCOME_ROLLED_BACK);
  EXPECT_EQ(a.results()[1].last_sequence(), row.sequence);
  EXPECT_TRUE(a.results()[1].parameters_follow());
  EXPECT_EQ(a.parameters_timeline(), 2U);

  a.SetTimeline(2);
  stages.b().SetTimeline(2);
  stages.MakeStep();
  EXPECT_EQ(stages.Parameter(), row.parameter);
  EXPECT_EQ(stages.claimed_bytes(), 0);
}

INSTANTIATE_TEST_SUITE_P(
    Table, TimelineStageTest,
    testing::Values(TimelineRow{Stage::kHalf, "ROLLED_BACK", 0, -1},
                    TimelineRow{Stage::kHeld, "ROLLED_BACK", 0, -1},
                    TimelineRow{Stage::kWaiting, "ROLLED_BACK", 0, -1},
                    // It was answered, and lies in what the timeline begins
                    // with.
                    TimelineRow{Stage::kFolded, "ACCUMULATED", 1, -103.0F / 4},
                    // The timeline begins after its step.
                    TimelineRow{Stage::kOnItsWay, "APPLIED", 1, -101.0F / 2 - 1}),
    [](const auto& row) { return kStageNames[static_cast<size_t>(row.param.stage)]; });

class TimelineTest : public testing::Test {
 protected:
  std::shared_ptr<gradd::Run> Create(const v1::Run& spec) {
    return *registry_.Create("r", spec, "");
  }
  std::unique_ptr<FakeWorker> Join(const std::string& worker, bool sends_timelines = true) {
    auto fake = std::make_unique<FakeWorker>(&registry_, "r", worker, /*instance=*/1);
    fake->join().set_sends_timelines(sends_timelines);
    fake->Join();
    return fake;
  }
  static uint64_t TimelineOf(const gradd::Run& run) {
    return run.Describe(gradd::Run::Detail::kSummary).timeline();
  }

  FakeClock clock_;
  RunRegistry registry_{Limits(), /*threads=*/2, &clock_};
};

TEST_F(TimelineTest, ItIsShownAndInTheHistory) {
  const auto run = Create(SynchronousSpec(1, 1));
  const auto a = Join("a");
  EXPECT_EQ(a->welcome()->timeline(), 1U);
  a->Push(1, 0, {1});
  ASSERT_TRUE(run->BeginTimeline("ada").ok());
  const v1::Run described = run->Describe(gradd::Run::Detail::kFull);
  EXPECT_EQ(described.timeline(), 2U);
  ASSERT_EQ(described.history_size(), 1);
  const v1::Change& change = described.history(0);
  EXPECT_EQ(change.field(), "timeline");
  EXPECT_EQ(change.old_value(), "1");
  EXPECT_EQ(change.new_value(), "2");
  EXPECT_EQ(change.author(), "ada");
  EXPECT_EQ(change.step(), 1);
  EXPECT_EQ(Join("b")->welcome()->timeline(), 2U);
}

// A step's snapshot is shared by those who read it; a new timeline has another one.
TEST_F(TimelineTest, ParametersSayWhichOneTheyAreOf) {
  const auto run = Create(SynchronousSpec(1, 1));
  std::vector<std::shared_ptr<const Snapshot>> read;
  const auto look = [&] {
    run->RequestSnapshot(SnapshotContents::kTraining,
                         [&](const auto& snapshot) { read.push_back(snapshot); });
  };
  look();
  ASSERT_TRUE(run->BeginTimeline("").ok());
  look();
  EXPECT_EQ(read[0]->timeline->number, 1U);
  EXPECT_EQ(read[1]->timeline->number, 2U);
  EXPECT_EQ(read[1]->timeline->run_uid, run->Describe(gradd::Run::Detail::kSummary).uid());
}

TEST_F(TimelineTest, AStreamThatNeverSentOneEnds) {
  const auto run = Create(SynchronousSpec(1, 2));
  auto a = Join("a", /*sends_timelines=*/false);
  const auto b = Join("b", /*sends_timelines=*/false);
  b->SetTimeline(1);
  b->Push(9, 0, {1});  // Refused, but it says a timeline.
  a->Push(1, 0, {1}, /*want_parameters=*/true);
  ASSERT_TRUE(run->BeginTimeline("ada").ok());
  EXPECT_EQ(a->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_ROLLED_BACK);
  EXPECT_FALSE(a->WaitForResult(0).parameters_follow());
  const absl::Status end = a->WaitForEnd();
  EXPECT_EQ(end.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(ReasonOf(end), "TIMELINE_ENDED");
  EXPECT_THAT(end.message(), HasSubstr("began timeline 2 at step 0"));
  EXPECT_THAT(end.message(), HasSubstr("welcome on timeline 1"));
  EXPECT_EQ(b->end(), std::nullopt);
  EXPECT_THAT(b->events(), Contains(v1::RUN_EVENT_KIND_TIMELINE));

  a = Join("a", /*sends_timelines=*/false);
  EXPECT_EQ(a->welcome()->last_sequence(), 0);
  a->Push(1, 0, {3});
  b->SetTimeline(2);
  b->Push(1, 0, {1});
  EXPECT_EQ(a->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_APPLIED) << "of its welcome's timeline";
}

TEST_F(TimelineTest, APushThatCountedOnItsTimelineIsADuplicateWhicheverIsThePresentOne) {
  const auto run = Create(SynchronousSpec(1, 1));
  const auto a = Join("a");
  a->SetTimeline(1);
  a->Push(1, 0, {1});
  a->Push(2, 1, {1});
  ASSERT_TRUE(run->BeginTimeline("").ok());
  a->Push(2, 1, {1});
  EXPECT_EQ(a->WaitForResult(2).outcome(), v1::PUSH_OUTCOME_DUPLICATE);
  EXPECT_EQ(a->WaitForResult(2).committed_outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(a->WaitForResult(2).committed_step(), 2);
  a->Push(1, 0, {1});  // It cannot be told from one of a past that was given up.
  EXPECT_EQ(a->WaitForResult(3).outcome(), v1::PUSH_OUTCOME_ROLLED_BACK);
  EXPECT_EQ(a->WaitForResult(3).last_sequence(), 2);
  a->SetTimeline(7);
  a->Push(3, 2, {1});
  EXPECT_EQ(a->WaitForResult(4).outcome(), v1::PUSH_OUTCOME_ROLLED_BACK) << "it is not yet there";
  a->SetTimeline(2);
  a->Push(3, 2, {1});
  EXPECT_EQ(a->WaitForResult(5).outcome(), v1::PUSH_OUTCOME_APPLIED);
}

// The push of the new timeline that waits is not the one that the old stream asks about.
TEST_F(TimelineTest, APushOfAnotherTimelineDoesNotTakeOverOneThatWaits) {
  const auto run = Create(SynchronousSpec(1, 2));
  auto a = Join("a");
  const auto b = Join("b");
  ASSERT_TRUE(run->BeginTimeline("").ok());
  a->SetTimeline(2);
  b->SetTimeline(2);
  a->Push(1, 0, {1});
  a = Join("a");
  a->SetTimeline(1);
  a->Push(1, 0, {1});
  EXPECT_EQ(a->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_ROLLED_BACK);
  b->Push(1, 0, {1});
  EXPECT_EQ(b->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_THAT(a->results(), SizeIs(1));
}

TEST_F(TimelineTest, APushForAnotherRunOfThatNameIsRefused) {
  auto run = Create(SynchronousSpec(1, 1));
  const std::string first = run->Describe(gradd::Run::Detail::kSummary).uid();
  ASSERT_TRUE(registry_.Delete("runs/r").ok());
  run = Create(SynchronousSpec(1, 1));
  const std::string uid = run->Describe(gradd::Run::Detail::kSummary).uid();
  EXPECT_THAT(uid, SizeIs(32));
  EXPECT_THAT(uid, Not(first));
  const auto a = Join("a");
  EXPECT_EQ(a->welcome()->run_uid(), uid);
  const auto push = [&a](const std::string& of) {
    v1::TrainRequest request;
    v1::PushHeader& header = *request.mutable_push()->mutable_header();
    header.set_sequence(1);
    header.set_examples(1);
    header.set_run_uid(of);
    a->Request(request);
  };
  push(first);
  EXPECT_EQ(a->WaitForResult(0).reason(), "RUN_UID_DIFFERS");
  EXPECT_THAT(a->WaitForResult(0).message(), HasSubstr(first));
  EXPECT_THAT(a->WaitForResult(0).message(), HasSubstr(uid));
  a->Abort(1);  // The end of what was refused.
  push(std::string(100'000, 'x'));
  EXPECT_THAT(a->WaitForResult(1).message().size(), testing::Lt(500));
  a->Abort(1);
  push(uid);
  a->PushRest(0, {1});
  EXPECT_EQ(a->WaitForResult(2).outcome(), v1::PUSH_OUTCOME_APPLIED);
}

TEST_F(TimelineTest, ADeletedRunBeginsNone) {
  const auto run = Create(SynchronousSpec(1, 1));
  ASSERT_TRUE(registry_.Delete("runs/r").ok());
  EXPECT_EQ(run->BeginTimeline("").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(TimelineOf(*run), 1U);
}

}  // namespace
}  // namespace gradd
