// Workers that are alive and too slow: what they cost the others, and what people are told.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "core/run/run.h"
#include "core/run/run_log.h"
#include "core/run/run_registry.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_worker.h"
#include "tests/support/specs.h"
#include "tests/support/virtual_executor.h"

namespace gradd {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class SlowWorkerTest : public testing::Test {
 protected:
  std::shared_ptr<gradd::Run> Create(int64_t elements, int workers, int deadline_seconds) {
    v1::Run spec = SynchronousSpec(elements, workers);
    spec.mutable_policy()->mutable_synchronous()->mutable_deadline()->set_seconds(deadline_seconds);
    spec.mutable_lease_duration()->set_seconds(3600);
    return *registry_.Create("r", spec, "");
  }
  std::unique_ptr<FakeWorker> Join(const std::string& worker) {
    auto fake = std::make_unique<FakeWorker>(&registry_, "r", worker);
    fake->Join();
    return fake;
  }
  // Half of a push, with which it stays.
  static void BeginPush(FakeWorker* worker, int64_t sequence, int64_t base_step) {
    v1::TrainRequest begun;
    v1::Push& push = *begun.mutable_push();
    push.mutable_header()->set_sequence(sequence);
    push.mutable_header()->set_base_step(base_step);
    push.mutable_header()->set_examples(1);
    worker->Request(begun);
  }
  // The rest of it.
  static void EndPush(FakeWorker* worker, size_t elements) {
    const auto values = std::make_shared<std::vector<float>>(elements, 1.0F);
    v1::TrainRequest rest;
    rest.mutable_push()->mutable_chunk();
    rest.mutable_push()->mutable_commit();
    const Payload::Slice slice(reinterpret_cast<const std::byte*>(values->data()),
                               elements * sizeof(float));
    worker->Request(rest, Payload({slice}, values));
  }
  void PassSeconds(int seconds) {
    for (int i = 0; i < seconds; ++i) {
      clock_.Advance(absl::Seconds(1));
      registry_.Tick();
    }
  }
  std::vector<std::string> Logged() {
    std::vector<std::string> lines;
    for (const LogEntry& entry : registry_.log()->Take(clock_.Elapsed())) {
      lines.push_back(LogLine(entry.event, entry.fields));
    }
    return lines;
  }

