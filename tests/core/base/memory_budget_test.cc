#include "core/base/memory_budget.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace gradd {
namespace {

using ClaimPtr = std::shared_ptr<MemoryBudget::Claim>;

MemoryBudget::Limits LimitsOf(int64_t total) {
  MemoryBudget::Limits limits;
  limits.total = total;
  return limits;
}

class MemoryBudgetTest : public testing::Test {
 protected:
  ClaimPtr Stage(int64_t bytes) { return budget_->TakeForPush(bytes); }
  ClaimPtr Take(MemoryUse use, int64_t bytes) { return budget_->Take(use, bytes); }

  std::shared_ptr<MemoryBudget> budget_ = MemoryBudget::Create(LimitsOf(100));
};

TEST_F(MemoryBudgetTest, AllUsesTogetherStayBelowOneLimit) {
  auto state = Take(MemoryUse::kState, 60);
  ASSERT_NE(state, nullptr);
  EXPECT_EQ(Take(MemoryUse::kScratch, 41), nullptr);
  const auto scratch = Take(MemoryUse::kScratch, 20);
  ASSERT_NE(scratch, nullptr);
  EXPECT_EQ(Stage(21), nullptr);
  EXPECT_EQ(budget_->taken_bytes(MemoryUse::kState), 60);
  EXPECT_EQ(budget_->taken_bytes(MemoryUse::kScratch), 20);
  EXPECT_EQ(budget_->taken_bytes(MemoryUse::kStaging), 0);
  EXPECT_EQ(budget_->taken_bytes(), 80);
  EXPECT_EQ(budget_->RoomForPushes().room, 20);
  state.reset();
  EXPECT_EQ(budget_->RoomForPushes().room, 80);
  const auto push = Stage(21);
  EXPECT_NE(push, nullptr);
  EXPECT_EQ(budget_->taken_bytes(), 41);
  EXPECT_EQ(budget_->RoomForPushes().room, 80) << "with what they have";
}

TEST_F(MemoryBudgetTest, AUseMayHaveALimitOfItsOwn) {
  MemoryBudget::Limits limits = LimitsOf(100);
  limits.of(MemoryUse::kShared) = 30;
  budget_ = MemoryBudget::Create(limits);
  const auto shared = Take(MemoryUse::kShared, 30);
  EXPECT_NE(shared, nullptr);
  EXPECT_EQ(Take(MemoryUse::kShared, 1), nullptr);
  EXPECT_NE(Take(MemoryUse::kState, 70), nullptr);
}

TEST_F(MemoryBudgetTest, AClaimChangesItsSize) {
  const auto claim = Take(MemoryUse::kState, 40);
  EXPECT_FALSE(claim->Resize(101));
  EXPECT_EQ(claim->bytes(), 40);
  EXPECT_TRUE(claim->Resize(100));
  EXPECT_EQ(Stage(50), nullptr);
  EXPECT_TRUE(claim->Resize(50));
  EXPECT_NE(Stage(50), nullptr);
}

TEST_F(MemoryBudgetTest, WhatCannotBeRefusedOverdrawsItAndNothingElseIsGranted) {
  const auto state = Take(MemoryUse::kState, 90);
  const auto versions = Take(MemoryUse::kVersions, 5);
  versions->ForceSize(30);
  EXPECT_EQ(budget_->taken_bytes(), 120);
  EXPECT_EQ(Take(MemoryUse::kScratch, 1), nullptr);
  EXPECT_EQ(Stage(5), nullptr);
  EXPECT_TRUE(versions->Resize(5));
  EXPECT_NE(Stage(5), nullptr);
}

TEST_F(MemoryBudgetTest, WhatStaysForLongLeavesRoomForAStepOfAnyRun) {
  const auto small = budget_->Assure();
  const auto large = budget_->Assure();
  ASSERT_TRUE(small->Resize(10));
  ASSERT_TRUE(large->Resize(40));
  EXPECT_EQ(Take(MemoryUse::kState, 61), nullptr);
  const auto state = Take(MemoryUse::kState, 60);
  ASSERT_NE(state, nullptr);
  EXPECT_EQ(Take(MemoryUse::kShared, 1), nullptr);
  EXPECT_FALSE(small->Resize(41)) << "the state is there already";
  EXPECT_NE(Stage(40), nullptr);
  EXPECT_TRUE(large->Resize(0));
  EXPECT_NE(Take(MemoryUse::kShared, 30), nullptr);
}

TEST_F(MemoryBudgetTest, AnAssuranceEndsWithItsHolder) {
  auto assurance = budget_->Assure();
  ASSERT_TRUE(assurance->Resize(40));
  assurance.reset();
  EXPECT_NE(Take(MemoryUse::kState, 100), nullptr);
}

TEST_F(MemoryBudgetTest, VersionsAreGivenBackForWhatNeedsTheRoom) {
  std::vector<ClaimPtr> versions;
  budget_->SetReclaim([&versions] {
    if (versions.empty()) return false;
    versions.pop_back();
    return true;
  });
  for (int i = 0; i < 10; ++i) versions.push_back(Take(MemoryUse::kVersions, 10));
  const auto state = Take(MemoryUse::kState, 35);
  EXPECT_NE(state, nullptr);
  EXPECT_EQ(versions.size(), 6U) << "no more than necessary";
  const auto stage = [this](int64_t bytes) {
    EXPECT_EQ(Stage(bytes), nullptr);
    budget_->WantRoom(true, bytes);
    budget_->Tick();
    return Stage(bytes);
  };
  const auto push = stage(25);
  EXPECT_NE(push, nullptr);
  EXPECT_EQ(versions.size(), 4U);
  const auto large = stage(40);
  EXPECT_NE(large, nullptr);
  EXPECT_TRUE(versions.empty());
}

// Whoever wants room for a push may hold locks.
TEST_F(MemoryBudgetTest, WhoWaitsLeavesReclaimingToOthers) {
  std::vector<ClaimPtr> versions;
  std::vector<std::function<void()>> tasks;
  int calls = 0;
  const auto reclaim = [&versions] {
    if (versions.empty()) return false;
    versions.pop_back();
    return true;
  };
  budget_->SetReclaim(reclaim, [&tasks](auto task) { tasks.push_back(std::move(task)); });
  budget_->SetOnRoom([&calls] { ++calls; });
  for (int i = 0; i < 10; ++i) versions.push_back(Take(MemoryUse::kVersions, 8));
  EXPECT_EQ(Stage(40), nullptr);
  budget_->WantRoom(true, 40);
  budget_->WantRoom(true, 40);
  EXPECT_EQ(versions.size(), 10U);
  ASSERT_EQ(tasks.size(), 1U) << "one is enough";
  EXPECT_EQ(calls, 0);
  tasks[0]();
  EXPECT_EQ(calls, 1);
  EXPECT_NE(Stage(40), nullptr);
  EXPECT_EQ(versions.size(), 7U) << "no more than necessary";
}

TEST_F(MemoryBudgetTest, SmallPushesHaveALittleBesideALimitOfTheirOwn) {
  MemoryBudget::Limits limits = LimitsOf(100);
  limits.of(MemoryUse::kStaging) = 64;
  budget_ = MemoryBudget::Create(limits);
  EXPECT_EQ(budget_->RoomForPushes().beside, 2);
  const auto large = Stage(64);
  EXPECT_EQ(Stage(1), nullptr);
  const auto small = budget_->TakeForPush(1, /*beside=*/true);
  EXPECT_NE(small, nullptr);
  EXPECT_EQ(budget_->TakeForPush(2, /*beside=*/true), nullptr);
  const auto state = Take(MemoryUse::kState, 35);
  EXPECT_NE(state, nullptr);
  EXPECT_EQ(budget_->RoomForPushes().beside, 1);
  EXPECT_EQ(budget_->TakeForPush(1, /*beside=*/true), nullptr) << "the total is all there is";
}

TEST_F(MemoryBudgetTest, WhoWaitsHearsOfRoomThatComesBack) {
  int calls = 0;
  budget_->SetOnRoom([&calls] { ++calls; });
  auto state = Take(MemoryUse::kState, 60);
  const auto scratch = Take(MemoryUse::kScratch, 30);
  scratch->Resize(20);
  EXPECT_EQ(calls, 0) << "nobody waits";
  budget_->WantRoom(true, 0);
  scratch->Resize(10);
  EXPECT_EQ(calls, 1);
  state.reset();
  EXPECT_EQ(calls, 2);
  auto push = Stage(50);
  push.reset();
  EXPECT_EQ(calls, 2) << "whoever lets go of a push knows";
  budget_->WantRoom(false, 0);
  scratch->Resize(0);
  EXPECT_EQ(calls, 2);
}

// What a step is assured of and versions that do not come back stand in the way of.
TEST_F(MemoryBudgetTest, APushOverdrawsItRatherThanWaitForAReaderForEver) {
  budget_->SetReclaim([] { return false; });
  const auto step = budget_->Assure();
  ASSERT_TRUE(step->Resize(40));
  const auto state = Take(MemoryUse::kState, 60);
  const auto versions = Take(MemoryUse::kVersions, 0);
  versions->ForceSize(30);
  EXPECT_EQ(Stage(40), nullptr);
  budget_->WantRoom(true, 40);
  EXPECT_EQ(Stage(40), nullptr);
  budget_->Tick();
  EXPECT_NE(Stage(40), nullptr) << "they do not come back";
  EXPECT_EQ(Stage(41), nullptr) << "nobody is assured of so much";
}

TEST_F(MemoryBudgetTest, NothingIsTakenFromVersionsThatWouldNotHelp) {
  MemoryBudget::Limits limits = LimitsOf(100);
  limits.of(MemoryUse::kStaging) = 20;
  budget_ = MemoryBudget::Create(limits);
  int reclaims = 0;
  budget_->SetReclaim([&reclaims] {
    ++reclaims;
    return false;
  });
  const auto versions = Take(MemoryUse::kVersions, 50);
  const auto step = budget_->Assure();
  ASSERT_TRUE(step->Resize(20));
  const auto first = Stage(20);
  EXPECT_NE(first, nullptr);
  EXPECT_EQ(Stage(1), nullptr) << "pushes have a limit of their own";
  budget_->WantRoom(true, 1);
  budget_->Tick();
  EXPECT_EQ(Take(MemoryUse::kState, 81), nullptr) << "that would leave no room for a step";
  EXPECT_EQ(reclaims, 0);
  EXPECT_EQ(Take(MemoryUse::kState, 60), nullptr);
  EXPECT_EQ(reclaims, 1);
}

TEST_F(MemoryBudgetTest, LivesAsLongAsItsClaims) {
  const std::weak_ptr<MemoryBudget> alive = budget_;
  auto claim = Take(MemoryUse::kState, 10);
  budget_.reset();
  ASSERT_FALSE(alive.expired());
  EXPECT_EQ(alive.lock()->taken_bytes(), 10);
  claim.reset();
  EXPECT_TRUE(alive.expired());
}

TEST_F(MemoryBudgetTest, NeverExceedsItsLimitOverManyClaims) {
  std::vector<ClaimPtr> claims;
  unsigned state = 1;
  for (int i = 0; i < 10'000; ++i) {
    state = state * 1664525 + 1013904223;
    if (claims.size() > 20 || state % 3 == 0) {
      if (!claims.empty()) claims.erase(claims.begin() + state % claims.size());
    } else if (state % 7 == 0) {
      if (auto claim = Take(MemoryUse::kVersions, state / 7 % 101)) claims.push_back(claim);
    } else {
      if (auto claim = Stage(state / 7 % 101)) claims.push_back(claim);
    }
    int64_t granted = 0;
    for (const auto& claim : claims) granted += claim->bytes();
    ASSERT_EQ(granted, budget_->taken_bytes());
    ASSERT_LE(granted, 100);
  }
  claims.clear();
  EXPECT_EQ(budget_->taken_bytes(), 0);
}

class HeapBudgetTest : public MemoryBudgetTest {
 protected:
  HeapBudgetTest() {
    budget_->SetHeap(std::make_shared<Heap>(Heap::Functions{[this] { return free_; },
                                                            [this] {
                                                              ++trims_;
                                                              if (shrinks_) free_ = 0;
                                                            }}));
  }

