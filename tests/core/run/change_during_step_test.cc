#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>
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

// Too many for a step in the thread that pushes.
constexpr int64_t kManyElements = 40 * kTileElements;
constexpr int64_t kManyBytes = kManyElements * static_cast<int64_t>(sizeof(float));

// An optimizer that is changed while a step is on its way gets its slots from memory of its own,
// not from what is reserved for the step; whatever others take in between.
TEST(ChangeDuringStepTest, TakesNothingThatTheStepHasReserved) {
  Limits limits;
  limits.max_memory_bytes = 12 * kManyBytes;
  FakeClock clock;
  RunRegistry registry(limits, /*threads=*/2, &clock, kTileElements);
  MemoryBudget& budget = registry.budget();
  v1::Run spec = AsynchronousSpec(kManyElements);
  // Workers train at a slot, so that parameters and the other slots are of one pool.
  spec.mutable_optimizer()->mutable_schedule_free_sgd();
  const auto run = *registry.Create("r", spec, "");
  FakeWorker worker(&registry, "r", "w");
  worker.Join();
  std::shared_ptr<VersionReaders::Hold> reader;
  run->RequestSnapshot(SnapshotContents::kEvaluation, [&](auto snapshot) {
    reader = registry.readers()->Add(VersionReaders::Kind::kPull, std::move(snapshot));
  });
  const std::vector<float> ones(kManyElements, 1);
  std::shared_ptr<MemoryBudget::Claim> rest;
  std::future<absl::StatusOr<v1::Run>> update;
  {
    BusyPool busy(registry.pool());
    worker.Push(1, 0, ones);  // Its step begins, with a vector for what the reader holds.
    EXPECT_EQ(budget.taken_bytes(), 5 * kManyBytes);
    v1::Run adam;
    adam.mutable_optimizer()->mutable_schedule_free_adam();
    google::protobuf::FieldMask mask;
    mask.add_paths("optimizer");
    update = BeginUpdate(run.get(), adam, mask);
    rest = budget.Take(MemoryUse::kVersions, budget.limits().total - budget.taken_bytes());
    ASSERT_NE(rest, nullptr);
  }
  EXPECT_EQ(worker.WaitForResult(0).outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_TRUE(update.get().ok());
  rest.reset();
  worker.Push(2, 1, ones);
  EXPECT_EQ(worker.WaitForResult(1).outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(run->Describe(gradd::Run::Detail::kSummary).state_bytes(), 4 * kManyBytes);
  EXPECT_LE(budget.taken_bytes(), budget.limits().total);
}

}  // namespace
}  // namespace gradd
