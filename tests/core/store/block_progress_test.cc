#include "core/store/block_progress.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace gradd {
namespace {

TEST(BlockProgressTest, AFinalBlockNeedsNoWaiting) {
  BlockProgress progress(3);
  progress.SetFinal(1);
  EXPECT_TRUE(progress.Await(1, [] { FAIL() << "woken though nobody waits"; }));
}

TEST(BlockProgressTest, WhoWaitsIsWokenOnceByItsOwnBlock) {
  BlockProgress progress(3);
  int woken = 0;
  EXPECT_FALSE(progress.Await(1, [&] { ++woken; }));
  EXPECT_FALSE(progress.Await(1, [&] { woken += 10; }));
  progress.SetFinal(0);
  progress.SetFinal(2);
  EXPECT_EQ(woken, 0);
  progress.SetFinal(1);
  EXPECT_EQ(woken, 11);
}

TEST(BlockProgressTest, AWokenOneMayWaitForTheNextBlock) {
  BlockProgress progress(2);
  bool both = false;
  EXPECT_FALSE(progress.Await(0, [&] { EXPECT_FALSE(progress.Await(1, [&] { both = true; })); }));
  progress.SetFinal(0);
  EXPECT_FALSE(both);
  progress.SetFinal(1);
  EXPECT_TRUE(both);
}

TEST(BlockProgressTest, WhatWasWrittenBeforeIsSeenByWhoReadsAfter) {
  constexpr size_t kBlocks = 500;
  BlockProgress progress(kBlocks);
  std::vector<int> values(kBlocks);
  std::atomic<size_t> read{0};
  std::thread writer([&] {
    for (size_t i = kBlocks; i-- > 0;) {
      values[i] = 1;
      progress.SetFinal(i);
    }
  });
  std::thread reader([&] {
    for (size_t i = 0; i < kBlocks; ++i) {
      std::atomic<bool> woken{false};
      if (!progress.Await(i, [&] { woken = true; })) {
        while (!woken) std::this_thread::yield();
      }
      read += static_cast<size_t>(values[i]);
    }
  });
  writer.join();
  reader.join();
  EXPECT_EQ(read, kBlocks);
}

}  // namespace
}  // namespace gradd
