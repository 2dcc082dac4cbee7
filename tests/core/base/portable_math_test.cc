#include "core/base/portable_math.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace gradd {
namespace {

// In units in the last place; long double has eleven bits more.
double Error(double value, long double expected) {
  const auto rounded = static_cast<double>(expected);
  const double unit = std::nextafter(std::abs(rounded), std::numeric_limits<double>::infinity()) -
                      std::abs(rounded);
  return static_cast<double>(std::abs(static_cast<long double>(value) - expected) /
                             static_cast<long double>(unit));
}

constexpr double kMostUnits = 1.5;

TEST(PortableMathTest, PowersAreRightToAUnitInTheLastPlace) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> unit;
  for (int i = 0; i < 200000; ++i) {
    const double x = i % 2 == 0 ? unit(random) : std::exp(20 * unit(random) - 10);
    const double y = i % 3 == 0 ? std::floor(1e4 * unit(random)) : 20 * unit(random) - 10;
    const long double expected = std::pow(static_cast<long double>(x), static_cast<long double>(y));
    if (expected < 1e-300L || expected > 1e300L) continue;
    ASSERT_LE(Error(Power(x, y), expected), kMostUnits) << x << "^" << y;
  }
  // Close to 1, where decays are.
  for (int i = 1; i < 100000; i += 7) {
    for (const double x : {0.9, 0.999, 0.9999999, 1 - 1e-15, 1 + 1e-15}) {
      const long double expected = std::pow(static_cast<long double>(x), i);
      if (expected < 1e-300L) continue;
      ASSERT_LE(Error(Power(x, i), expected), kMostUnits) << x << "^" << i;
    }
  }
}

TEST(PortableMathTest, PowersAtTheEdges) {
  EXPECT_EQ(Power(0, 0), 1);
  EXPECT_EQ(Power(0, 2), 0);
  EXPECT_EQ(Power(0, -2), std::numeric_limits<double>::infinity());
  EXPECT_EQ(Power(1, 1e300), 1);
  EXPECT_EQ(Power(7, 1), 7);
  EXPECT_EQ(Power(0.9, 1), 0.9);
  EXPECT_EQ(Power(2, 10), 1024);
  EXPECT_EQ(Power(2, -1074), std::numeric_limits<double>::denorm_min());
  EXPECT_EQ(Power(0.5, 1e6), 0);
  EXPECT_EQ(Power(2, 1e6), std::numeric_limits<double>::infinity());
}

TEST(PortableMathTest, LogarithmsExponentialsAndCosines) {
  std::mt19937_64 random(2);
  std::uniform_real_distribution<double> unit;
  for (int i = 0; i < 100000; ++i) {
    const double x = std::exp(200 * unit(random) - 100);
    ASSERT_LE(Error(Logarithm(x), std::log(static_cast<long double>(x))), kMostUnits) << x;
    const double y = 1400 * unit(random) - 700;
    ASSERT_LE(Error(Exponential(y), std::exp(static_cast<long double>(y))), kMostUnits) << y;
    const double z = 8 * unit(random) - 4;
    ASSERT_NEAR(Cosine(z), std::cos(z), 3e-16) << z;
  }
  EXPECT_EQ(Logarithm(1), 0);
  EXPECT_EQ(Exponential(0), 1);
  EXPECT_EQ(Cosine(0), 1);
  EXPECT_EQ(Cosine(3.14159265358979323846), -1);
  EXPECT_EQ(Exponential(-1e4), 0);
  EXPECT_EQ(Exponential(1e4), std::numeric_limits<double>::infinity());
}

}  // namespace
}  // namespace gradd
