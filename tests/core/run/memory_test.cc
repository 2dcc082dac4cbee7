// What runs take from the server's budget, and how it comes back.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/run/run.h"
#include "core/run/run_registry.h"
#include "google/protobuf/text_format.h"
#include "tests/core/optim/optimizer_table.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_worker.h"
#include "tests/support/specs.h"
#include "tests/support/update.h"

namespace gradd {
namespace {

constexpr int64_t kBlocks = 10;
constexpr int64_t kParameters = kBlocks * kTileElements;
constexpr int64_t kParameterBytes = kParameters * static_cast<int64_t>(sizeof(float));

// Of kParameters in a matrix, with an optimizer in text format.
v1::Run MatrixSpec(const std::string& optimizer) {
  v1::Run spec = SynchronousSpec(1, 1);
  *spec.mutable_layout() = MatrixLayout(/*rows=*/kParameters / 128, /*row_elements=*/128).message();
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(optimizer, spec.mutable_optimizer()));
  spec.mutable_schedule()->set_learning_rate(1e-3);
  return spec;
}

using HoldPtr = std::shared_ptr<VersionReaders::Hold>;

class MemoryTest : public testing::Test {
 protected:
  // A server with room for so many vectors of kParameters.
  void Start(int64_t vectors) {
    Limits limits;
    limits.max_memory_bytes = vectors * kParameterBytes;
    limits.max_staged_bytes = limits.max_memory_bytes;
    registry_ = std::make_unique<RunRegistry>(limits, /*threads=*/2, &clock_, kTileElements);
  }
  std::shared_ptr<gradd::Run> Create(const std::string& run_id, const v1::Run& spec) {
    auto run = registry_->Create(run_id, spec, "");
    EXPECT_TRUE(run.ok()) << run.status();
    return run.ok() ? *run : nullptr;
  }
  std::unique_ptr<FakeWorker> Join(const std::string& run_id, const std::string& worker = "w") {
    auto fake = std::make_unique<FakeWorker>(registry_.get(), run_id, worker);
    fake->Join();
    return fake;
  }
  // A reader that stands still.
  HoldPtr Read(gradd::Run* run) {
    HoldPtr hold;
    run->RequestSnapshot(SnapshotContents::kEvaluation, [&](auto snapshot) {
      hold = registry_->readers()->Add(VersionReaders::Kind::kPull, std::move(snapshot));
    });
    return hold;
  }
  void Step(FakeWorker* worker, int64_t step) {
    worker->Push(step, step - 1, std::vector<float>(kParameters, 1));
    ASSERT_EQ(worker->WaitForResult(static_cast<size_t>(step - 1)).outcome(),
              v1::PUSH_OUTCOME_APPLIED);
  }
  absl::Status Change(gradd::Run* run, const std::string& path, const v1::Run& values) {
    google::protobuf::FieldMask mask;
    mask.add_paths(path);
    return UpdateAndWait(run, values, mask, "ada");
  }
  int64_t Taken(MemoryUse use) const { return registry_->budget().taken_bytes(use); }

