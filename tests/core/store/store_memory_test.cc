#include "core/store/store_memory.h"

#include <gtest/gtest.h>

#include <memory>
#include <new>
#include <vector>

#include "core/base/memory_budget.h"
#include "core/store/block.h"

namespace gradd {
namespace {

constexpr int64_t kElements = 16;
constexpr int64_t kBytes = kElements * static_cast<int64_t>(sizeof(float));

class StoreMemoryTest : public testing::Test {
 protected:
  static std::shared_ptr<MemoryBudget> Budget(int64_t blocks) {
    MemoryBudget::Limits limits;
    limits.total = blocks * kBytes;
    return MemoryBudget::Create(limits);
  }
  int64_t versions() const { return budget_->taken_bytes(MemoryUse::kVersions) / kBytes; }
  int64_t state() const { return budget_->taken_bytes(MemoryUse::kState) / kBytes; }

  // Room for 10 blocks, 4 of which are the run's state.
  const std::shared_ptr<MemoryBudget> budget_ = Budget(10);
  const std::shared_ptr<StoreMemory> memory_ = std::make_shared<StoreMemory>(
      budget_->Take(MemoryUse::kState, 4 * kBytes), budget_->Take(MemoryUse::kVersions, 0));
  const std::shared_ptr<BlockPool> pool_ = BlockPool::Create(memory_);
};

TEST_F(StoreMemoryTest, WhatExceedsTheStateIsClaimedAsVersions) {
  std::vector<BlockRef> blocks;
  for (int i = 0; i < 4; ++i) blocks.push_back(pool_->Allocate(kElements));
  EXPECT_EQ(versions(), 0);
  blocks.push_back(pool_->Allocate(kElements));
  EXPECT_EQ(versions(), 1);
  const std::shared_ptr<BlockPool> other = BlockPool::Create(memory_);
  blocks.push_back(other->Allocate(kElements));
  EXPECT_EQ(versions(), 2);
  blocks.clear();
  EXPECT_EQ(versions(), 2) << "buffers are kept";
  EXPECT_EQ(memory_->FreeUnused(), 6 * kBytes);
  EXPECT_EQ(versions(), 0);
  EXPECT_EQ(state(), 4) << "it is the run's";
}

TEST_F(StoreMemoryTest, WithoutRoomThereAreNoBlocks) {
  const auto others = budget_->Take(MemoryUse::kShared, 5 * kBytes);
  pool_->Reserve(ReservedFor::kStep, kElements, 5);
  EXPECT_THROW(pool_->Reserve(ReservedFor::kStep, kElements, 6), std::bad_alloc);
  EXPECT_EQ(pool_->allocated_bytes(), 5 * kBytes) << "all or nothing";
  EXPECT_EQ(versions(), 1);
  memory_->set_may_overdraw(true);
  pool_->Reserve(ReservedFor::kStep, kElements, 6);
  memory_->set_may_overdraw(false);
  EXPECT_EQ(budget_->taken_bytes(), 11 * kBytes);
}

TEST_F(StoreMemoryTest, AChangeOfTheStateTurnsItsBlocksIntoVersions) {
  std::vector<BlockRef> blocks;
  for (int i = 0; i < 4; ++i) blocks.push_back(pool_->Allocate(kElements));
  EXPECT_TRUE(memory_->ResizeState(kBytes));
  EXPECT_EQ(state(), 1);
  EXPECT_EQ(versions(), 3);
  EXPECT_TRUE(memory_->ResizeState(3 * kBytes));
  EXPECT_EQ(versions(), 1);
  EXPECT_FALSE(memory_->ResizeState(20 * kBytes));
  EXPECT_EQ(state(), 3);
}

TEST_F(StoreMemoryTest, WhatIsForeseenIsClaimedUntilItIsThere) {
  std::vector<BlockRef> blocks;
  for (int i = 0; i < 5; ++i) blocks.push_back(pool_->Allocate(kElements));
  EXPECT_TRUE(memory_->Foresee(3 * kBytes));
  EXPECT_EQ(versions(), 4);
  EXPECT_FALSE(memory_->Foresee(7 * kBytes));
  const auto rest = budget_->Take(MemoryUse::kShared, 2 * kBytes);
  EXPECT_FALSE(memory_->Grow(kBytes)) << "it is for something else";
  EXPECT_TRUE(memory_->GrowForeseen(2 * kBytes));
  EXPECT_EQ(versions(), 4);
  EXPECT_FALSE(memory_->GrowForeseen(2 * kBytes)) << "one more than was foreseen";
  EXPECT_TRUE(memory_->GrowForeseen(kBytes));
  EXPECT_EQ(versions(), 4);
  memory_->Shrink(3 * kBytes);
  EXPECT_EQ(versions(), 1);
  EXPECT_TRUE(memory_->Foresee(kBytes));
  EXPECT_TRUE(memory_->Foresee(0));
  EXPECT_EQ(versions(), 1);
}

TEST_F(StoreMemoryTest, BuffersThatStayWithoutUseGoBack) {
  std::vector<BlockRef> blocks;
  for (int i = 0; i < 8; ++i) blocks.push_back(pool_->Allocate(kElements));
  blocks.clear();
  memory_->FreeIdle();
  EXPECT_EQ(pool_->allocated_bytes(), 8 * kBytes) << "they have been in use since the last call";
  for (int i = 0; i < 3; ++i) blocks.push_back(pool_->Allocate(kElements));
  blocks.clear();
  memory_->FreeIdle();
  EXPECT_EQ(pool_->allocated_bytes(), 3 * kBytes) << "as many as were needed in between";
  memory_->FreeIdle();
  EXPECT_EQ(pool_->allocated_bytes(), 0);
  EXPECT_EQ(versions(), 0);
}

TEST_F(StoreMemoryTest, WhatIsReservedIsNotFreed) {
  pool_->Reserve(ReservedFor::kStep, kElements, 5);
  EXPECT_EQ(memory_->FreeUnused(), 0);
  for (int i = 0; i < 3; ++i) memory_->FreeIdle();
  EXPECT_EQ(pool_->allocated_bytes(), 5 * kBytes);
  memory_->EndReservations(ReservedFor::kStep);
  EXPECT_EQ(memory_->FreeUnused(), 5 * kBytes);
}

TEST_F(StoreMemoryTest, APoolForPushesClaimsWhatItKeeps) {
  const auto pushes = budget_->Take(MemoryUse::kStaging, 2 * kBytes);
  const auto pool = BlockPool::CreateForPushes(memory_, budget_->Take(MemoryUse::kVersions, 0));
  std::vector<BlockRef> blocks;
  for (int i = 0; i < 2; ++i) blocks.push_back(pool->Allocate(kElements));
  EXPECT_EQ(versions(), 0) << "the pushes have claimed them";
  blocks.clear();
  EXPECT_EQ(versions(), 2);
  blocks.push_back(pool->Allocate(kElements));
  EXPECT_EQ(versions(), 1);
  const auto rest = budget_->Take(MemoryUse::kShared, 3 * kBytes);
  blocks.clear();
  EXPECT_EQ(versions(), 0) << "without room, it keeps nothing";
  EXPECT_EQ(pool->allocated_bytes(), 0);
}

}  // namespace
}  // namespace gradd
