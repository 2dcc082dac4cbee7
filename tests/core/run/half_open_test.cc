// What becomes of workers whose streams end, or are taken over, at an awkward moment.

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "core/run/run_registry.h"
#include "tests/support/fake_clock.h"
#include "tests/support/scripted_worker.h"
#include "tests/support/specs.h"
#include "tests/support/virtual_executor.h"

namespace gradd {
namespace {

class HalfOpenTest : public testing::Test {
 protected:
  static constexpr int64_t kElements = 100'000;  // Its steps are made on the executor.

  HalfOpenTest() {
    auto executor = std::make_unique<VirtualExecutor>(/*seed=*/1);
    executor_ = executor.get();
    registry_ = std::make_unique<RunRegistry>(Limits(), std::move(executor), &clock_);
  }

  static void Push(ScriptedWorker* worker, int64_t sequence, int64_t base_step,
                   bool commits = true) {
    const auto gradient = std::make_shared<std::vector<float>>(kElements, 1.0F);
    v1::TrainRequest request;
    v1::Push& push = *request.mutable_push();
    push.mutable_header()->set_sequence(sequence);
    push.mutable_header()->set_base_step(base_step);
    push.mutable_header()->set_examples(1);
    push.mutable_header()->set_loss(1);
    push.mutable_chunk()->set_offset(0);
    if (commits) push.mutable_commit();
    worker->Send(std::move(request), Payload({{reinterpret_cast<const std::byte*>(gradient->data()),
                                               gradient->size() * sizeof(float)}},
                                             gradient));
  }

  FakeClock clock_;
  VirtualExecutor* executor_ = nullptr;
  std::unique_ptr<RunRegistry> registry_;
};

TEST_F(HalfOpenTest, ARepeatedPushWhoseStepIsOnItsWayGetsTheAnswerOfTheFirst) {
  ASSERT_TRUE(registry_->Create("r", SynchronousSpec(kElements, 1), "").ok());
  ScriptedWorker before(registry_.get(), "a", 7);
  before.Join("r");
  Push(&before, 1, 0);  // Its step has begun, and no task has run.
  ScriptedWorker after(registry_.get(), "a", 7);
  after.Join("r");
  EXPECT_EQ(after.welcome()->last_sequence(), 0);
  Push(&after, 1, 0);
  EXPECT_TRUE(after.results().empty());
  executor_->RunAll();
  ASSERT_EQ(after.results().size(), 1);
  EXPECT_EQ(after.results()[0].outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(after.results()[0].step(), 1);
}

TEST_F(HalfOpenTest, AStreamWhoseLastRequestWasHeldEndsWhenItIsTaken) {
  ASSERT_TRUE(registry_->Create("r", SynchronousSpec(kElements, 1), "").ok());
  ScriptedWorker worker(registry_.get(), "a", 7);
  v1::Join join;
  join.set_want_parameters(true);
  worker.Join("r", join);
  Push(&worker, 3, 0);  // Held, since the parameters are not read; then refused: it skips.
  ASSERT_TRUE(worker.held());
  worker.HalfClose();
  EXPECT_TRUE(worker.IsOpen());
  worker.ReadParameters();
  executor_->RunAll();
  ASSERT_EQ(worker.results().size(), 1);
  EXPECT_EQ(worker.results()[0].reason(), "SEQUENCE_SKIPS");
  ASSERT_TRUE(worker.end().has_value());
  EXPECT_TRUE(worker.end()->ok()) << *worker.end();
}

}  // namespace
}  // namespace gradd