  int64_t free_ = 0;
  int trims_ = 0;
  bool shrinks_ = true;  // Else what has been given back counts as free all the same.
};

TEST_F(HeapBudgetTest, TheHeapIsTrimmedWhenWhatItKeepsIsNeeded) {
  const auto push = Stage(20);
  free_ = 30;
  const auto state = Take(MemoryUse::kState, 50);
  EXPECT_NE(state, nullptr);
  EXPECT_EQ(trims_, 0);
  EXPECT_EQ(Take(MemoryUse::kState, 31), nullptr);
  EXPECT_EQ(trims_, 0) << "it would not help";
  const auto versions = Take(MemoryUse::kVersions, 20);
  EXPECT_NE(versions, nullptr);
  EXPECT_EQ(trims_, 1);
  EXPECT_TRUE(versions->Resize(30));
  EXPECT_FALSE(versions->Resize(37));
  EXPECT_FALSE(budget_->TrimIfWanted()) << "nothing is kept";
}

TEST_F(HeapBudgetTest, AClaimThatGrowsLeavesTheTrimToOthers) {
  const auto state = Take(MemoryUse::kState, 60);
  const auto versions = Take(MemoryUse::kVersions, 0);
  free_ = 30;
  EXPECT_FALSE(versions->Resize(20));
  EXPECT_EQ(budget_->TakeNow(MemoryUse::kShared, 20), nullptr);
  EXPECT_EQ(trims_, 0);
  budget_->Tick();
  EXPECT_EQ(trims_, 1);
  EXPECT_TRUE(versions->Resize(20));
  budget_->Tick();
  EXPECT_EQ(trims_, 1) << "nobody wants it";
  free_ = 10;
  versions->ForceSize(45);
  EXPECT_TRUE(budget_->TrimIfWanted()) << "the budget is overdrawn";
  EXPECT_EQ(trims_, 2);
  versions->ForceSize(55);
  EXPECT_FALSE(budget_->TrimIfWanted());
}

TEST_F(HeapBudgetTest, RoomIsMadeBeforeLocksAreTaken) {
  const auto state = Take(MemoryUse::kState, 60);
  free_ = 30;
  EXPECT_TRUE(budget_->MakeRoom(MemoryUse::kState, 8));
  EXPECT_EQ(trims_, 0);
  const auto first = Take(MemoryUse::kState, 8);
  EXPECT_TRUE(budget_->MakeRoom(MemoryUse::kState, 20));
  EXPECT_EQ(trims_, 1);
  EXPECT_NE(budget_->TakeNow(MemoryUse::kState, 20), nullptr);
  EXPECT_FALSE(budget_->MakeRoom(MemoryUse::kState, 33));
}

// A heap in the middle of which there is free memory counts it as free, trimmed or not.
TEST_F(HeapBudgetTest, WhatHasBeenTrimmedIsNotKept) {
  shrinks_ = false;
  const auto state = Take(MemoryUse::kState, 60);
  free_ = 40;
  for (int step = 0; step < 10; ++step) EXPECT_NE(Take(MemoryUse::kVersions, 30), nullptr);
  EXPECT_EQ(trims_, 1);
  free_ = 10;  // A push uses it, and lets go of it.
  EXPECT_NE(Take(MemoryUse::kVersions, 30), nullptr);
  free_ = 40;
  for (int step = 0; step < 10; ++step) EXPECT_NE(Take(MemoryUse::kVersions, 30), nullptr);
  EXPECT_EQ(trims_, 2);
}

}  // namespace
}  // namespace gradd
