#include "tests/core/run/pairs/covering_array.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gradd {
namespace {

TEST(CoveringArrayTest, HasEveryPairInFewRows) {
  const std::vector<int> sizes = {7, 5, 4, 3};
  const MayBe all = [](const FactorRow&) { return true; };
  const std::vector<FactorRow> rows = CoverPairs(sizes, all);
  EXPECT_THAT(MissingPairs(rows, sizes, all), testing::IsEmpty());
  EXPECT_GE(rows.size(), 35U);  // As many as the two longest factors have pairs.
  EXPECT_LE(rows.size(), 42U);
}

TEST(CoveringArrayTest, LeavesOutWhatMayNotBeAndStillHasAllElse) {
  const std::vector<int> sizes = {4, 3, 3, 3};
  const MayBe may_be = [](const FactorRow& row) {
    if (row[0] == 1 && row[1] == 2) return false;
    return row[0] != 2 || row[1] != 1 || row[2] != 0;  // Three together.
  };
  const std::vector<FactorRow> rows = CoverPairs(sizes, may_be);
  for (const FactorRow& row : rows) EXPECT_TRUE(may_be(row));
  EXPECT_THAT(MissingPairs(rows, sizes, may_be), testing::IsEmpty());
}

TEST(CoveringArrayTest, WhatIsMissingIsNamed) {
  const std::vector<int> sizes = {2, 2};
  const auto missing =
      MissingPairs({{0, 0}, {0, 1}, {1, 1}}, sizes, [](const auto&) { return true; });
  ASSERT_EQ(missing.size(), 1U);
  EXPECT_EQ(missing[0].value, 1);
  EXPECT_EQ(missing[0].other_value, 0);
}

TEST(CoveringArrayTest, IsTheSameEveryTime) {
  const std::vector<int> sizes = {6, 5, 4};
  const MayBe all = [](const FactorRow&) { return true; };
  EXPECT_EQ(CoverPairs(sizes, all), CoverPairs(sizes, all));
}

}  // namespace
}  // namespace gradd
