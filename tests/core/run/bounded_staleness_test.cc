// Runs where each push is a step, and nobody gets far ahead of the slowest worker.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/run/run.h"
#include "core/run/run_registry.h"
#include "tests/core/run/three_workers_test.h"
#include "tests/support/fake_worker.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

using testing::HasSubstr;

v1::Run BoundedSpec(int64_t elements, int64_t bound) {
  v1::Run spec = AsynchronousSpec(elements);
  spec.mutable_policy()->mutable_bounded_staleness()->set_bound(bound);
  spec.mutable_lease_duration()->set_seconds(60);
  return spec;
}

// Nobody may be more than one push ahead, unless a test says otherwise.
class BoundedStalenessTest : public ThreeWorkersTest {
 protected:
  void Create() { CreateAndJoin(BoundedSpec(2, 1)); }
  void Push(size_t worker) {
    workers_[worker]->Push(++sequences_[worker], step(), {1, 1}, /*want_parameters=*/true);
    executor_->RunAll();
  }
  // Everyone but the worker, so often.
  void PushOthers(size_t worker, int times) {
    for (int i = 0; i < times; ++i) {
      for (size_t other = 0; other < workers_.size(); ++other) {
        if (other != worker) Push(other);
      }
    }
  }
  v1::WorkerStatus Status(size_t worker) const {
    return run_->Describe(gradd::Run::Detail::kWorkers).workers(static_cast<int>(worker));
  }
  bool IsHeldBack(size_t worker) const {
    return Status(worker).state() == v1::WORKER_STATE_HELD_BACK;
  }
};

TEST_F(BoundedStalenessTest, WhoIsTooFarAheadGetsNoParametersUntilTheOthersAreThere) {
  Create();
  Push(0);
  EXPECT_EQ(workers_[0]->snapshots(), 1);
  Push(0);
  EXPECT_EQ(workers_[0]->results().size(), 2) << "it is applied and answered";
  EXPECT_EQ(step(), 2);
  EXPECT_EQ(workers_[0]->snapshots(), 1);
  EXPECT_TRUE(IsHeldBack(0));
  EXPECT_EQ(Status(0).ahead(), 2);
  // Its next push is not read.
  Push(0);
  EXPECT_EQ(workers_[0]->requests_held(), 1);
  EXPECT_EQ(step(), 2);
  Push(1);
  EXPECT_TRUE(IsHeldBack(0)) << "the slowest is the third one";
  Push(2);
  EXPECT_EQ(workers_[0]->snapshots(), 2) << "and its next push was taken, which came before";
  EXPECT_EQ(workers_[0]->requests_held(), 0);
  EXPECT_EQ(step(), 5);
  EXPECT_TRUE(IsHeldBack(0));
  EXPECT_EQ(Status(0).ahead(), 2);
}

TEST_F(BoundedStalenessTest, ItsParametersAreTheNewestWhenItGoesOn) {
  Create();
  Push(0);
  Push(0);
  Push(1);
  Push(2);
  EXPECT_EQ(workers_[0]->WaitForParameters(4), std::vector<float>({-4, -4}));
}

// Whatever ends the slowest worker's membership.
TEST_F(BoundedStalenessTest, NobodyWaitsForOneThatHasGone) {
  for (const std::string end : {"leaves", "dies", "stays silent"}) {
    SCOPED_TRACE(end);
    workers_.clear();
    std::fill(std::begin(sequences_), std::end(sequences_), 0);
    if (run_ != nullptr) {
      ASSERT_TRUE(registry_.Delete("runs/r").ok());
    }
    Create();
    PushOthers(/*worker=*/2, 2);
    EXPECT_TRUE(IsHeldBack(0));
    EXPECT_TRUE(IsHeldBack(1));
    if (end == "leaves") workers_[2]->Leave();
    if (end == "dies") workers_[2]->Disconnect();
    executor_->RunAll();
    if (end != "leaves") {
      Pass(absl::Seconds(59));
      EXPECT_TRUE(IsHeldBack(0)) << "its lease runs";
      Pass(absl::Seconds(1));
    }
    EXPECT_FALSE(IsHeldBack(0));
    EXPECT_EQ(workers_[0]->snapshots(), 2);
    EXPECT_EQ(workers_[1]->snapshots(), 2);
    PushOthers(2, 3);
    EXPECT_EQ(step(), 4 + 6);
  }
}

