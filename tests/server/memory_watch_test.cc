#include "server/memory_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace gradd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class MemoryWatchTest : public testing::Test {
 protected:
  MemoryWatchTest() {
    MemoryBudget::Limits limits;
    limits.total = 1000;
    limits.of(MemoryUse::kShared) = 100;
    budget_ = MemoryBudget::Create(limits);
  }
  std::vector<std::string> Look(absl::Duration now) {
    std::vector<std::string> lines;
    for (const LogEntry& entry : watch_.Look(*budget_, now)) lines.push_back(entry.Line());
    return lines;
  }
  std::shared_ptr<MemoryBudget> budget_;
  MemoryWatch watch_;
};

TEST_F(MemoryWatchTest, SaysOnceWhichUseIsNearItsLimit) {
  auto most = budget_->Take(MemoryUse::kShared, 89);
  EXPECT_THAT(Look(absl::Seconds(1)), IsEmpty());
  const auto more = budget_->Take(MemoryUse::kShared, 1);
  EXPECT_THAT(Look(absl::Seconds(2)),
              ElementsAre("memory near its limit: use=shared taken_bytes=90 limit_bytes=100"));
  EXPECT_THAT(Look(absl::Seconds(3)), IsEmpty());
}

TEST_F(MemoryWatchTest, SaysItAgainOnlyAfterItWasCalmForAWhile) {
  auto claim = budget_->Take(MemoryUse::kShared, 95);
  EXPECT_EQ(Look(absl::Seconds(1)).size(), 1u);
  claim.reset();
  EXPECT_THAT(Look(absl::Seconds(2)), IsEmpty());
  claim = budget_->Take(MemoryUse::kShared, 95);
  EXPECT_THAT(Look(absl::Seconds(3)), IsEmpty()) << "pushes come and go";
  claim.reset();
  Look(absl::Seconds(4));
  Look(absl::Seconds(4) + MemoryWatch::kCalm);
  claim = budget_->Take(MemoryUse::kShared, 95);
  EXPECT_EQ(Look(absl::Seconds(70)).size(), 1u);
}

TEST_F(MemoryWatchTest, AllUsesTogetherHaveALimitToo) {
  const auto state = budget_->Take(MemoryUse::kState, 500);
  const auto scratch = budget_->Take(MemoryUse::kScratch, 450);
  EXPECT_THAT(Look(absl::Seconds(1)),
              ElementsAre("memory near its limit: use=all taken_bytes=950 limit_bytes=1000"));
}

}  // namespace
}  // namespace gradd
