#include "core/store/block.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

namespace gradd {
namespace {

TEST(BlockTest, IsAlignedAndAsLongAsAskedFor) {
  const auto pool = BlockPool::Create();
  for (const int64_t elements : {1, 2, 15, 17, 4096}) {
    const BlockRef block = pool->Allocate(elements);
    EXPECT_EQ(block.elements(), elements);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block.data()) % 64, 0u);
  }
}

TEST(BlockTest, IsUniqueUntilCopied) {
  const auto pool = BlockPool::Create();
  BlockRef block = pool->Allocate(8);
  EXPECT_TRUE(block.unique());
  {
    const BlockRef copy = block;
    EXPECT_FALSE(block.unique());
    EXPECT_EQ(copy.data(), block.data());
  }
  EXPECT_TRUE(block.unique());
  const BlockRef moved = std::move(block);
  EXPECT_TRUE(moved.unique());
}

TEST(BlockTest, ReturnsToThePoolWithTheLastReference) {
  const auto pool = BlockPool::Create();
  float* first = nullptr;
  {
    BlockRef block = pool->Allocate(8);
    first = block.data();
    BlockRef copy = block;
    block = BlockRef();
    EXPECT_NE(pool->Allocate(8).data(), first);
  }
  const BlockRef a = pool->Allocate(8);
  const BlockRef b = pool->Allocate(8);
  EXPECT_TRUE(a.data() == first || b.data() == first);
  EXPECT_EQ(pool->allocations(), 2);
}

TEST(BlockTest, SteadyStateAllocatesNothing) {
  const auto pool = BlockPool::Create();
  std::vector<BlockRef> blocks;
  for (int i = 0; i < 10; ++i) blocks.push_back(pool->Allocate(i == 9 ? 5 : 64));
  const int64_t allocations = pool->allocations();
  const int64_t bytes = pool->allocated_bytes();
  for (int round = 0; round < 100; ++round) {
    blocks.clear();
    for (int i = 0; i < 10; ++i) blocks.push_back(pool->Allocate(i == 9 ? 5 : 64));
  }
  EXPECT_EQ(pool->allocations(), allocations);
  EXPECT_EQ(pool->allocated_bytes(), bytes);
}

TEST(BlockTest, MayOutliveThePoolsOwner) {
  auto pool = BlockPool::Create();
  BlockRef block = pool->Allocate(4);
  const std::weak_ptr<BlockPool> weak = pool;
  pool.reset();
  block.data()[3] = 1;
  EXPECT_FALSE(weak.expired());
  block = BlockRef();
  EXPECT_TRUE(weak.expired());
}

TEST(BlockTest, FullBlocksComeInPairsOnOneHugePage) {
  constexpr uintptr_t kHugePage = uintptr_t{2} << 20;
  const auto pool = BlockPool::Create();
  std::vector<BlockRef> blocks;
  for (int i = 0; i < 4; ++i) blocks.push_back(pool->Allocate(kBlockElements));
  EXPECT_EQ(pool->allocations(), 2);
  EXPECT_EQ(pool->allocated_bytes(), int64_t{4} << 20);
  for (const size_t i : {0, 2}) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(blocks[i].data()) % kHugePage, 0u);
    EXPECT_EQ(blocks[i + 1].data(), blocks[i].data() + kBlockElements);
  }
}

TEST(BlockTest, OneOfAPairGivesItsMemoryBackWhileTheOtherIsInUse) {
  constexpr int64_t kBytes = kBlockElements * static_cast<int64_t>(sizeof(float));
  const auto pool = BlockPool::Create();
  std::vector<BlockRef> blocks;
  for (int i = 0; i < 4; ++i) {
    blocks.push_back(pool->Allocate(kBlockElements));
    std::fill_n(blocks.back().data(), kBlockElements, 1.0f);
  }
  const float* const other = blocks[2].data();
  blocks[0] = blocks[2] = BlockRef();
  EXPECT_EQ(pool->FreeUnused(), 2 * kBytes);
  EXPECT_EQ(pool->FreeUnused(), 0);
  EXPECT_EQ(pool->allocated_bytes(), 2 * kBytes);
  EXPECT_EQ(other[5], 0) << "it is another page";

  blocks[0] = pool->Allocate(kBlockElements);
  EXPECT_EQ(pool->allocated_bytes(), 3 * kBytes);
  EXPECT_EQ(pool->allocations(), 2) << "it has its old place";
  std::fill_n(blocks[0].data(), kBlockElements, 2.0f);
  for (const size_t i : {1, 3}) {
    EXPECT_EQ(std::count(blocks[i].data(), blocks[i].data() + kBlockElements, 1.0f),
              kBlockElements);
  }
  pool->Reserve(ReservedFor::kStep, kBlockElements, 2);
  EXPECT_EQ(pool->allocated_bytes(), 6 * kBytes) << "the one without memory, and a new pair";
  EXPECT_EQ(pool->FreeUnused(), kBytes) << "one of the pair is not reserved";
  pool->EndReservation(ReservedFor::kStep);
  blocks.clear();
  EXPECT_EQ(pool->FreeUnused(), 5 * kBytes);
  EXPECT_EQ(pool->allocated_bytes(), 0);
}

