#include "core/run/run_registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "core/base/error.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_worker.h"
#include "tests/support/no_claims.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

using testing::HasSubstr;

class RunRegistryTest : public testing::Test {
 protected:
  FakeClock clock_;
};

TEST_F(RunRegistryTest, RefusesRunsBeyondItsLimitsWithTheNumbers) {
  Limits limits;
  limits.max_runs = 2;
  limits.max_parameters_per_run = 1000;
  limits.max_staged_bytes = 12'000;
  limits.max_state_bytes = 9000;
  RunRegistry registry(limits, 1, &clock_);
  const auto create = [&](const char* run_id, const v1::Run& spec) {
    return registry.Create(run_id, spec, "").status();
  };
  EXPECT_THAT(create("a", SynchronousSpec(1001, 1)).message(), HasSubstr("limit of 1000"));
  EXPECT_THAT(create("a", SynchronousSpec(1000, 4)).message(),
              HasSubstr("stages 4 pushes of 4000 bytes at once, which is over the server's "
                        "max_staged_bytes of 12000"));
  EXPECT_TRUE(create("a", SynchronousSpec(1000, 3)).ok());
  EXPECT_EQ(ReasonOf(create("a", SynchronousSpec(1, 1))), "RUN_EXISTS");
  v1::Run adam = SynchronousSpec(500, 1);
  adam.mutable_optimizer()->mutable_adam();
  EXPECT_EQ(ReasonOf(create("b", adam)), "STATE_TOO_LARGE");
  EXPECT_TRUE(create("b", SynchronousSpec(500, 1)).ok());
  EXPECT_EQ(ReasonOf(create("c", SynchronousSpec(1, 1))), "TOO_MANY_RUNS");
  ASSERT_TRUE(registry.Delete("runs/a").ok());
  EXPECT_TRUE(create("c", SynchronousSpec(1, 1)).ok());
}

TEST_F(RunRegistryTest, CountsRunsThatComeAndGo) {
  RunRegistry registry(Limits(), 1, &clock_);
  EXPECT_EQ(registry.changes(), 0);
  ASSERT_TRUE(registry.Create("a", SynchronousSpec(1, 1), "").ok());
  EXPECT_EQ(registry.changes(), 1);
  EXPECT_FALSE(registry.Create("a", SynchronousSpec(1, 1), "").ok());
  EXPECT_EQ(registry.changes(), 1);
  ASSERT_TRUE(registry.Delete("runs/a").ok());
  EXPECT_EQ(registry.changes(), 2);
}

// What an optimizer of whole tensors works in is claimed with the run, and given back with it.
TEST_F(RunRegistryTest, RefusesOptimizersWithoutRoomToWorkIn) {
  constexpr int64_t kSide = 300;
  constexpr int64_t kMatrix = kSide * kSide * 4;
  v1::Run muon = SynchronousSpec(1, 1);
  v1::Tensor* const tensor = muon.mutable_layout()->mutable_tensors(0);
  tensor->clear_shape();
  tensor->add_shape(kSide);
  tensor->add_shape(kSide);
  muon.mutable_optimizer()->mutable_muon();
  for (const bool fits : {false, true}) {
    Limits limits;
    limits.max_staged_bytes = 2 * kMatrix;
    // Parameters, momentum and result; a push; and, if it is to fit, five matrices and more to work
    // in.
    limits.max_memory_bytes = (fits ? 30 : 6) * kMatrix;
    RunRegistry registry(limits, 1, &clock_);
    const absl::Status status = registry.Create("a", muon, "").status();
    EXPECT_EQ(status.ok(), fits) << status;
    if (fits) continue;
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(ReasonOf(status), "SCRATCH_TOO_LARGE") << status;
    muon.mutable_optimizer()->mutable_momentum();
    EXPECT_TRUE(registry.Create("a", muon, "").ok()) << "nothing of the refused one is left";
    muon.mutable_optimizer()->mutable_muon();
  }
}

