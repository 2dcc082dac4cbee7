// When a change of a run is in effect and answered, and what happens to those that come meanwhile.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/run/run.h"
#include "core/run/run_registry.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_worker.h"
#include "tests/support/specs.h"
#include "tests/support/update.h"
#include "tests/support/virtual_executor.h"

namespace gradd {
namespace {

using testing::HasSubstr;
using Answer = std::future<absl::StatusOr<v1::Run>>;

// A run of one worker whose steps, and whatever else needs the pool, happen when the test lets
// them.
class UpdateTest : public testing::Test {
 protected:
  static constexpr int64_t kElements = 100'000;  // Too many for a step in the thread that pushes.

  UpdateTest() {
    auto executor = std::make_unique<VirtualExecutor>(/*seed=*/1);
    executor_ = executor.get();
    registry_ = std::make_unique<RunRegistry>(Limits(), std::move(executor), &clock_);
    run_ = *registry_->Create("r", SynchronousSpec(kElements, 1), "");
    worker_ = std::make_unique<FakeWorker>(registry_.get(), "r", "w");
    worker_->Join();
    Settle();
  }
  // Lets happen what can.
  void Settle() { executor_->RunAll(); }
  // The step of a gradient of that value is on its way, and stays there until Settle().
  void BeginStep(float value = 1) {
    ++pushed_;
    worker_->Push(pushed_, run_->Progress().step(), std::vector<float>(kElements, value));
  }
  Answer Change(const v1::Run& values, const std::vector<std::string>& paths) {
    google::protobuf::FieldMask mask;
    for (const std::string& path : paths) mask.add_paths(path);
    return BeginUpdate(run_.get(), values, mask, "ada");
  }
  Answer SetRate(double rate) {
    v1::Run values;
    values.mutable_schedule()->set_learning_rate(rate);
    return Change(values, {"schedule.learning_rate"});
  }
  Answer SetAdam() {
    v1::Run values;
    values.mutable_optimizer()->mutable_adam();
    return Change(values, {"optimizer"});
  }
  Answer SetBeta1(double beta1) {
    v1::Run values;
    values.mutable_optimizer()->mutable_adam()->set_beta1(beta1);
    return Change(values, {"optimizer.adam.beta1"});
  }