// The server owes it something: neither its lease ends, nor its stream when it says no more.
TEST_F(BoundedStalenessTest, WhoIsHeldBackStaysAMember) {
  Create();
  Push(0);
  Push(0);
  v1::TrainRequest heartbeat;
  heartbeat.mutable_heartbeat();
  for (int i = 0; i < 10; ++i) {
    Pass(absl::Seconds(30));
    for (const size_t other : {1, 2}) workers_[other]->Request(heartbeat);
  }
  EXPECT_EQ(workers_[0]->end(), std::nullopt);
  workers_[0]->HalfClose();
  EXPECT_EQ(workers_[0]->end(), std::nullopt);
  Push(1);
  Push(2);
  EXPECT_EQ(workers_[0]->snapshots(), 2);
  EXPECT_EQ(workers_[0]->end(), absl::OkStatus()) << "that was all";
}

TEST_F(BoundedStalenessTest, WhoJoinsBeginsWhereTheSlowestOneIs) {
  Create();
  for (int i = 0; i < 5; ++i) PushOthers(/*nobody=*/3, 1);
  EXPECT_EQ(step(), 15);
  Push(0);
  workers_[1]->Leave();
  auto late = std::make_unique<FakeWorker>(&registry_, "r", "late");
  late->Join(/*want_parameters=*/true);
  EXPECT_EQ(late->snapshots(), 1);
  const v1::Run described = run_->Describe(gradd::Run::Detail::kWorkers);
  EXPECT_EQ(described.workers(2).worker(), "late");
  EXPECT_EQ(described.workers(2).ahead(), 0);
  Push(0);
  EXPECT_TRUE(IsHeldBack(0)) << "one more than the new one";
  // And who comes back: it is not behind by what others did meanwhile.
  workers_[1] = std::make_unique<FakeWorker>(&registry_, "r", "b");
  workers_[1]->Join(/*want_parameters=*/true);
  EXPECT_EQ(Status(1).ahead(), 0);
  EXPECT_EQ(workers_[1]->snapshots(), 1);
}

// With a new session, in its lease: it stays as far ahead as it was.
TEST_F(BoundedStalenessTest, ANewSessionChangesNothing) {
  Create();
  Push(0);
  Push(0);
  workers_[0]->Disconnect();
  workers_[0] = std::make_unique<FakeWorker>(&registry_, "r", "a");
  workers_[0]->Join(/*want_parameters=*/true);
  EXPECT_TRUE(IsHeldBack(0));
  EXPECT_EQ(workers_[0]->snapshots(), 0);
  Push(1);
  Push(2);
  EXPECT_EQ(workers_[0]->snapshots(), 1);
}

TEST_F(BoundedStalenessTest, TheBoundCanBeChangedWhileSomebodyIsHeldBack) {
  Create();
  Push(0);
  Push(0);
  v1::Run values;
  values.mutable_policy()->mutable_bounded_staleness()->set_bound(2);
  Change("policy.bounded_staleness.bound", values);
  EXPECT_FALSE(IsHeldBack(0));
  EXPECT_EQ(workers_[0]->snapshots(), 2);
  values.mutable_policy()->mutable_bounded_staleness()->set_bound(0);
  Change("policy.bounded_staleness.bound", values);
  EXPECT_TRUE(IsHeldBack(0)) << "it has the parameters, and its next push is not read";
  Push(0);
  EXPECT_EQ(step(), 2);
  EXPECT_EQ(workers_[0]->requests_held(), 1);
}

