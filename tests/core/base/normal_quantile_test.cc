#include "core/base/normal_quantile.h"

#include <gtest/gtest.h>

#include <cmath>

namespace gradd {
namespace {

TEST(NormalQuantileTest, IsWhatTablesHave) {
  EXPECT_EQ(NormalQuantile(0.5), 0);
  EXPECT_NEAR(NormalQuantile(0.975), 1.959963984540054, 4e-16 * 2);
  EXPECT_NEAR(NormalQuantile(0.025), -1.959963984540054, 4e-16 * 2);
  EXPECT_NEAR(NormalQuantile(1e-10), -6.361340902404056, 1e-14);
}

// The C library's error function is exact enough to compare with, if not the same everywhere.
TEST(NormalQuantileTest, GivesTheNumberThatTheFractionLiesBelow) {
  for (double p = 0x1p-53; p < 0.5; p *= 1.37) {
    const double z = NormalQuantile(p);
    EXPECT_NEAR(0.5 * std::erfc(-z / std::sqrt(2.0)) / p, 1, 1e-13) << p;
    EXPECT_NEAR(NormalQuantile(1 - p), -z, std::max(1e-13, 1e-15 / p * 0.1)) << p;
  }
}

TEST(NormalQuantileTest, IsUndoneByTheProbability) {
  for (double z = -30; z <= 8; z += 0.37) {
    const double p = NormalProbability(z);
    const double expected = 0.5 * std::erfc(-z / std::sqrt(2.0));
    EXPECT_NEAR(p / expected, 1, 1e-12) << z;
  }
  EXPECT_EQ(NormalProbability(0), 0.5);
  EXPECT_LT(NormalProbability(-1e30), 1e-300);
  EXPECT_EQ(NormalProbability(1e30), 1);
}

}  // namespace
}  // namespace gradd
