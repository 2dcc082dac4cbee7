// What is done while the runs of an earlier server have yet to be read.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/core/durability/kept_server.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

using testing::IsEmpty;

// With these, the tasks of the disk come in many orders.
constexpr uint64_t kSeeds = 40;

std::vector<std::string> RunsOf(KeptServer* server) {
  std::vector<std::string> ids;
  for (const auto& run : server->registry()->All()) ids.push_back(run->run_id());
  return ids;
}

TEST(BesideRecoveryTest, RunsThatAreCreatedMeanwhileAreLeftAlone) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    FakeClock clock;
    FakeFileSystem files;
    {
      KeptServer server(&files, &clock, seed);
      ASSERT_TRUE(server.Start().ok());
      ASSERT_TRUE(server.registry()->Create("old", SynchronousSpec(3, 1), "").ok());
      server.Settle();
    }
    const auto left = files.AfterCrash(seed);
    auto server = std::make_unique<KeptServer>(left.get(), &clock, seed);
    ASSERT_TRUE(server->Begin().ok());
    const auto run = server->registry()->Create("new", SynchronousSpec(3, 1), "");
    ASSERT_TRUE(run.ok()) << run.status();
    // Some of the creation is on the disk when the recovery looks there.
    for (uint64_t i = 0; i < seed % 10; ++i) server->RunOne();
    server->Settle();
    EXPECT_THAT(RunsOf(server.get()), testing::UnorderedElementsAre("new", "old"));
    EXPECT_EQ(server->Find("new"), *run) << seed << ": it was recovered over itself";
    const auto answer = server->Answer(run->get());
    ASSERT_TRUE(answer->has_value());
    EXPECT_TRUE((*answer)->ok()) << seed << ": " << **answer;
    server.reset();
    const auto after = left->AfterCrash(seed);
    KeptServer again(after.get(), &clock, seed);
    ASSERT_TRUE(again.Start().ok());
    EXPECT_THAT(RunsOf(&again), testing::UnorderedElementsAre("new", "old")) << seed;
    EXPECT_THAT(again.registry()->Unusable(), IsEmpty()) << seed;
  }
}

// Two runs that were kept, on a server that has memory for one of them.
class ScarceMemoryTest : public testing::Test {
 protected:
  static constexpr int64_t kElements = 4096;

  ScarceMemoryTest() {
    KeptServer server(&files_, &clock_, /*seed=*/1);
    EXPECT_TRUE(server.Start().ok());
    EXPECT_TRUE(server.registry()->Create("a", SynchronousSpec(kElements, 1), "").ok());
    EXPECT_TRUE(server.registry()->Create("b", SynchronousSpec(kElements, 1), "").ok());
    server.Settle();
  }
  void Start() {
    left_ = files_.AfterCrash(/*seed=*/1);
    Limits limits;
    limits.max_state_bytes = kElements * int64_t{sizeof(float)} * 3 / 2;
    server_ = std::make_unique<KeptServer>(left_.get(), &clock_, /*seed=*/1, limits);
    ASSERT_TRUE(server_->Start().ok());
    ASSERT_THAT(RunsOf(server_.get()), testing::ElementsAre("a"));
    const auto unusable = server_->registry()->Unusable();
    ASSERT_EQ(unusable.size(), 1U);
    EXPECT_EQ(unusable[0].state(), v1::RUN_STATE_RECOVERING);
    EXPECT_THAT(unusable[0].progress().reason(), testing::StartsWith("waits for memory: "));
    EXPECT_EQ(server_->registry()->Find("runs/b").status().code(), absl::StatusCode::kUnavailable);
  }

  FakeClock clock_;
  FakeFileSystem files_;
  std::unique_ptr<FakeFileSystem> left_;
  std::unique_ptr<KeptServer> server_;
};

TEST_F(ScarceMemoryTest, ARunIsRecoveredWhenThereIsMemoryForIt) {
  Start();
  server_->TakeLog();
  server_->Pass(absl::Seconds(11));
  EXPECT_THAT(server_->TakeLog(), IsEmpty()) << "it is told once";
  EXPECT_THAT(RunsOf(server_.get()), testing::ElementsAre("a"));
  ASSERT_TRUE(server_->registry()->Delete("runs/a").ok());
  server_->Settle();
  server_->Pass(absl::Seconds(11));
  EXPECT_THAT(RunsOf(server_.get()), testing::ElementsAre("b"));
  EXPECT_THAT(server_->registry()->Unusable(), IsEmpty());
}

TEST_F(ScarceMemoryTest, OneThatWaitsForMemoryCanBeDeleted) {
  Start();
  ASSERT_TRUE(server_->registry()->Delete("runs/b").ok());
  EXPECT_THAT(server_->registry()->Unusable(), IsEmpty());
  EXPECT_EQ(server_->registry()->Delete("runs/b").code(), absl::StatusCode::kNotFound);
  server_->Pass(absl::Seconds(11));
  ASSERT_TRUE(server_->registry()->Delete("runs/a").ok());
  server_->Settle();
  server_->Pass(absl::Seconds(11));
  EXPECT_THAT(RunsOf(server_.get()), IsEmpty());
}

// Two people delete a run that is damaged, and a third one creates another of that id between them.
TEST(DamagedRunTest, IsDeletedOnce) {
  FakeClock clock;
  RunRegistry registry(Limits(), std::make_unique<VirtualExecutor>(1), &clock);
  registry.BeginRecovery("r");
  registry.EndRecovery("r", absl::DataLossError("its checkpoint"));
  int removals = 0;
  registry.SetRemoveFromDisk([&](const std::string&) {
    ++removals;
    EXPECT_EQ(registry.Delete("runs/r").code(), absl::StatusCode::kNotFound);
    EXPECT_EQ(registry.Create("r", SynchronousSpec(3, 1), "").status().code(),
              absl::StatusCode::kUnavailable);
    return removals == 1 ? absl::InternalError("the disk") : absl::OkStatus();
  });
  EXPECT_EQ(registry.Delete("runs/r").message(), "the disk");
  EXPECT_EQ(registry.Find("runs/r").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(registry.Delete("runs/r").ok());
  EXPECT_EQ(removals, 2);
  EXPECT_TRUE(registry.Create("r", SynchronousSpec(3, 1), "").ok());
}

}  // namespace
}  // namespace gradd
