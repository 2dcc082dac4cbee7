// What a step needs besides its pushes, and who gets it.

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
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

constexpr int64_t kSide = 300;
constexpr int64_t kSquareElements =
    kSide * kSide;  // Too many for a step in the thread that pushes.
constexpr int64_t kSquareBytes = kSquareElements * static_cast<int64_t>(sizeof(float));

class StepRoomTest : public testing::Test {
 protected:
  void Start(int64_t vectors) {
    Limits limits;
    limits.max_memory_bytes = vectors * kSquareBytes;
    limits.max_staged_bytes = limits.max_memory_bytes;
    registry_ = std::make_unique<RunRegistry>(limits, /*threads=*/2, &clock_, kTileElements);
  }
  std::shared_ptr<gradd::Run> Create(const std::string& optimizer) {
    v1::Run spec = AsynchronousSpec(1);
    *spec.mutable_layout() = MatrixLayout(kSide, kSide).message();
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(optimizer, spec.mutable_optimizer()));
    spec.mutable_schedule()->set_learning_rate(1e-3);
    return *registry_->Create("r", spec, "");
  }
  int64_t Taken(MemoryUse use) const { return registry_->budget().taken_bytes(use); }
  // Pushes of the steps so far may be let go of after their workers are told.
  void WaitUntilNothingIsStaged() const {
    while (Taken(MemoryUse::kStaging) > 0) std::this_thread::yield();
  }

  FakeClock clock_;
  std::unique_ptr<RunRegistry> registry_;
};

// A step with such an element is watched: it can be undone, with all that its optimizer keeps.
TEST_F(StepRoomTest, TheCopyForAnUndoIsClaimedWhileTheStepIsOnItsWay) {
  struct Case {
    const char* optimizer;
    int64_t copied_vectors;
  };
  for (const Case& row : {Case{"sgd {}", 0}, Case{"momentum {}", 0}, Case{"muon {}", 1}}) {
    SCOPED_TRACE(row.optimizer);
    Start(/*vectors=*/1000);
    const auto run = Create(row.optimizer);
    FakeWorker worker(registry_.get(), "r", "w");
    worker.Join();
    const int64_t scratch = Taken(MemoryUse::kScratch);
    {
      BusyPool busy(registry_->pool());
      worker.Push(1, 0, std::vector<float>(kSquareElements, 1e13F));
      EXPECT_EQ(Taken(MemoryUse::kScratch), scratch + row.copied_vectors * kSquareBytes);
    }
    EXPECT_EQ(worker.WaitForResult(0).outcome(), v1::PUSH_OUTCOME_APPLIED);
    EXPECT_EQ(Taken(MemoryUse::kScratch), scratch);
  }
}

// Whoever pushes waits for none of it: to give memory back takes time, and the run's lock is held.
TEST_F(StepRoomTest, NothingIsTakenFromReadersInTheThreadThatPushes) {
  Start(/*vectors=*/4);
  const auto run = Create("sgd {}");
  FakeWorker worker(registry_.get(), "r", "w");
  worker.Join();
  std::vector<std::shared_ptr<VersionReaders::Hold>> readers;
  const auto read = [&] {
    run->RequestSnapshot(SnapshotContents::kEvaluation, [&](auto snapshot) {
      readers.push_back(
          registry_->readers()->Add(VersionReaders::Kind::kPull, std::move(snapshot)));
    });
  };
  const std::vector<float> ones(kSquareElements, 1);
  for (int64_t step = 1; step <= 3; ++step) {
    read();
    if (step < 3) {
      worker.Push(step, step - 1, ones);
      ASSERT_EQ(worker.WaitForResult(static_cast<size_t>(step - 1)).outcome(),
                v1::PUSH_OUTCOME_APPLIED);
      WaitUntilNothingIsStaged();
    }
  }
  ASSERT_EQ(Taken(MemoryUse::kVersions), 2 * kSquareBytes);
  {
    BusyPool busy(registry_->pool());
    worker.Push(3, 2, ones);
    EXPECT_NE(readers[0]->snapshot(), nullptr) << "the step needs it, and waits";
  }
  EXPECT_EQ(worker.WaitForResult(2).outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(readers[0]->snapshot(), nullptr);
  EXPECT_NE(readers[2]->snapshot(), nullptr);
  EXPECT_LE(registry_->budget().taken_bytes(), 4 * kSquareBytes);
}

// The push that closes a window still closes it when its step has had to wait.
TEST_F(StepRoomTest, AStepOfAWindowThatWaitsForMemoryIsTheSameStep) {
  Start(/*vectors=*/5);  // Parameters, the window, a push, and two versions.
  const auto owned = Create("sgd {} accumulation_steps: 2");
  v1::Run synchronous;
  synchronous.mutable_policy()->mutable_synchronous()->set_workers(1);
  google::protobuf::FieldMask mask;
  mask.add_paths("policy");
  ASSERT_TRUE(UpdateAndWait(owned.get(), synchronous, mask, "ada").ok());
  FakeWorker worker(registry_.get(), "r", "w");
  worker.Join();
  const std::vector<float> ones(kSquareElements, 1);
  std::vector<std::shared_ptr<VersionReaders::Hold>> readers;
  for (int64_t push = 1; push <= 8; ++push) {
    const bool closes = push % 2 == 0;
    if (closes) {
      owned->RequestSnapshot(SnapshotContents::kEvaluation, [&](auto snapshot) {
        readers.push_back(
            registry_->readers()->Add(VersionReaders::Kind::kPull, std::move(snapshot)));
      });
    }
    worker.Push(push, (push - 1) / 2, ones);
    EXPECT_EQ(worker.WaitForResult(static_cast<size_t>(push - 1)).outcome(),
              closes ? v1::PUSH_OUTCOME_APPLIED : v1::PUSH_OUTCOME_ACCUMULATED);
    EXPECT_LE(registry_->budget().taken_bytes(), 5 * kSquareBytes);
  }
  EXPECT_EQ(readers.front()->snapshot(), nullptr) << "a step has had to wait";
  EXPECT_EQ(owned->Progress().step(), 4);
}

TEST_F(StepRoomTest, ADeletedRunKeepsNothingThoughSomebodyHasIt) {
  Start(/*vectors=*/1000);
  const auto run = Create("muon {} accumulation_steps: 2");
  FakeWorker worker(registry_.get(), "r", "w");
  worker.Join();
  worker.Push(1, 0, std::vector<float>(kSquareElements, 1));
  EXPECT_EQ(worker.WaitForResult(0).outcome(), v1::PUSH_OUTCOME_ACCUMULATED);
  EXPECT_EQ(run->Describe(gradd::Run::Detail::kSummary).state_bytes(), Taken(MemoryUse::kState));
  ASSERT_TRUE(registry_->Delete("runs/r").ok());
  EXPECT_EQ(run->ReadMetrics().memory_bytes, 0);
  EXPECT_EQ(Taken(MemoryUse::kState), 0);
  EXPECT_EQ(Taken(MemoryUse::kScratch), 0);
  EXPECT_EQ(run->CheckContents(SnapshotContents::kAverage).code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace gradd
