// A run that is captured, and goes on from there on another server.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/run/run.h"
#include "core/run/run_registry.h"
#include "tests/support/busy_pool.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_worker.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

using testing::HasSubstr;

using Captured = absl::StatusOr<std::shared_ptr<const RunCapture>>;

std::future<Captured> BeginCapture(Run* run) {
  const auto promise = std::make_shared<std::promise<Captured>>();
  run->Capture([promise](const auto& capture) { promise->set_value(capture); });
  return promise->get_future();
}

absl::StatusOr<std::shared_ptr<Run>> Restore(RunRegistry* registry, const RunCapture& capture) {
  RunOrigin origin;
  origin.capture = std::make_shared<RunCapture>(capture);
  return registry->Create("r", capture.state.spec(), "", &origin);
}

class RestoreTest : public testing::Test {
 protected:
  std::shared_ptr<gradd::Run> Create(const v1::Run& spec) {
    return *registry_.Create("r", spec, "");
  }

  FakeClock clock_;
  RunRegistry registry_{Limits(), /*threads=*/2, &clock_};
  RunRegistry other_{Limits(), /*threads=*/2, &clock_};
};

TEST_F(RestoreTest, WhoIsExpectedAndWhatWasAnsweredIsKnown) {
  v1::Run spec = SynchronousSpec(2, 2);
  spec.mutable_layout()->mutable_tensors(0)->mutable_initializer()->set_constant(1);
  const auto run = Create(spec);
  FakeWorker a(&registry_, "r", "a");
  FakeWorker b(&registry_, "r", "b");
  a.Join();
  b.Join();
  a.Push(1, 0, {1, 2});
  b.Push(1, 0, {3, 4});
  ASSERT_EQ(a.WaitForResult(0).outcome(), v1::PUSH_OUTCOME_APPLIED);
  a.Push(2, 1, {1, 1});  // It waits for the other one, and is not kept.
  const Captured capture = BeginCapture(run.get()).get();
  ASSERT_TRUE(capture.ok()) << capture.status();

  const auto restored = *Restore(&other_, **capture);
  const v1::Run described = restored->Describe(gradd::Run::Detail::kFull);
  EXPECT_EQ(described.progress().step(), 1);
  EXPECT_EQ(described.progress().loss(), 1);
  EXPECT_GT(described.progress().gradient_norm(), 0);
  EXPECT_EQ(described.progress().live_workers(), 2);
  EXPECT_EQ(described.progress().applied_pushes(), 2);
  EXPECT_EQ(described.workers(0).state(), v1::WORKER_STATE_DISCONNECTED);
  EXPECT_EQ(described.workers(0).last_sequence(), 1);
  FakeWorker a2(&other_, "r", "a");
  a2.Join();
  EXPECT_EQ(a2.welcome()->last_sequence(), 1);
  EXPECT_EQ(a2.welcome()->step(), 1);
  a2.Push(1, 0, {1, 2});
  EXPECT_EQ(a2.WaitForResult(0).outcome(), v1::PUSH_OUTCOME_DUPLICATE);
  EXPECT_EQ(a2.WaitForResult(0).committed_outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(a2.WaitForResult(0).committed_step(), 1);
  a2.Push(2, 1, {1, 1});
  EXPECT_EQ(a2.results().size(), 1U) << "the other one is expected back";
  FakeWorker b2(&other_, "r", "b");
  b2.Join();
  b2.Push(2, 1, {1, 1}, /*want_parameters=*/true);
  EXPECT_EQ(b2.WaitForParameters(2), (std::vector<float>{-2, -3}));
}

TEST_F(RestoreTest, TheHistoryOfStepsAndEvaluationsGoesOn) {
  const auto run = Create(AsynchronousSpec(2));
  FakeWorker worker(&registry_, "r", "w");
  worker.Join();
  for (int64_t step = 0; step < 3; ++step) {
    clock_.Advance(absl::Seconds(2));
    worker.Push(step + 1, step, {1, 2});
    ASSERT_EQ(worker.WaitForResult(static_cast<size_t>(step)).outcome(), v1::PUSH_OUTCOME_APPLIED);
  }
  v1::Evaluation evaluation;
  evaluation.set_step(2);
  evaluation.set_loss(0.5);
  evaluation.set_examples(10);
  ASSERT_TRUE(run->ReportEvaluation(evaluation).ok());
  ASSERT_TRUE(run->BeginTimeline("ada").ok());
  const Captured capture = BeginCapture(run.get()).get();
  ASSERT_TRUE(capture.ok()) << capture.status();
  const auto restored = *Restore(&other_, **capture);
  EXPECT_EQ(restored->ReadHistory({4096, 0, 0}).SerializeAsString(),
            run->ReadHistory({4096, 0, 0}).SerializeAsString());

  FakeWorker again(&other_, "r", "w");
  again.Join();
  again.Push(4, 3, {2, 4});
  ASSERT_EQ(again.WaitForResult(0).outcome(), v1::PUSH_OUTCOME_APPLIED);
  const v1::History history = restored->ReadHistory({4096, 0, 0});
  EXPECT_THAT(history.steps().steps(), testing::ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(history.steps().timelines(), testing::ElementsAre(1, 1, 1, 2));
  EXPECT_EQ(history.steps().times(2) - history.steps().times(0), 4);
  EXPECT_EQ(history.steps().gradient_norms(3), 2 * history.steps().gradient_norms(0));
  EXPECT_THAT(history.steps().learning_rates(), testing::Each(1));
  EXPECT_EQ(history.steps().losses(3), restored->Progress().loss());
  EXPECT_THAT(history.evaluations().steps(), testing::ElementsAre(2));
  EXPECT_THAT(history.evaluations().losses(), testing::ElementsAre(0.5));
  EXPECT_THAT(restored->ReadHistory({4096, 2, 0}).steps().steps(), testing::ElementsAre(4));
}

TEST_F(RestoreTest, AStateStaysWithItsReasonAndTheTimeThatTheRunWasAtIt) {
  const auto run = Create(AsynchronousSpec(1));
  clock_.Advance(absl::Seconds(40));
  ASSERT_TRUE(run->Pause("ada").ok());
  clock_.Advance(absl::Seconds(20));
  const Captured capture = BeginCapture(run.get()).get();
  const auto restored = *Restore(&other_, **capture);
  clock_.Advance(absl::Seconds(5));
  const v1::Run described = restored->Describe(gradd::Run::Detail::kFull);
  EXPECT_EQ(described.state(), v1::RUN_STATE_PAUSED);
  EXPECT_EQ(described.progress().elapsed().seconds(), 40);
  EXPECT_THAT(described.progress().reason(), HasSubstr("ada"));
  EXPECT_EQ(described.history_size(), 1);
  EXPECT_EQ(described.create_time().seconds(),
            run->Describe(gradd::Run::Detail::kSummary).create_time().seconds());
  ASSERT_TRUE(restored->Resume("bob").ok());
  FakeWorker worker(&other_, "r", "w");
  worker.Join();
  worker.Push(1, 0, {1});
  EXPECT_EQ(worker.WaitForResult(0).outcome(), v1::PUSH_OUTCOME_APPLIED);
}

TEST_F(RestoreTest, AFinishedRunIsFinished) {
  v1::Run spec = AsynchronousSpec(1);
  spec.set_max_steps(1);
  const auto run = Create(spec);
  FakeWorker worker(&registry_, "r", "w");
  worker.Join();
  worker.Push(1, 0, {1});
  ASSERT_EQ(worker.WaitForResult(0).outcome(), v1::PUSH_OUTCOME_APPLIED);
  const auto restored = *Restore(&other_, **BeginCapture(run.get()).get());
  EXPECT_EQ(restored->Progress().state(), v1::RUN_STATE_FINISHED);
  FakeWorker again(&other_, "r", "w");
  again.Join();
  again.Push(2, 1, {1});
  EXPECT_EQ(again.WaitForResult(0).reason(), "RUN_FINISHED");
}

// Between two steps; and the next one comes after it.
TEST_F(RestoreTest, ACaptureWaitsForTheStepThatIsOnItsWay) {
  constexpr int64_t kElements = 100'000;  // Too many for a step in the thread that pushes.
  const auto run = Create(AsynchronousSpec(kElements));
  FakeWorker worker(&registry_, "r", "w");
  worker.Join();
  std::future<Captured> capture;
  {
    BusyPool busy(registry_.pool());
    worker.Push(1, 0, std::vector<float>(kElements, 1));
    capture = BeginCapture(run.get());
    worker.Push(2, 0, std::vector<float>(kElements, 1));
  }
  const Captured captured = capture.get();
  ASSERT_TRUE(captured.ok());
  EXPECT_EQ((*captured)->state.step(), (*captured)->vectors.snapshot->step);
  EXPECT_EQ((*captured)->state.step(), 1);
  EXPECT_EQ((*captured)->vectors.snapshot->parameters[0].data()[0], -1);
  EXPECT_EQ(worker.WaitForResult(1).outcome(), v1::PUSH_OUTCOME_APPLIED);
}

TEST_F(RestoreTest, WhoeverAsksForACaptureOfADeletedRunIsTold) {
  constexpr int64_t kElements = 100'000;
  const auto run = Create(AsynchronousSpec(kElements));
  FakeWorker worker(&registry_, "r", "w");
  worker.Join();
  std::future<Captured> during;
  {
    BusyPool busy(registry_.pool());
    worker.Push(1, 0, std::vector<float>(kElements, 1));
    during = BeginCapture(run.get());
    ASSERT_TRUE(registry_.Delete("runs/r").ok());
  }
  EXPECT_EQ(during.get().status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(BeginCapture(run.get()).get().status().code(), absl::StatusCode::kNotFound);
}

TEST_F(RestoreTest, WhatDoesNotFitIsRefusedByName) {
  v1::Run spec = AsynchronousSpec(3);
  spec.mutable_optimizer()->mutable_adam();
  spec.mutable_optimizer()->set_accumulation_steps(2);
  const auto run = Create(spec);
  FakeWorker worker(&registry_, "r", "w");
  worker.Join();
  worker.Push(1, 0, {1, 2, 3});
  ASSERT_EQ(worker.WaitForResult(0).outcome(), v1::PUSH_OUTCOME_ACCUMULATED);
  const Captured capture = BeginCapture(run.get()).get();
  struct Case {
    const char* what;
    void (*change)(RunCapture*);
  };
  const Case cases[] = {
      {"its state is of step 1, and its vectors of 0",
       [](RunCapture* changed) { changed->state.set_step(1); }},
      {"0 blocks, 1 expected", [](RunCapture* changed) { changed->vectors.window.clear(); }},
      {"window", [](RunCapture* changed) { changed->state.clear_window(); }},
      {"next_step", [](RunCapture* changed) { changed->vectors.plan.clear(); }},
      {"slot",
       [](RunCapture* changed) {
         auto snapshot = std::make_shared<Snapshot>(*changed->vectors.snapshot);
         snapshot->slots.pop_back();
         changed->vectors.snapshot = std::move(snapshot);
       }},
      {"events", [](RunCapture* changed) { changed->state.set_events(0); }},
  };
  for (const Case& each : cases) {
    RunCapture other = **capture;
    each.change(&other);
    const auto refused = Restore(&other_, other);
    EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument) << each.what;
    EXPECT_THAT(std::string(refused.status().message()), HasSubstr(each.what));
  }
  EXPECT_EQ(other_.budget().taken_bytes(), 0) << "what was refused keeps nothing";
  EXPECT_TRUE(Restore(&other_, **capture).ok());
}

TEST_F(RestoreTest, WithoutRoomForTheCopyThereIsNoneAndTheRunGoesOn) {
  v1::Run spec = AsynchronousSpec(1000);
  spec.mutable_optimizer()->set_accumulation_steps(2);
  Limits limits;
  limits.max_memory_bytes = int64_t{1} << 20;
  RunRegistry registry(limits, /*threads=*/2, &clock_);
  const auto run = *registry.Create("r", spec, "");
  FakeWorker worker(&registry, "r", "w");
  worker.Join();
  worker.Push(1, 0, std::vector<float>(1000, 1));
  ASSERT_EQ(worker.WaitForResult(0).outcome(), v1::PUSH_OUTCOME_ACCUMULATED);
  MemoryBudget& budget = registry.budget();
  std::shared_ptr<MemoryBudget::Claim> rest;  // But for less than the window takes.
  for (int64_t bytes = budget.limits().total; rest == nullptr && bytes > 0; bytes -= 1000) {
    rest = budget.Take(MemoryUse::kVersions, bytes);
  }
  EXPECT_EQ(BeginCapture(run.get()).get().status().code(), absl::StatusCode::kResourceExhausted);
  rest.reset();
  worker.Push(2, 0, std::vector<float>(1000, 1));
  EXPECT_EQ(worker.WaitForResult(1).outcome(), v1::PUSH_OUTCOME_APPLIED);
}

}  // namespace
}  // namespace gradd
