#include "core/codec/random_k.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace gradd {
namespace {

TEST(RandomKTest, GivesAscendingDifferentIndicesInRange) {
  std::vector<uint32_t> indices;
  for (int64_t elements = 1; elements <= 50; ++elements) {
    for (int64_t k = 1; k <= elements; ++k) {
      RandomK(elements, k, 9, &indices);
      ASSERT_EQ(indices.size(), static_cast<size_t>(k));
      ASSERT_LT(indices.back(), elements);
      ASSERT_EQ(std::adjacent_find(indices.begin(), indices.end(), std::greater_equal<>()),
                indices.end())
          << elements << ", " << k;
    }
  }
}

TEST(RandomKTest, ReachesTheEndOfTheLargestVector) {
  std::vector<uint32_t> indices;
  RandomK(int64_t{1} << 32, 1000, 1, &indices);
  EXPECT_GT(indices.back(), 4'290'000'000);
  EXPECT_EQ(std::adjacent_find(indices.begin(), indices.end(), std::greater_equal<>()),
            indices.end());
}

TEST(RandomKTest, DependsOnTheSeedAlone) {
  std::vector<uint32_t> once;
  std::vector<uint32_t> again;
  RandomK(100'000, 1000, 3, &once);
  RandomK(100'000, 1000, 3, &again);
  EXPECT_EQ(once, again);
  RandomK(100'000, 1000, 4, &again);
  EXPECT_NE(once, again);
}

TEST(RandomKTest, EveryIndexComesUpEquallyOften) {
  constexpr int64_t kElements = 103;
  constexpr int64_t kPicked = 10;
  constexpr int kSeeds = 20'000;
  std::vector<int> counts(kElements);
  std::vector<uint32_t> indices;
  for (int seed = 0; seed < kSeeds; ++seed) {
    RandomK(kElements, kPicked, static_cast<uint64_t>(seed), &indices);
    for (const uint32_t index : indices) ++counts[index];
  }
  const double expected = static_cast<double>(kSeeds) * kPicked / kElements;
  const double share = static_cast<double>(kPicked) / kElements;
  for (const int count : counts) {
    EXPECT_NEAR(count, expected, expected * share + 5 * std::sqrt(expected));
  }
}

}  // namespace
}  // namespace gradd