// What orthogonal initial values are made in is claimed until they are made.
TEST_F(RunRegistryTest, RefusesOrthogonalValuesWithoutRoomToMakeThemIn) {
  constexpr int64_t kSide = 300;
  constexpr int64_t kMatrix = kSide * kSide * 4;
  v1::Run spec = SynchronousSpec(1, 1);
  v1::Tensor* const tensor = spec.mutable_layout()->mutable_tensors(0);
  tensor->clear_shape();
  tensor->add_shape(kSide);
  tensor->add_shape(kSide);
  tensor->mutable_initializer()->mutable_orthogonal();
  Limits limits;
  limits.max_staged_bytes = kMatrix;
  limits.max_memory_bytes = 3 * kMatrix;  // Parameters and a push; and not two more matrices.
  RunRegistry small(limits, 1, &clock_);
  const absl::Status status = small.Create("a", spec, "").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(status), "SCRATCH_TOO_LARGE") << status;
  EXPECT_THAT(status.message(), HasSubstr("needs 722400 bytes to make the orthogonal"));
  v1::Run normal = spec;
  normal.mutable_layout()->mutable_tensors(0)->mutable_initializer()->mutable_normal();
  EXPECT_TRUE(small.Create("a", normal, "").ok()) << "nothing of the refused one is left";

  limits.max_memory_bytes = 6 * kMatrix;  // Two of these runs, if the first one gives room back.
  RunRegistry large(limits, 1, &clock_);
  EXPECT_TRUE(large.Create("a", spec, "").ok());
  const absl::Status second = large.Create("b", spec, "").status();
  EXPECT_TRUE(second.ok()) << second;
}

TEST_F(RunRegistryTest, CreationIsSafeToRetry) {
  RunRegistry registry(Limits(), 1, &clock_);
  const auto first = registry.Create("a", SynchronousSpec(1, 1), "request-1");
  const auto again = registry.Create("a", SynchronousSpec(1, 1), "request-1");
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(*first, *again);
  EXPECT_EQ(registry.Create("a", SynchronousSpec(1, 1), "request-2").status().code(),
            absl::StatusCode::kAlreadyExists);
}

TEST_F(RunRegistryTest, RefusesToCycleAMomentumThatIsNotThere) {
  RunRegistry registry(Limits(), 1, &clock_);
  v1::Run spec = SynchronousSpec(1, 1);
  v1::OneCycleSchedule* const cycle = spec.mutable_schedule()->mutable_one_cycle();
  cycle->set_total_steps(10);
  cycle->mutable_momentum();
  const absl::Status status = registry.Create("a", spec, "").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("schedule: its momentum is set"));
  spec.mutable_optimizer()->mutable_adam();
  EXPECT_TRUE(registry.Create("a", spec, "").ok());
}

