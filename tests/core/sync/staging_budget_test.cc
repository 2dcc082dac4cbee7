#include "core/sync/staging_budget.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace gradd {
namespace {

class StagingBudgetTest : public testing::Test {
 protected:
  std::shared_ptr<StagingBudget::Claim> Claim(int64_t bytes, bool extends = false) {
    return budget_->MakeClaim(bytes, extends, [this] { ++grants_; });
  }
  const std::shared_ptr<StagingBudget> budget_ = StagingBudget::Create(100);
  int grants_ = 0;
};

TEST_F(StagingBudgetTest, GrantsWhatFitsAndNoMore) {
  const auto a = Claim(60);
  const auto b = Claim(40);
  auto c = Claim(1);
  EXPECT_TRUE(a->granted());
  EXPECT_TRUE(b->granted());
  EXPECT_FALSE(c->granted());
  EXPECT_EQ(budget_->claimed_bytes(), 100);
  EXPECT_EQ(grants_, 0);
}

TEST_F(StagingBudgetTest, GrantsTheOldestWaitingClaimFirst) {
  auto a = Claim(100);
  const auto large = Claim(90);
  const auto small = Claim(5);
  const auto second = Claim(20);
  EXPECT_FALSE(small->granted()) << "a small claim overtook a large one";
  a.reset();
  EXPECT_TRUE(large->granted());
  EXPECT_TRUE(small->granted());
  EXPECT_FALSE(second->granted());
  EXPECT_EQ(grants_, 2);
  EXPECT_EQ(budget_->claimed_bytes(), 95);
}

TEST_F(StagingBudgetTest, AnExtendingClaimDoesNotQueueBehindThoseWhoWaitForItsOwner) {
  const auto step = Claim(60);
  const auto other_run = Claim(100);
  const auto late_joiner = Claim(30, /*extends=*/true);
  EXPECT_TRUE(late_joiner->granted());
  EXPECT_FALSE(other_run->granted());
}

TEST_F(StagingBudgetTest, WithdrawnClaimsLetTheNextOnesThrough) {
  const auto a = Claim(50);
  auto large = Claim(60);
  const auto small = Claim(50);
  EXPECT_FALSE(small->granted());
  large.reset();
  EXPECT_TRUE(small->granted());
}

TEST_F(StagingBudgetTest, NeverExceedsItsLimitOverManyClaims) {
  std::vector<std::shared_ptr<StagingBudget::Claim>> claims;
  unsigned state = 1;
  for (int i = 0; i < 10'000; ++i) {
    state = state * 1664525 + 1013904223;
    if (claims.size() > 20 || state % 3 == 0) {
      if (!claims.empty()) claims.erase(claims.begin() + state % claims.size());
    } else {
      claims.push_back(Claim(state / 7 % 101, state % 5 == 0));
    }
    int64_t granted = 0;
    for (const auto& claim : claims) {
      if (claim->granted()) granted += claim->bytes();
    }
    ASSERT_EQ(granted, budget_->claimed_bytes());
    ASSERT_LE(granted, 100);
    if (!claims.empty() && granted == 0) {
      for (const auto& claim : claims) ASSERT_GT(claim->bytes(), 100) << "nothing is granted";
    }
  }
  claims.clear();
  EXPECT_EQ(budget_->claimed_bytes(), 0);
}

}  // namespace
}  // namespace gradd
