#include "core/base/norms.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace gradd {
namespace {

double Exact(const std::vector<float>& values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value) * value;
  return sum;
}

TEST(SquaredNormTest, IsRightForEveryLengthAndMagnitude) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (const double magnitude : {1e-44, 1e-30, 1e-20, 1e-10, 1.0, 1e10, 1e18, 1e20, 1e37}) {
    for (int64_t size = 0; size <= kNormRun; ++size) {
      std::vector<float> values(static_cast<size_t>(size));
      for (float& value : values) value = static_cast<float>(magnitude * normal(random));
      const double expected = Exact(values);
      ASSERT_NEAR(SquaredNorm(values.data(), size), expected, 1e-5 * expected)
          << size << " values of about " << magnitude;
    }
  }
}

TEST(SquaredNormTest, MixedMagnitudesLoseNothingThatCounts) {
  std::vector<float> values(kNormRun, 1e-22f);
  values[100] = 1e-6f;
  EXPECT_NEAR(SquaredNorm(values.data(), kNormRun), 1e-12, 1e-17);
  values[100] = std::numeric_limits<float>::max();
  EXPECT_NEAR(SquaredNorm(values.data(), kNormRun) / Exact(values), 1, 1e-5);
}

TEST(SquaredNormTest, WhatIsNotFiniteShows) {
  std::vector<float> values(100, 1);
  values[7] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(SquaredNorm(values.data(), 100)));
  values[7] = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(std::isinf(SquaredNorm(values.data(), 100)));
}

}  // namespace
}  // namespace gradd