  FakeClock clock_;
  std::unique_ptr<RunRegistry> registry_;
};

TEST_F(MemoryTest, NoStepWaitsForReadersAndTheSlowestLoseTheirVersions) {
  Start(/*vectors=*/5);  // Parameters, a push, and three versions.
  const auto run = Create("r", SynchronousSpec(kParameters, 1));
  const auto worker = Join("r");
  std::vector<HoldPtr> readers;
  for (int64_t step = 1; step <= 20; ++step) {
    readers.push_back(Read(run.get()));
    Step(worker.get(), step);
    EXPECT_LE(registry_->budget().taken_bytes(), 5 * kParameterBytes);
  }
  const auto lost = [](const HoldPtr& reader) { return reader->snapshot() == nullptr; };
  EXPECT_TRUE(std::is_partitioned(readers.begin(), readers.end(), lost)) << "the oldest first";
  EXPECT_FALSE(lost(readers.back()));
  EXPECT_TRUE(lost(readers[15]));
  EXPECT_EQ(ValuesOf(*readers.back()->snapshot())[0], -19);
  EXPECT_GT(Taken(MemoryUse::kVersions), 0);
  readers.clear();
  // What nobody needs for some seconds goes back.
  for (int i = 0; i < 2; ++i) {
    clock_.Advance(absl::Seconds(6));
    registry_->Tick();
  }
  EXPECT_EQ(Taken(MemoryUse::kVersions), 0);
  EXPECT_EQ(run->ReadMetrics().memory_bytes, kParameterBytes);
}

// What an optimizer keeps for whole tensors is no room for versions.
TEST_F(MemoryTest, VersionsAreClaimedWhateverTheOptimizerKeeps) {
  constexpr int64_t kReaders = 3;
  int64_t keep = 0;  // Rows whose optimizers keep something.
  for (const OptimizerCase& row : OptimizerTable()) {
    SCOPED_TRACE(row.name);
    Start(/*vectors=*/1000);
    const auto run = Create("r", MatrixSpec(row.spec));
    const auto worker = Join("r");
    const int64_t state = Taken(MemoryUse::kState);
    const int64_t scratch = Taken(MemoryUse::kScratch);
    // Its slots lie in blocks; the rest is kept elsewhere.
    if (state > run->ReadMetrics().memory_bytes || scratch > 0) ++keep;
    EXPECT_EQ(run->Describe(gradd::Run::Detail::kSummary).state_bytes(), state);
    std::vector<HoldPtr> readers;
    for (int64_t step = 1; step <= kReaders; ++step) {
      readers.push_back(Read(run.get()));
      Step(worker.get(), step);
    }
    EXPECT_EQ(Taken(MemoryUse::kVersions), kReaders * kParameterBytes);
    EXPECT_EQ(Taken(MemoryUse::kState), state);
    EXPECT_EQ(Taken(MemoryUse::kScratch), scratch);
    EXPECT_EQ(run->Describe(gradd::Run::Detail::kSummary).memory_bytes(),
              state + kReaders * kParameterBytes);
    EXPECT_EQ(run->ReadMetrics().memory_bytes, state + kReaders * kParameterBytes);
    ASSERT_TRUE(registry_->Delete("runs/r").ok());
    EXPECT_EQ(Taken(MemoryUse::kState), 0);
    EXPECT_EQ(Taken(MemoryUse::kScratch), 0) << "though somebody has the run";
    readers.clear();
    EXPECT_EQ(registry_->budget().taken_bytes(), 0);
  }
  EXPECT_GE(keep, 4) << "muon, shampoo, adafactor and sm3";
}

TEST_F(MemoryTest, NoStepOfAWholeTensorWaitsForReaders) {
  Start(/*vectors=*/1000);
  Create("r", MatrixSpec("muon {}"));
  const int64_t needed = registry_->budget().taken_bytes();
  // A push, and two versions.
  Start(/*vectors=*/needed / kParameterBytes + 1 + 3);
  const int64_t limit = registry_->budget().limits().total;
  const auto run = Create("r", MatrixSpec("muon {}"));
  const auto worker = Join("r");
  std::vector<HoldPtr> readers;
  for (int64_t step = 1; step <= 10; ++step) {
    readers.push_back(Read(run.get()));
    Step(worker.get(), step);
    EXPECT_LE(registry_->budget().taken_bytes(), limit);
  }
  EXPECT_EQ(readers.front()->snapshot(), nullptr);
  EXPECT_NE(readers.back()->snapshot(), nullptr);
}

// Muon keeps two vectors for a matrix: a change has those of both plans for a while.
TEST_F(MemoryTest, AChangeOfWholeTensorsClaimsWhatBothPlansKeep) {
  Start(/*vectors=*/1000);
  const auto run = Create("r", MatrixSpec("sgd {}"));
  const auto worker = Join("r");
  EXPECT_EQ(Taken(MemoryUse::kState), kParameterBytes);
  for (int repeat = 0; repeat < 3; ++repeat) {
    ASSERT_TRUE(Change(run.get(), "optimizer", MatrixSpec("muon {}")).ok());
    EXPECT_EQ(Taken(MemoryUse::kState), 3 * kParameterBytes);
    EXPECT_GT(Taken(MemoryUse::kScratch), 0);
    Step(worker.get(), 2 * repeat + 1);
    ASSERT_TRUE(Change(run.get(), "optimizer", MatrixSpec("sgd {}")).ok());
    Step(worker.get(), 2 * repeat + 2);
    EXPECT_EQ(Taken(MemoryUse::kState), kParameterBytes);
    EXPECT_EQ(Taken(MemoryUse::kScratch), 0);
  }
}

TEST_F(MemoryTest, ReadersOfOtherRunsMakeRoomToo) {
  Start(/*vectors=*/5);
  const auto a = Create("a", SynchronousSpec(kParameters, 1));
  const auto b = Create("b", SynchronousSpec(kParameters, 1));
  const auto worker_a = Join("a");
  const auto worker_b = Join("b");
  const HoldPtr old = Read(a.get());
  Step(worker_a.get(), 1);
  const HoldPtr newest = Read(a.get());
  const HoldPtr of_b = Read(b.get());
  Step(worker_b.get(), 1);
  const HoldPtr second_of_b = Read(b.get());
  Step(worker_b.get(), 2);
  EXPECT_EQ(old->snapshot(), nullptr);
  EXPECT_NE(newest->snapshot(), nullptr) << "it costs nothing";
  EXPECT_NE(second_of_b->snapshot(), nullptr);
}

TEST_F(MemoryTest, PushesThatWaitMakeReadersGiveWay) {
  Start(/*vectors=*/4);
  const auto run = Create("r", AsynchronousSpec(kParameters));
  const auto worker = Join("r");
  std::vector<HoldPtr> readers;
  for (int64_t step = 1; step <= 6; ++step) {
    readers.push_back(Read(run.get()));
    Step(worker.get(), step);
  }
  EXPECT_EQ(readers.front()->snapshot(), nullptr);
}

TEST_F(MemoryTest, ABlockOnItsWayToAStalledReaderDoesNotStopAStep) {
  Start(/*vectors=*/2);  // Parameters and a push, nothing else.
  const auto run = Create("r", SynchronousSpec(kParameters, 1));
  const auto worker = Join("r");
  const HoldPtr reader = Read(run.get());
  const BlockRef on_its_way = reader->snapshot()->parameters[3];
  Step(worker.get(), 1);
  EXPECT_EQ(reader->snapshot(), nullptr);
  EXPECT_EQ(on_its_way.data()[0], 0) << "it is as it was";
  Step(worker.get(), 2);
}

// The memory of the first versions in a shared region is claimed until the steps have it: pushes
// that wait get none of it, for which the step would then wait, and they for the step.
TEST_F(MemoryTest, TheFirstStepInASharedRegionWaitsForNobody) {
  Start(/*vectors=*/5);
  const auto run = Create("r", AsynchronousSpec(kParameters));
  FakeWorker mapping(registry_.get(), "r", "mapping");
  mapping.SetSameHost();
  v1::TrainRequest join;
  join.mutable_join()->set_run("runs/r");
  join.mutable_join()->set_worker("mapping");
  join.mutable_join()->set_want_shared_memory(true);
  mapping.Request(std::move(join));
  ASSERT_TRUE(mapping.welcome()->has_shared_memory());
  EXPECT_EQ(Taken(MemoryUse::kVersions), 2 * kParameterBytes) << "where its parameters will lie";
  ASSERT_TRUE(run->Pause("").ok());
  std::vector<std::unique_ptr<FakeWorker>> others;
  for (int i = 0; i < 3; ++i) {
    others.push_back(Join("r", "w" + std::to_string(i)));
    others.back()->Push(1, 0, std::vector<float>(kParameters, 1));
  }
  EXPECT_EQ(Taken(MemoryUse::kStaging), kParameterBytes) << "two wait";
  ASSERT_TRUE(run->Resume("").ok());
  for (const auto& other : others) {
    EXPECT_EQ(other->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_APPLIED);
  }
  EXPECT_LE(registry_->budget().taken_bytes(), 5 * kParameterBytes);
  ASSERT_TRUE(registry_->Delete("runs/r").ok());
  EXPECT_EQ(Taken(MemoryUse::kVersions), 0);
}

TEST_F(MemoryTest, AStepOfFewRowsNeedsFewBlocks) {
  Start(/*vectors=*/4);
  v1::Run spec = SynchronousSpec(1, 1);
  *spec.mutable_layout() = MatrixLayout(/*rows=*/kParameters / 64, /*row_elements=*/64).message();
  const auto run = Create("r", spec);
  const auto worker = Join("r");
  const HoldPtr reader = Read(run.get());
  v1::TrainRequest request;
  v1::Push& push = *request.mutable_push();
  push.mutable_header()->set_sequence(1);
  push.mutable_header()->set_examples(1);
  push.mutable_chunk()->set_encoding(v1::ENCODING_ROWS);
  push.mutable_chunk()->set_element_count(kParameters);
  push.mutable_commit();
  // Row 1: its number, and 64 zeros.
  const auto row = std::make_shared<std::vector<uint32_t>>(65, 0);
  row->front() = 1;
  const Payload::Slice slice(reinterpret_cast<const std::byte*>(row->data()), row->size() * 4);
  worker->Request(std::move(request), Payload({slice}, row));
  ASSERT_EQ(worker->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_NE(reader->snapshot(), nullptr);
  EXPECT_EQ(Taken(MemoryUse::kVersions), kParameterBytes / kBlocks);
}

TEST_F(MemoryTest, ADeletedRunGivesItsMemoryBackAtOnce) {
  Start(/*vectors=*/4);
  auto run = Create("r", SynchronousSpec(kParameters, 1));
  const auto worker = Join("r");
  Step(worker.get(), 1);
  const HoldPtr reader = Read(run.get());
  ASSERT_TRUE(registry_->Delete("runs/r").ok());
  EXPECT_EQ(Taken(MemoryUse::kState), 0);
  EXPECT_EQ(Taken(MemoryUse::kVersions), kParameterBytes) << "somebody reads it";
  v1::Run adam = SynchronousSpec(kParameters, 1);
  adam.mutable_optimizer()->mutable_adam();
  Create("s", adam);
  EXPECT_EQ(Taken(MemoryUse::kState), 3 * kParameterBytes);
  EXPECT_EQ(reader->snapshot(), nullptr) << "a step of the new run needs the room";
  EXPECT_EQ(ReasonOf(Change(run.get(), "optimizer", adam)), "RUN_NOT_FOUND");
}

// Whatever came before, a change takes what it needs and no more.
TEST_F(MemoryTest, ChangesAfterTheOptimizerGrewTakeNothingTwice) {
  struct Case {
    const char* name;
    const char* path;
    std::function<void(v1::Run*)> set;
    int64_t vectors;  // Of state after it.
  };
  const std::vector<Case> changes = {
      {"rate", "schedule.learning_rate",
       [](v1::Run* run) { run->mutable_schedule()->set_learning_rate(0.5); }, 3},
      {"beta", "optimizer.adam.beta1",
       [](v1::Run* run) { run->mutable_optimizer()->mutable_adam()->set_beta1(0.5); }, 3},
      {"max_steps", "max_steps", [](v1::Run* run) { run->set_max_steps(100); }, 3},
      {"policy", "policy",
       [](v1::Run* run) { run->mutable_policy()->mutable_synchronous()->set_workers(1); }, 3},
      {"the same again", "optimizer",
       [](v1::Run* run) { run->mutable_optimizer()->mutable_adam(); }, 3},
      {"momentum", "optimizer", [](v1::Run* run) { run->mutable_optimizer()->mutable_momentum(); },
       2},
      {"sgd", "optimizer", [](v1::Run* run) { run->mutable_optimizer()->mutable_sgd(); }, 1},
  };
  for (const Case& change : changes) {
    SCOPED_TRACE(change.name);
    Start(/*vectors=*/5);  // Adam's three, a push, and one that must stay free.
    const auto run = Create("r", SynchronousSpec(kParameters, 1));
    const auto worker = Join("r");
    Step(worker.get(), 1);
    v1::Run adam;
    adam.mutable_optimizer()->mutable_adam();
    ASSERT_TRUE(Change(run.get(), "optimizer", adam).ok());
    EXPECT_EQ(Taken(MemoryUse::kState), 3 * kParameterBytes);
    Step(worker.get(), 2);
    for (int repeat = 0; repeat < 3; ++repeat) {
      v1::Run values;
      change.set(&values);
      const absl::Status changed = Change(run.get(), change.path, values);
      EXPECT_TRUE(changed.ok()) << changed;
      EXPECT_EQ(Taken(MemoryUse::kState), change.vectors * kParameterBytes);
    }
    Step(worker.get(), 3);
    EXPECT_LE(registry_->budget().taken_bytes(), 5 * kParameterBytes);
    // And it grows again.
    EXPECT_TRUE(Change(run.get(), "optimizer", adam).ok());
    EXPECT_EQ(Taken(MemoryUse::kState), 3 * kParameterBytes);
    Step(worker.get(), 4);
  }
}

TEST_F(MemoryTest, ARefusedChangeLeavesTheClaimsAsTheyWere) {
  Start(/*vectors=*/3);
  const auto run = Create("r", SynchronousSpec(kParameters, 1));
  v1::Run adam;
  adam.mutable_optimizer()->mutable_adam();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(ReasonOf(Change(run.get(), "optimizer", adam)), "STATE_TOO_LARGE");
    EXPECT_EQ(Taken(MemoryUse::kState), kParameterBytes);
  }
  v1::Run momentum;
  momentum.mutable_optimizer()->mutable_momentum();
  EXPECT_TRUE(Change(run.get(), "optimizer", momentum).ok());
}

// Also not what its policy was assured of.
TEST_F(MemoryTest, ARefusedWindowLeavesTheAssuranceOfTheStepAsItWas) {
  Start(/*vectors=*/6);
  const auto run = Create("r", SynchronousSpec(kParameters, 1));
  v1::Run wider = SynchronousSpec(kParameters, 5);
  wider.mutable_optimizer()->set_accumulation_steps(2);
  google::protobuf::FieldMask mask;
  mask.add_paths("policy");
  mask.add_paths("optimizer.accumulation_steps");
  EXPECT_EQ(ReasonOf(UpdateAndWait(run.get(), wider, mask, "ada")), "STATE_TOO_LARGE");
  // Two runs, and a push.
  EXPECT_NE(Create("s", SynchronousSpec(kParameters, 1)), nullptr);
}

TEST_F(MemoryTest, ARunWhoseStepFindsNoRoomIsRefused) {
  Start(/*vectors=*/4);
  EXPECT_EQ(ReasonOf(registry_->Create("r", SynchronousSpec(kParameters, 5), "").status()),
            "STAGING_TOO_SMALL");
  EXPECT_EQ(ReasonOf(registry_->Create("r", SynchronousSpec(kParameters, 4), "").status()),
            "STATE_TOO_LARGE");
  const auto run = Create("r", SynchronousSpec(kParameters, 2));
  // Its third worker fits, its fourth does not.
  const auto first = Join("r", "a");
  const auto second = Join("r", "b");
  const auto third = Join("r", "c");
  EXPECT_FALSE(third->end().has_value());
  const auto fourth = Join("r", "d");
  ASSERT_TRUE(fourth->end().has_value());
  EXPECT_EQ(ReasonOf(*fourth->end()), "STAGING_TOO_SMALL");
  EXPECT_EQ(ReasonOf(registry_->Create("s", SynchronousSpec(kParameters, 1), "").status()),
            "STATE_TOO_LARGE")
      << "the third worker's push would find no room";
}

TEST_F(MemoryTest, WorkerIdsAreRememberedWhenTheirWorkersAreGone) {
  Start(/*vectors=*/10);
  const auto run = Create("r", AsynchronousSpec(kParameters));
  for (int i = 0; i < 100; ++i) {
    const auto worker = Join("r", "w" + std::to_string(i));
    worker->Push(1, i, std::vector<float>(kParameters, 1));
    ASSERT_EQ(worker->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_APPLIED);
    if (i % 2 == 0) worker->Leave();
  }
  clock_.Advance(absl::Minutes(10));
  registry_->Tick();
  EXPECT_EQ(run->Progress().live_workers(), 0);
  EXPECT_EQ(run->Describe(gradd::Run::Detail::kWorkers).workers_size(), 100);
  for (int i = 0; i < 100; ++i) {
    const auto worker = Join("r", "w" + std::to_string(i));
    EXPECT_EQ(worker->welcome()->last_sequence(), 1);
    worker->Push(1, 0, std::vector<float>(kParameters, 1));
    EXPECT_EQ(worker->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_DUPLICATE);
  }
  EXPECT_EQ(run->Progress().step(), 100);
}

}  // namespace
}  // namespace gradd