TEST_F(RunRegistryTest, RefusesBadNames) {
  RunRegistry registry(Limits(), 1, &clock_);
  for (const char* run_id : {"", "A", "1a", "-a", "a-", "a_b", "a/b", "a b", "\xff"}) {
    EXPECT_EQ(registry.Create(run_id, SynchronousSpec(1, 1), "").status().code(),
              absl::StatusCode::kInvalidArgument)
        << run_id;
  }
  EXPECT_FALSE(registry.Create(std::string(64, 'a'), SynchronousSpec(1, 1), "").ok());
  EXPECT_TRUE(registry.Create(std::string(63, 'a'), SynchronousSpec(1, 1), "").ok());
  EXPECT_EQ(registry.Find("a").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(registry.Find("runs/a").status().code(), absl::StatusCode::kNotFound);
}

// Eight runs share room for little more than one step of one of them.
TEST_F(RunRegistryTest, RunsShareTheStagingRoomWithoutDeadlock) {
  constexpr int kRuns = 8;
  constexpr int kWorkers = 3;
  constexpr int kSteps = 40;
  constexpr int64_t kElements = 1000;
  Limits limits;
  limits.max_staged_bytes = kElements * 4 * (kWorkers + 1);
  RunRegistry registry(limits, 2, &clock_);
  std::vector<std::unique_ptr<FakeWorker>> workers;
  for (int r = 0; r < kRuns; ++r) {
    const std::string run_id = "run" + std::to_string(r);
    const v1::Run spec =
        r % 2 == 0 ? SynchronousSpec(kElements, kWorkers) : AsynchronousSpec(kElements);
    ASSERT_TRUE(registry.Create(run_id, spec, "").ok());
    for (int w = 0; w < kWorkers; ++w) {
      workers.push_back(std::make_unique<FakeWorker>(&registry, run_id, "w" + std::to_string(w)));
      workers.back()->Join();
    }
  }
  const std::vector<float> gradient(kElements, 1);
  for (int step = 0; step < kSteps; ++step) {
    for (const auto& worker : workers) {
      worker->Push(step + 1, step, gradient, false, 1, 1, /*chunk_elements=*/100);
      ASSERT_LE(registry.claimed_bytes(), limits.max_staged_bytes);
    }
    for (const auto& worker : workers) {
      ASSERT_EQ(worker->WaitForResult(static_cast<size_t>(step)).outcome(),
                v1::PUSH_OUTCOME_APPLIED);
    }
  }
  AwaitNoClaims(registry);
}

// Whatever workers do, the run goes on and counts every push once.
TEST_F(RunRegistryTest, RandomDisconnectsNeverHangARunNorLoseOrRepeatAPush) {
  constexpr int kWorkers = 4;
  constexpr int64_t kElements = 64;
  for (unsigned seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    RunRegistry registry(Limits(), 2, &clock_);
    v1::Run spec = AsynchronousSpec(kElements);
    const bool synchronous = seed % 2 == 0;
    if (synchronous) spec = SynchronousSpec(kElements, kWorkers);
    const auto run = *registry.Create("r", spec, "");
    std::vector<std::unique_ptr<FakeWorker>> workers(kWorkers);
    std::vector<int64_t> sequences(kWorkers, 1);
    for (int event = 0; event < 600; ++event) {
      const size_t w = random() % kWorkers;
      auto& worker = workers[w];
      const auto kind = random() % 10;
      if (worker == nullptr || worker->end().has_value()) {
        worker = std::make_unique<FakeWorker>(&registry, "r", "w" + std::to_string(w), w + 1);
        worker->Join();
        sequences[w] = worker->welcome()->last_sequence() + 1;
      } else if (kind < 7) {
        worker->Push(sequences[w], run->Progress().step(), std::vector<float>(kElements, 1),
                     kind % 2 == 0, 1, 1, 1 + random() % kElements);
        ++sequences[w];
      } else if (kind == 7) {
        worker->Disconnect();
        worker = nullptr;
      } else if (kind == 8) {
        worker->Leave();
        worker = nullptr;
      } else {
        clock_.Advance(absl::Seconds(random() % 20));
        registry.Tick();
      }
    }
    // Everyone is gone: what waits is applied when the leases have ended.
    workers.clear();
    clock_.Advance(absl::Minutes(10));
    registry.Tick();
    const v1::Run description = run->Describe(Run::Detail::kFull);
    int64_t applied = 0;
    for (const v1::WorkerStatus& worker : description.workers()) {
      EXPECT_EQ(worker.last_sequence(), worker.applied_pushes() + worker.rejected_pushes());
      applied += worker.applied_pushes();
    }
    EXPECT_EQ(description.progress().applied_pushes(), applied);
    EXPECT_GT(description.progress().step(), 0);
    if (!synchronous) {
      EXPECT_EQ(description.progress().step(), applied);
    }
    AwaitNoClaims(registry);

    // Whatever happened, the run still trains.
    FakeWorker last(&registry, "r", "last");
    last.Join();
    last.Push(1, run->Progress().step(), std::vector<float>(kElements, 1));
    clock_.Advance(absl::Minutes(5));
    registry.Tick();
    EXPECT_EQ(last.WaitForResult(0).outcome(), v1::PUSH_OUTCOME_APPLIED);
  }
}

// A hundred small runs beside one whose steps keep every thread busy: all of them get on.
TEST_F(RunRegistryTest, AHundredRunsDoNotStarveOneAnother) {
  constexpr int kRuns = 100;
  constexpr int kSteps = 20;
  constexpr int64_t kLarge = 8 * kBlockElements;
  RunRegistry registry(Limits(), 2, &clock_);
  ASSERT_TRUE(registry.Create("large", AsynchronousSpec(kLarge), "").ok());
  FakeWorker large(&registry, "large", "w");
  large.Join();
  std::atomic<bool> stop{false};
  std::thread busy([&] {
    const std::vector<float> gradient(kLarge, 1);
    for (int64_t step = 0; !stop; ++step) {
      large.Push(step + 1, step, gradient);
      large.WaitForResult(static_cast<size_t>(step));
    }
  });
  std::vector<std::unique_ptr<FakeWorker>> workers;
  for (int r = 0; r < kRuns - 1; ++r) {
    const std::string run_id = "run" + std::to_string(r);
    ASSERT_TRUE(registry.Create(run_id, SynchronousSpec(100'000, 1), "").ok());
    workers.push_back(std::make_unique<FakeWorker>(&registry, run_id, "w"));
    workers.back()->Join();
  }
  const auto large_steps = [&] { return (*registry.Find("runs/large"))->Progress().step(); };
  const int64_t before = large_steps();
  const std::vector<float> gradient(100'000, 1);
  for (int step = 0; step < kSteps; ++step) {
    for (const auto& worker : workers) worker->Push(step + 1, step, gradient);
    for (const auto& worker : workers) {
      ASSERT_EQ(worker->WaitForResult(static_cast<size_t>(step)).outcome(),
                v1::PUSH_OUTCOME_APPLIED);
    }
  }
  EXPECT_GT(large_steps(), before);
  stop = true;
  busy.join();
}

}  // namespace
}  // namespace gradd
