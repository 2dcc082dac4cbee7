#include <gtest/gtest.h>

#include <future>
#include <vector>

#include "core/run/run.h"
#include "core/run/run_registry.h"
#include "tests/support/busy_pool.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_worker.h"
#include "tests/support/specs.h"
#include "tests/support/update.h"

namespace gradd {
namespace {

// A run that became synchronous while a step was on its way must not take older pushes for its next
// step, also where that step is undone and so the count of steps stays.
TEST(UndoneStepTest, OldPushesAreSupersededAfterTheRunHasBecomeSynchronous) {
  constexpr int64_t kElements = 100'000;  // Too many for a step in the thread that pushes.
  FakeClock clock;
  RunRegistry registry(Limits(), /*threads=*/2, &clock, kBlockElements);
  v1::Run spec = AsynchronousSpec(kElements);
  spec.mutable_schedule()->set_learning_rate(10);
  const auto run = *registry.Create("r", spec, "");
  FakeWorker a(&registry, "r", "a");
  FakeWorker b(&registry, "r", "b");
  a.Join();
  b.Join();
  const std::vector<float> ordinary(kElements, 1);
  a.Push(1, 0, ordinary);
  ASSERT_EQ(a.WaitForResult(0).outcome(), v1::PUSH_OUTCOME_APPLIED);
  std::future<absl::StatusOr<v1::Run>> updated;
  {
    BusyPool busy(registry.pool());
    a.Push(2, 1, std::vector<float>(kElements, 3e38F));  // Its step begins and is not finite.
    b.Push(1, 0, ordinary);
    v1::Run synchronous;
    synchronous.mutable_policy()->mutable_synchronous()->set_workers(2);
    google::protobuf::FieldMask mask;
    mask.add_paths("policy");
    updated = BeginUpdate(run.get(), synchronous, mask);
    EXPECT_FALSE(IsAnswered(updated)) << "the step on its way is not of it";
  }
  EXPECT_TRUE(updated.get().ok());
  EXPECT_EQ(a.WaitForResult(1).reason(), "GRADIENT_TOO_LARGE");
  a.Push(2, 1, ordinary);
  EXPECT_EQ(b.WaitForResult(0).outcome(), v1::PUSH_OUTCOME_SUPERSEDED);
  b.Push(2, 1, ordinary);
  EXPECT_EQ(a.WaitForResult(2).outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(b.WaitForResult(1).outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(run->Progress().step(), 2);
}

// They are taken in the order of worker ids, and wait in the order in which they came.
TEST(UndoneStepTest, PushesOfAStepThatIsUndoneWaitInTheOrderInWhichTheyCame) {
  FakeClock clock;
  RunRegistry registry(Limits(), /*threads=*/1, &clock);
  v1::Run spec = SynchronousSpec(1, 3);
  spec.mutable_optimizer()->mutable_adam();  // It squares gradients.
  const auto run = *registry.Create("r", spec, "");
  FakeWorker a(&registry, "r", "a");
  FakeWorker b(&registry, "r", "b");
  FakeWorker c(&registry, "r", "c");
  for (FakeWorker* const worker : {&a, &b, &c}) worker->Join();
  c.Push(1, 0, {1});
  b.Push(1, 0, {1});
  a.Push(1, 0, {3e38F});
  ASSERT_EQ(a.WaitForResult(0).reason(), "GRADIENT_TOO_LARGE");
  v1::Run asynchronous;
  asynchronous.mutable_policy()->mutable_asynchronous();
  google::protobuf::FieldMask mask;
  mask.add_paths("policy");
  ASSERT_TRUE(UpdateAndWait(run.get(), asynchronous, mask, "").ok());
  EXPECT_EQ(c.WaitForResult(0).step(), 1);
  EXPECT_EQ(b.WaitForResult(0).step(), 2);
}

}  // namespace
}  // namespace gradd
