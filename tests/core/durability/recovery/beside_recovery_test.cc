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

}  // namespace
}  // namespace gradd