TEST(BlockTest, FullBlocksAreNotOfTheHeap) {
  const auto pool = BlockPool::Create();
  const size_t before = mallinfo2().arena + mallinfo2().hblkhd;
  std::vector<BlockRef> blocks;
  for (int i = 0; i < 64; ++i) blocks.push_back(pool->Allocate(kBlockElements));
  EXPECT_LT(mallinfo2().arena + mallinfo2().hblkhd, before + (size_t{4} << 20));
}

TEST(BlockTest, AReservationMakesTheNextBlocksNeedNoMemory) {
  const auto pool = BlockPool::Create();
  const BlockRef other = pool->Allocate(64);
  pool->Reserve(ReservedFor::kStep, 64, 3);
  pool->Reserve(ReservedFor::kStep, 5, 2);
  const int64_t allocations = pool->allocations();
  pool->Reserve(ReservedFor::kStep, 64, 3);
  std::vector<BlockRef> blocks;
  for (int i = 0; i < 3; ++i) blocks.push_back(pool->Allocate(64, ReservedFor::kStep));
  for (int i = 0; i < 2; ++i) blocks.push_back(pool->Allocate(5, ReservedFor::kStep));
  EXPECT_EQ(pool->allocations(), allocations);
}

TEST(BlockTest, WhatOneHasReservedNobodyElseGets) {
  const auto pool = BlockPool::Create();
  pool->Reserve(ReservedFor::kStep, 64, 3);
  pool->Reserve(ReservedFor::kChange, 64, 3);
  EXPECT_EQ(pool->allocations(), 6);
  pool->Reserve(ReservedFor::kChange, 64, 2);
  pool->Reserve(ReservedFor::kChange, 64, 3);
  EXPECT_EQ(pool->allocations(), 6) << "of his own he had some";
  std::vector<BlockRef> blocks;
  blocks.push_back(pool->Allocate(64));
  EXPECT_EQ(pool->allocations(), 7) << "it is not for anybody";
  for (int i = 0; i < 4; ++i) blocks.push_back(pool->Allocate(64, ReservedFor::kStep));
  EXPECT_EQ(pool->allocations(), 8) << "nor is more than he reserved";
  EXPECT_EQ(pool->reserved(ReservedFor::kStep, 64), 0);
  EXPECT_EQ(pool->FreeUnused(), 0) << "three are reserved";
  pool->EndReservation(ReservedFor::kStep);
  for (int i = 0; i < 3; ++i) blocks.push_back(pool->Allocate(64, ReservedFor::kChange));
  EXPECT_EQ(pool->allocations(), 8);
}

TEST(BlockTest, WhatIsNotReservedGoesBack) {
  constexpr int64_t kBytes = kBlockElements * static_cast<int64_t>(sizeof(float));
  const auto pool = BlockPool::Create();
  std::vector<BlockRef> blocks;
  for (int i = 0; i < 8; ++i) blocks.push_back(pool->Allocate(kBlockElements));
  blocks.clear();
  pool->Reserve(ReservedFor::kChange, kBlockElements, 3);
  EXPECT_EQ(pool->FreeUnused(), 4 * kBytes) << "whole pairs go";
  for (int i = 0; i < 3; ++i)
    blocks.push_back(pool->Allocate(kBlockElements, ReservedFor::kChange));
  EXPECT_EQ(pool->allocated_bytes(), 4 * kBytes);
  EXPECT_EQ(pool->FreeUnused(), kBytes);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // There it ends the process.
TEST(BlockTest, AReservationThatCannotBeHadThrows) {
  constexpr int64_t kElements = int64_t{1} << 40;
  const auto pool = BlockPool::Create();
  const int64_t bytes = pool->allocated_bytes();
  EXPECT_THROW(pool->Reserve(ReservedFor::kStep, kElements, 1000), std::bad_alloc);
  EXPECT_EQ(pool->allocated_bytes(), bytes);
  EXPECT_EQ(pool->Allocate(64).elements(), 64);
}
#endif

TEST(BlockTest, ReferencesMayComeAndGoInManyThreads) {
  const auto pool = BlockPool::Create();
  const BlockRef block = pool->Allocate(4);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10'000; ++i) {
        const BlockRef copy = block;
        const BlockRef other = pool->Allocate(4);
        other.data()[0] = 1;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(block.unique());
}

}  // namespace
}  // namespace gradd
