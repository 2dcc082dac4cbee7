#include "core/codec/top_k.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "tests/core/codec/codec_data.h"

namespace gradd {
namespace {

// By sorting everything.
std::vector<uint32_t> Reference(const std::vector<float>& values, int64_t k) {
  std::vector<uint32_t> order(values.size());
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return std::abs(values[a]) > std::abs(values[b]);
  });
  order.resize(std::min(order.size(), static_cast<size_t>(k)));
  order.erase(
      std::remove_if(order.begin(), order.end(), [&](uint32_t i) { return values[i] == 0; }),
      order.end());
  std::sort(order.begin(), order.end());
  return order;
}

void ExpectExact(TopK* top_k, const std::vector<float>& values, int64_t k) {
  std::vector<uint32_t> indices;
  top_k->Select(values, k, &indices);
  EXPECT_EQ(indices, Reference(values, k)) << values.size() << " values, k = " << k;
}

TEST(TopKTest, IsExactForEverySmallLengthAndK) {
  TopK top_k;
  for (int64_t size = 0; size <= 40; ++size) {
    const std::vector<float> values = RandomValues(size, static_cast<unsigned>(size));
    for (int64_t k = 1; k <= size + 1; ++k) ExpectExact(&top_k, values, k);
  }
}

TEST(TopKTest, IsExactWhereASampleIsTaken) {
  TopK top_k;
  const std::vector<float> values = RandomValues(300'000, 1);
  for (const int64_t k : {1, 10, 300, 3000, 30'000, 150'000, 299'999, 300'000}) {
    ExpectExact(&top_k, values, k);
  }
}

TEST(TopKTest, IsExactWhereTheSampleIsWrong) {
  TopK top_k;
  // Nearly everything equal, so that the sample's threshold is the value itself.
  std::vector<float> equal(200'000, 0.5F);
  ExpectExact(&top_k, equal, 1000);
  equal[199'999] = -1;
  ExpectExact(&top_k, equal, 1000);
  std::vector<float> few(200'000);
  few[7] = 1;
  few[150'000] = -2;
  ExpectExact(&top_k, few, 1000);
  std::vector<float> rising(200'000);
  std::iota(rising.begin(), rising.end(), 1.0F);
  ExpectExact(&top_k, rising, 2000);
  std::reverse(rising.begin(), rising.end());
  ExpectExact(&top_k, rising, 2000);
}

TEST(TopKTest, OfEqualOnesTheFirstAreTakenAndZerosNever) {
  TopK top_k;
  std::vector<uint32_t> indices;
  top_k.Select({1, -1, 0, 1, 2, -0.0F}, 3, &indices);
  EXPECT_EQ(indices, std::vector<uint32_t>({0, 1, 4}));
  top_k.Select({1, -1, 0, 1, 2, -0.0F}, 6, &indices);
  EXPECT_EQ(indices, std::vector<uint32_t>({0, 1, 3, 4}));
  top_k.Select(std::vector<float>(1000), 10, &indices);
  EXPECT_TRUE(indices.empty());
}

}  // namespace
}  // namespace gradd