  FakeClock clock_;
  VirtualExecutor* executor_ = nullptr;
  std::unique_ptr<RunRegistry> registry_;
  std::shared_ptr<gradd::Run> run_;
  std::unique_ptr<FakeWorker> worker_;
  int64_t pushed_ = 0;
};

TEST_F(UpdateTest, IsAnsweredWhenTheStepOnItsWayIsDone) {
  BeginStep();
  v1::Run values;
  values.mutable_optimizer()->mutable_momentum();
  values.mutable_schedule()->mutable_linear()->set_total_steps(2);
  Answer answer = Change(values, {"optimizer", "schedule.linear"});
  EXPECT_FALSE(IsAnswered(answer));
  EXPECT_EQ(run_->Describe(gradd::Run::Detail::kFull).history_size(), 0);
  Settle();
  ASSERT_TRUE(IsAnswered(answer));
  const absl::StatusOr<v1::Run> run = answer.get();
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(run->layout().tensors_size(), 1);
  EXPECT_TRUE(run->optimizer().has_momentum());
  EXPECT_EQ(run->progress().step(), 1);
  EXPECT_EQ(run->progress().learning_rate(), 1);
  EXPECT_EQ(run->schedule().begins_at(), 1);
  EXPECT_EQ(run->state_bytes(), 2 * kElements * 4) << "its slot is there";
  ASSERT_EQ(run->history_size(), 3);
  for (const v1::Change& change : run->history()) EXPECT_EQ(change.step(), 1) << change.field();
}

// Nothing of it was part of the run; the count of steps has not moved.
TEST_F(UpdateTest, AStepThatIsUndoneDoesNotCount) {
  BeginStep();
  Settle();
  SetRate(10);
  Settle();
  BeginStep(3e38F);
  v1::Run values;
  values.mutable_schedule()->mutable_linear()->set_total_steps(2);
  Answer answer = Change(values, {"schedule.linear"});
  EXPECT_FALSE(IsAnswered(answer));
  Settle();
  EXPECT_EQ(worker_->WaitForResult(1).reason(), "GRADIENT_TOO_LARGE");
  ASSERT_TRUE(IsAnswered(answer));
  const v1::Run run = *answer.get();
  EXPECT_EQ(run.progress().step(), 1);
  EXPECT_EQ(run.schedule().begins_at(), 1);
  EXPECT_EQ(run.history().rbegin()->step(), 1);
}

TEST_F(UpdateTest, OneAtATimeEachValidatedAgainstTheOneBefore) {
  BeginStep();
  Answer adam = SetAdam();
  Answer beta1 = SetBeta1(0.5);  // There is no adam yet.
  v1::Run values;
  values.mutable_optimizer()->mutable_momentum()->set_momentum(0.5);
  Answer refused = Change(values, {"optimizer.momentum.momentum"});
  Answer rate = SetRate(0.25);
  Answer same_rate = SetRate(0.25);
  for (const Answer* answer : {&adam, &beta1, &refused, &rate, &same_rate}) {
    EXPECT_FALSE(IsAnswered(*answer));
  }
  Settle();
  const absl::StatusOr<v1::Run> first = adam.get();
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_FALSE(first->optimizer().adam().has_beta1()) << "as it was then";
  const absl::StatusOr<v1::Run> second = beta1.get();
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->optimizer().adam().beta1(), 0.5);
  EXPECT_EQ(second->schedule().learning_rate(), 1);
  EXPECT_THAT(refused.get().status().message(), HasSubstr("this run's is adam"));
  EXPECT_EQ(rate.get()->schedule().learning_rate(), 0.25);
  const v1::Run last = *same_rate.get();
  ASSERT_EQ(last.history_size(), 3) << "who repeats a change changes nothing";
  EXPECT_EQ(last.history(2).field(), "schedule.learning_rate");
  for (const v1::Change& change : last.history()) EXPECT_EQ(change.step(), 1);
  BeginStep();
  Settle();
  EXPECT_EQ(worker_->WaitForResult(1).step(), 2);
}

TEST_F(UpdateTest, SoManyWaitAndFurtherOnesAreRefused) {
  BeginStep();
  std::vector<Answer> answers;
  for (size_t i = 0; i < 1 + UpdateQueue::kMostWaiting; ++i) {
    answers.push_back(SetRate(1.0 / static_cast<double>(2 + i)));
  }
  Answer refused = SetRate(0.125);
  ASSERT_TRUE(IsAnswered(refused));
  EXPECT_EQ(refused.get().status().code(), absl::StatusCode::kResourceExhausted);
  Settle();
  for (Answer& answer : answers) EXPECT_TRUE(answer.get().ok());
  Answer last = SetRate(0.125);
  Settle();
  EXPECT_EQ(last.get()->schedule().learning_rate(), 0.125) << "there is room again";
}

TEST_F(UpdateTest, APausedRunNeedsNoStep) {
  ASSERT_TRUE(run_->Pause("ada").ok());
  BeginStep();  // It waits.
  Answer adam = SetAdam();
  Answer beta1 = SetBeta1(0.5);
  Settle();
  ASSERT_TRUE(IsAnswered(beta1));
  EXPECT_EQ(adam.get()->state_bytes(), 3 * kElements * 4);
  EXPECT_EQ(beta1.get()->progress().step(), 0);
}

TEST_F(UpdateTest, NorDoesOneThatIsFinishedHeldOrDraining) {
  v1::Run values;
  values.set_max_steps(1);
  Answer once = Change(values, {"max_steps"});
  BeginStep();
  // At once, with the step that makes it true.
  Settle();
  EXPECT_EQ(once.get()->progress().state(), v1::RUN_STATE_RUNNING);
  EXPECT_EQ(run_->Progress().state(), v1::RUN_STATE_FINISHED);
  values.set_max_steps(3);
  Answer more = Change(values, {"max_steps"});
  Settle();
  ASSERT_TRUE(IsAnswered(more));
  EXPECT_EQ(more.get()->state(), v1::RUN_STATE_RUNNING);

  run_->Hold([](const absl::StatusOr<HeldRun>& held) { EXPECT_TRUE(held.ok()); });
  Answer held = SetRate(0.5);
  Settle();
  ASSERT_TRUE(IsAnswered(held));
  EXPECT_EQ(held.get()->state(), v1::RUN_STATE_HELD);
  run_->Release();

  registry_->Drain();
  Answer draining = SetRate(0.25);
  Settle();
  ASSERT_TRUE(IsAnswered(draining));
  EXPECT_EQ(draining.get()->schedule().learning_rate(), 0.25);
}

// The step that is on its way is the last one: the answer says so.
TEST_F(UpdateTest, ARunThatItFinishesIsFinishedInTheAnswer) {
  BeginStep();
  v1::Run values;
  values.set_max_steps(1);
  Answer answer = Change(values, {"max_steps"});
  Settle();
  const v1::Run run = *answer.get();
  EXPECT_EQ(run.state(), v1::RUN_STATE_FINISHED);
  ASSERT_EQ(run.history_size(), 2);
  EXPECT_EQ(run.history(0).field(), "max_steps");
  EXPECT_EQ(run.history(1).field(), "state");
}

TEST_F(UpdateTest, OfADeletedRunAllAreNotFound) {
  BeginStep();
  std::vector<Answer> answers;
  answers.push_back(SetAdam());
  answers.push_back(SetBeta1(0.5));
  answers.push_back(SetRate(0.5));
  ASSERT_TRUE(registry_->Delete("runs/r").ok());
  answers.push_back(SetRate(0.25));
  Settle();
  answers.push_back(SetRate(0.125));
  for (Answer& answer : answers) {
    ASSERT_TRUE(IsAnswered(answer));
    const absl::Status status = answer.get().status();
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
    EXPECT_EQ(ReasonOf(status), "RUN_NOT_FOUND");
  }
}

// However many people change it at once, on threads.
TEST(UpdateOnThreadsTest, NoneIsLost) {
  FakeClock clock;
  RunRegistry registry(Limits(), /*threads=*/2, &clock);
  const auto run = *registry.Create("r", SynchronousSpec(100'000, 1), "");
  FakeWorker worker(&registry, "r", "w");
  worker.Join();
  constexpr int kChanges = 40;
  std::vector<Answer> answers;
  for (int i = 0; i < kChanges; ++i) {
    if (i % 4 == 0) {
      const int64_t step = i / 4;
      if (step > 0) worker.WaitForResult(static_cast<size_t>(step) - 1);
      worker.Push(step + 1, step, std::vector<float>(100'000, 1));
    }
    v1::Run values;
    // In turn with slots and without.
    if (i % 2 == 0) {
      values.mutable_optimizer()->mutable_momentum()->set_momentum(1.0 / (i + 2));
    } else {
      values.mutable_optimizer()->mutable_sgd();
    }
    google::protobuf::FieldMask mask;
    mask.add_paths("optimizer");
    answers.push_back(BeginUpdate(run.get(), values, mask));
  }
  for (int i = 0; i < kChanges; ++i) {
    ASSERT_EQ(answers[static_cast<size_t>(i)].wait_for(std::chrono::minutes(1)),
              std::future_status::ready);
    const absl::StatusOr<v1::Run> updated = answers[static_cast<size_t>(i)].get();
    ASSERT_TRUE(updated.ok()) << updated.status();
    EXPECT_EQ(updated->history_size(), i + 1);
    EXPECT_EQ(updated->optimizer().has_momentum(), i % 2 == 0);
    EXPECT_EQ(updated->history().rbegin()->step(), updated->progress().step());
  }
}

}  // namespace
}  // namespace gradd
