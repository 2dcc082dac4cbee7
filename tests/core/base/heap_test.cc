#include "core/base/heap.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <memory>
#include <vector>

namespace gradd {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

TEST(HeapTest, WhatIsGivenBackIsNotKeptUntilItIsUsedAgain) {
  int64_t free = 0;
  Heap heap({[&] { return free; }, [] {}});
  free = 100;
  EXPECT_EQ(heap.kept_bytes(), 0) << "nobody has looked";
  EXPECT_EQ(heap.Measure(), 100);
  EXPECT_EQ(heap.kept_bytes(), 100);
  heap.Trim();
  EXPECT_EQ(heap.kept_bytes(), 0);
  EXPECT_EQ(heap.Measure(), 0) << "it still counts as free";
  free = 130;
  EXPECT_EQ(heap.Measure(), 30);
  free = 40;
  EXPECT_EQ(heap.Measure(), 0);
  free = 100;
  EXPECT_EQ(heap.Measure(), 60) << "60 have been used since the trim";
}

#if !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)  // They have heaps of their own.
int64_t ResidentBytes() {
  int64_t all = 0;
  int64_t resident = 0;
  std::ifstream("/proc/self/statm") >> all >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

TEST(HeapTest, ATrimGivesBackWhatIsFreeInTheMiddle) {
  constexpr size_t kPieces = 1600;
  constexpr size_t kPieceBytes = size_t{64} << 10;  // Too small to be mapped for itself.
  std::vector<std::unique_ptr<char[]>> pieces;
  for (size_t i = 0; i < kPieces; ++i) {
    pieces.push_back(std::make_unique<char[]>(kPieceBytes));
    std::memset(pieces.back().get(), 1, kPieceBytes);
  }
  const auto last = std::make_unique<char[]>(kPieceBytes);
  Heap heap;
  const int64_t used = heap.Measure();
  const int64_t resident = ResidentBytes();
  pieces.clear();
  EXPECT_GE(heap.Measure(), used + 95 * kMiB);
  EXPECT_GE(ResidentBytes(), resident - 5 * kMiB) << "it is kept";
  heap.Trim();
  EXPECT_LE(ResidentBytes(), resident - 95 * kMiB);
  EXPECT_EQ(heap.kept_bytes(), 0);
  EXPECT_LE(heap.Measure(), 5 * kMiB);
  EXPECT_NE(last.get(), nullptr);
}
#endif

}  // namespace
}  // namespace gradd