TEST_F(BoundedStalenessTest, AnotherPolicyLetsEverybodyGoOn) {
  Create();
  Push(0);
  Push(0);
  Push(0);
  v1::Run values;
  values.mutable_policy()->mutable_asynchronous();
  Change("policy", values);
  EXPECT_EQ(workers_[0]->snapshots(), 3);
  EXPECT_EQ(step(), 3) << "what was held back is taken";
  for (int i = 0; i < 4; ++i) Push(0);
  EXPECT_EQ(step(), 7);
  // What it did until then is not held against it.
  values.mutable_policy()->mutable_bounded_staleness()->set_bound(1);
  Change("policy", values);
  EXPECT_FALSE(IsHeldBack(0));
  EXPECT_EQ(Status(0).ahead(), 0);
}

TEST_F(BoundedStalenessTest, TheLastParametersAreForEverybody) {
  v1::Run spec = BoundedSpec(2, 0);
  spec.set_max_steps(2);
  CreateAndJoin(spec);
  Push(0);
  EXPECT_TRUE(IsHeldBack(0));
  EXPECT_EQ(workers_[0]->snapshots(), 0);
  Push(1);
  EXPECT_EQ(run_->Progress().state(), v1::RUN_STATE_FINISHED);
  EXPECT_EQ(workers_[0]->snapshots(), 1);
  EXPECT_EQ(workers_[1]->snapshots(), 1);
  EXPECT_FALSE(IsHeldBack(0));
}

// Blocks of the next parameters leave while their step is applied: not to one that is held back.
TEST_F(BoundedStalenessTest, NothingLeavesEarlyForOneThatWillBeHeldBack) {
  constexpr int64_t kElements = 3 * kBlockElements;
  CreateAndJoin(BoundedSpec(kElements, 0));
  const std::vector<float> gradient(kElements, 1);
  for (const size_t worker : {0, 1}) {
    workers_[worker]->Push(1, step(), gradient, /*want_parameters=*/true);
    executor_->RunAll();
    EXPECT_EQ(workers_[worker]->snapshots(), 0);
  }
  workers_[2]->Push(1, step(), gradient, /*want_parameters=*/true);
  executor_->RunAll();
  for (const auto& worker : workers_) EXPECT_EQ(worker->WaitForParameters(3)[0], -3);
  EXPECT_EQ(workers_[0]->snapshots_sent_early(), 0);
  EXPECT_EQ(workers_[2]->snapshots_sent_early(), 1) << "with it, nobody is behind";
}

TEST_F(BoundedStalenessTest, SaysWhoIsWaitedFor) {
  Create();
  PushOthers(/*worker=*/2, 2);
  Pass(absl::Seconds(20));
  const v1::RunProgress progress = run_->Progress();
  EXPECT_EQ(progress.condition(), v1::RUN_CONDITION_WAITING_FOR_PUSHES);
  EXPECT_THAT(progress.reason(), HasSubstr("a and b are held back, too far ahead, c computes"));
  EXPECT_THAT(progress.reason(), HasSubstr("when c has pushed, or is gone: it is the slowest"));
  ASSERT_EQ(progress.waits_for_size(), 1);
  EXPECT_EQ(progress.waits_for(0), "c");
}

TEST_F(BoundedStalenessTest, AFoldCountsAsWell) {
  v1::Run spec = BoundedSpec(2, 1);
  spec.mutable_optimizer()->set_accumulation_steps(10);
  CreateAndJoin(spec);
  Push(0);
  Push(0);
  EXPECT_EQ(step(), 0);
  EXPECT_TRUE(IsHeldBack(0));
  Push(0);
  EXPECT_EQ(workers_[0]->requests_held(), 1);
  Push(1);
  Push(2);
  EXPECT_EQ(workers_[0]->requests_held(), 0);
  EXPECT_TRUE(IsHeldBack(0)) << "once more";
}

TEST_F(BoundedStalenessTest, AStopDoesNotWaitForOneThatIsHeldBack) {
  Create();
  Push(0);
  Push(0);
  run_->Drain();
  executor_->RunAll();
  for (const auto& worker : workers_) EXPECT_TRUE(worker->end().has_value());
}

}  // namespace
}  // namespace gradd