  FakeClock clock_;
  VirtualExecutor* executor_ = new VirtualExecutor(/*seed=*/1);  // The registry's.
  RunRegistry registry_{Limits(), std::unique_ptr<Executor>(executor_), &clock_};
};

TEST_F(SlowWorkerTest, AfterThreeMissedDeadlinesNobodyWaitsForItUntilAPushOfItIsInTime) {
  const auto run = Create(1, 2, /*deadline_seconds=*/20);
  const auto fast = Join("fast");
  const auto slow = Join("slow");
  BeginPush(slow.get(), 1, 0);
  for (int step = 0; step < 3; ++step) {
    fast->Push(step + 1, step, {1});
    PassSeconds(10);
    EXPECT_EQ(run->Progress().step(), step);
    EXPECT_EQ(run->Progress().condition(), v1::RUN_CONDITION_WAITING_FOR_PUSHES);
    EXPECT_THAT(run->Progress().reason(), HasSubstr("; the step is made without slow in 10s"));
    EXPECT_THAT(run->Progress().waits_for(), ElementsAre("slow"));
    EXPECT_EQ(run->Progress().waits_left().seconds(), 10);
    PassSeconds(10);
    EXPECT_EQ(run->Progress().step(), step + 1);
  }
  EXPECT_THAT(Logged(), Contains("worker is no longer waited for: run=r worker=slow reason=\"its "
                                 "pushes were not in at 3 deadlines in a row\" step=3"));
  for (int step = 3; step < 10; ++step) {
    fast->Push(step + 1, step, {1});
    EXPECT_EQ(run->Progress().step(), step + 1) << "at once";
  }
  EXPECT_EQ(run->Progress().condition(), v1::RUN_CONDITION_TRAINING);
  EXPECT_THAT(run->Progress().reason(),
              HasSubstr("without waiting for slow: too many deadlines missed"));
  EXPECT_EQ(run->Describe(gradd::Run::Detail::kWorkers).workers(1).missed_deadlines(), 3);

  EndPush(slow.get(), 1);  // After all, too late.
  EXPECT_EQ(slow->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_SUPERSEDED);
  fast->Push(11, 10, {1});
  EXPECT_EQ(run->Progress().step(), 11) << "that does not make it one to wait for";
  slow->Push(2, 11, {1});
  EXPECT_THAT(Logged(), Contains("worker is waited for again: run=r worker=slow step=11"));
  EXPECT_EQ(run->Progress().step(), 11) << "now the step waits for the other one";
  fast->Push(12, 11, {1});
  EXPECT_EQ(run->Progress().step(), 12);
  fast->Push(13, 12, {1});
  EXPECT_EQ(run->Progress().step(), 12) << "and for this one again";
}

TEST_F(SlowWorkerTest, WhatItStagedIsLetGoOfWhenItsStepWasMadeWithoutIt) {
  const auto run = Create(1000, 2, /*deadline_seconds=*/5);
  const auto fast = Join("fast");
  const auto slow = Join("slow");
  BeginPush(slow.get(), 1, 0);
  fast->Push(1, 0, std::vector<float>(1000, 1));
  EXPECT_GT(registry_.claimed_bytes(), 0);
  PassSeconds(5);
  EXPECT_EQ(run->Progress().step(), 1);
  executor_->RunAll();
  EXPECT_EQ(registry_.claimed_bytes(), 0);
  EndPush(slow.get(), 1000);
  EXPECT_EQ(slow->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_SUPERSEDED);
}

TEST_F(SlowWorkerTest, HalfAPushLosesItsLeaseThoughTheRunStandsStill) {
  v1::Run spec = AsynchronousSpec(1000);
  spec.mutable_lease_duration()->set_seconds(10);
  for (const bool finished : {false, true}) {
    const auto run = *registry_.Create(finished ? "f" : "p", spec, "");
    FakeWorker worker(&registry_, run->run_id(), "w");
    worker.Join();
    FakeWorker idle(&registry_, run->run_id(), "idle");
    idle.Join();
    BeginPush(&worker, 1, 0);
    EXPECT_GT(registry_.claimed_bytes(), 0);
    ASSERT_TRUE((finished ? run->Finish("ada", "") : run->Pause("ada")).ok());
    PassSeconds(11);
    EXPECT_EQ(worker.WaitForEnd().code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_EQ(idle.end(), std::nullopt) << "it waits for the run";
    EXPECT_EQ(registry_.claimed_bytes(), 0);
  }
}

TEST_F(SlowWorkerTest, AServerThatStopsDoesNotWaitForAStepThatCannotCome) {
  const auto run = Create(1, 2, /*deadline_seconds=*/300);
  const auto first = Join("first");
  first->Push(1, 0, {1});
  EXPECT_EQ(run->Progress().condition(), v1::RUN_CONDITION_WAITING_FOR_WORKERS);
  registry_.Drain();
  EXPECT_EQ(first->WaitForEnd().code(), absl::StatusCode::kUnavailable) << "one of two has come";
}

TEST_F(SlowWorkerTest, AServerThatStopsDoesNotWaitForAWorkerThatIsNotConnected) {
  Create(1, 2, /*deadline_seconds=*/300);
  const auto first = Join("first");
  const auto second = Join("second");
  first->Push(1, 0, {1});
  second->Disconnect();
  registry_.Drain();
  EXPECT_EQ(first->WaitForEnd().code(), absl::StatusCode::kUnavailable);
}

TEST_F(SlowWorkerTest, WhoIsConnectedMayStillMakeTheStep) {
  const auto run = Create(1, 2, /*deadline_seconds=*/300);
  const auto first = Join("first");
  const auto second = Join("second");
  first->Push(1, 0, {1});
  registry_.Drain();
  EXPECT_EQ(first->end(), std::nullopt);
  second->Disconnect();  // Now it cannot come any more.
  registry_.Tick();
  EXPECT_EQ(first->WaitForEnd().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(run->Progress().step(), 0);
}

}  // namespace
}  // namespace gradd
