#include "core/base/inner_products.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace gradd {
namespace {

using Values = std::vector<float>;

Values Random(int64_t size, unsigned seed, float magnitude = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Values values(static_cast<size_t>(size));
  for (float& value : values) value = magnitude * normal(random);
  return values;
}

double Plain(const Values& a, const Values& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  }
  return sum;
}

TEST(InnerProductsTest, AreRightForEveryLengthAndMagnitude) {
  for (const float magnitude : {1e-38F, 1e-10F, 1.0F, 1e19F, 1e37F}) {
    for (int64_t size = 0; size < 200; ++size) {
      const Values a = Random(size, 1, magnitude);
      const Values b = Random(size, 2, magnitude);
      ProductSum squares;
      AddSquares(0, a.data(), size, &squares);
      ProductSum products;
      AddProducts(0, a.data(), b.data(), size, &products);
      const double bound = 1e-14 * Plain(a, a) + 1e-14 * Plain(b, b);
      ASSERT_NEAR(squares.Sum(), Plain(a, a), bound) << size << " of about " << magnitude;
      ASSERT_NEAR(products.Sum(), Plain(a, b), bound) << size << " of about " << magnitude;
    }
  }
}

TEST(InnerProductsTest, HowManyAreAddedAtATimeDoesNotMatter) {
  constexpr int64_t kSize = 2048;
  const Values a = Random(kSize, 1);
  const Values b = Random(kSize, 2);
  ProductSum squares;
  ProductSum products;
  AddSquares(0, a.data(), kSize, &squares);
  AddProducts(0, a.data(), b.data(), kSize, &products);
  std::mt19937 random(3);
  for (const unsigned most : {1U, 5U, 16U, 40U, 1000U}) {
    ProductSum both[2];
    ProductSum alone[2];
    for (int64_t at = 0; at < kSize;) {
      const int64_t size = std::min<int64_t>(kSize - at, 1 + random() % most);
      AddSquaresAndProducts(at, a.data() + at, b.data() + at, size, &both[0], &both[1]);
      AddSquares(at, a.data() + at, size, &alone[0]);
      AddProducts(at, a.data() + at, b.data() + at, size, &alone[1]);
      at += size;
    }
    for (const ProductSum* const sums : {both, alone}) {
      EXPECT_EQ(sums[0].Sum(), squares.Sum()) << "at most " << most;
      EXPECT_EQ(sums[1].Sum(), products.Sum()) << "at most " << most;
    }
  }
}

TEST(InnerProductsTest, ZerosMayBeLeftOut) {
  constexpr int64_t kSize = 500;
  Values a = Random(kSize, 1);
  const Values b = Random(kSize, 2);
  const auto there = [](int64_t i) { return i / 30 % 3 != 1; };
  for (int64_t i = 0; i < kSize; ++i) {
    if (!there(i)) a[static_cast<size_t>(i)] = i % 2 == 0 ? 0.0F : -0.0F;
  }
  ProductSum squares[2];
  ProductSum products[2];
  AddSquaresAndProducts(0, a.data(), b.data(), kSize, &squares[0], &products[0]);
  for (int64_t i = 0; i < kSize; ++i) {
    if (there(i)) AddSquaresAndProducts(i, &a[i], &b[i], 1, &squares[1], &products[1]);
  }
  EXPECT_EQ(squares[0].Sum(), squares[1].Sum());
  EXPECT_EQ(products[0].Sum(), products[1].Sum());
}

TEST(InnerProductsTest, TheLargestNumbersAreInRange) {
  const Values a(2048, std::numeric_limits<float>::max());
  ProductSum squares;
  AddSquares(0, a.data(), 2048, &squares);
  EXPECT_TRUE(std::isfinite(squares.Sum()));
  EXPECT_GT(squares.Sum(), 1e80);
}

}  // namespace
}  // namespace gradd
