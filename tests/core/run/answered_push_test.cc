// What is said and counted of pushes that were answered.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>

#include "core/run/run.h"
#include "core/run/run_registry.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_worker.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

class AnsweredPushTest : public testing::Test {
 protected:
  std::shared_ptr<gradd::Run> Create(v1::Run spec) {
    spec.mutable_optimizer()->mutable_skip_non_finite();
    return *registry_.Create("r", spec, "");
  }
  std::unique_ptr<FakeWorker> Join(const std::string& worker) {
    auto fake = std::make_unique<FakeWorker>(&registry_, "r", worker);
    fake->Join();
    return fake;
  }

  FakeClock clock_;
  RunRegistry registry_{Limits(), /*threads=*/1, &clock_};
};

TEST_F(AnsweredPushTest, ADuplicateSaysWhatBecameOfThePushThatItRepeats) {
  Create(SynchronousSpec(1, 1));
  auto a = Join("a");
  a->Push(1, 0, {1});
  a->Disconnect();  // As if the result had been lost.
  a = Join("a");
  a->Push(1, 0, {1});
  EXPECT_EQ(a->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_DUPLICATE);
  EXPECT_EQ(a->WaitForResult(0).committed_outcome(), v1::PUSH_OUTCOME_APPLIED);
  a->Push(2, 1, {std::nanf("")});
  EXPECT_EQ(a->WaitForResult(1).committed_outcome(), v1::PUSH_OUTCOME_UNSPECIFIED);
  a->Push(2, 1, {std::nanf("")});
  EXPECT_EQ(a->WaitForResult(2).outcome(), v1::PUSH_OUTCOME_DUPLICATE);
  EXPECT_EQ(a->WaitForResult(2).committed_outcome(), v1::PUSH_OUTCOME_SKIPPED);
  // Of earlier ones nothing is known but that they were answered.
  a->Push(1, 0, {1});
  EXPECT_EQ(a->WaitForResult(3).outcome(), v1::PUSH_OUTCOME_DUPLICATE);
  EXPECT_EQ(a->WaitForResult(3).committed_outcome(), v1::PUSH_OUTCOME_UNSPECIFIED);
}

TEST_F(AnsweredPushTest, TheRunCountsAsItsWorkersDo) {
  v1::Run spec = AsynchronousSpec(1);
  spec.mutable_policy()->mutable_asynchronous()->set_max_staleness(0);
  const auto run = Create(spec);
  const auto a = Join("a");
  const auto b = Join("b");
  a->Push(1, 0, {1});              // Applied,
  a->Push(1, 0, {1});              // again,
  b->Push(1, 0, {1});              // stale,
  b->Push(2, 1, {std::nanf("")});  // skipped,
  b->Push(4, 1, {1});              // refused,
  b->Push(3, 1, {1});              // applied.
  EXPECT_EQ(b->WaitForResult(3).outcome(), v1::PUSH_OUTCOME_APPLIED);
  const v1::Run described = run->Describe(gradd::Run::Detail::kFull);
  EXPECT_EQ(described.progress().applied_pushes(), 2);
  EXPECT_EQ(described.progress().rejected_pushes(), 3);
  ASSERT_EQ(described.workers_size(), 2);
  EXPECT_EQ(described.workers(0).applied_pushes() + described.workers(1).applied_pushes(), 2);
  EXPECT_EQ(described.workers(0).rejected_pushes(), 0);
  EXPECT_EQ(described.workers(1).rejected_pushes(), 3);
}

TEST_F(AnsweredPushTest, TheTimeLeftIsThatOfTheLastSteps) {
  v1::Run spec = SynchronousSpec(1, 1);
  spec.set_max_steps(100);
  const auto run = Create(spec);
  const auto left = [&run] {
    const v1::RunProgress progress = run->Progress();
    return progress.has_time_left() ? progress.time_left().seconds() : -1;
  };
  const auto a = Join("a");
  const auto push = [&](int64_t sequence, absl::Duration after) {
    clock_.Advance(after);
    registry_.Tick();
    a->Push(sequence, sequence - 1, {1});
    a->WaitForResult(static_cast<size_t>(sequence - 1));
  };
  push(1, absl::Seconds(9));  // The first gradient takes its time.
  push(2, absl::Seconds(5));
  EXPECT_EQ(left(), -1);
  for (int64_t sequence = 3; sequence <= 20; ++sequence) push(sequence, absl::Seconds(1));
  EXPECT_EQ(left(), 80);
  ASSERT_TRUE(run->Pause("ada").ok());
  EXPECT_EQ(left(), -1);
  clock_.Advance(absl::Hours(1));
  ASSERT_TRUE(run->Resume("ada").ok());
  a->Request(v1::TrainRequest());
  EXPECT_EQ(left(), 80);
}

}  // namespace
}  // namespace gradd
