#include "core/base/portable_math.h"

#include <array>
#include <cmath>
#include <cstddef>
#include <limits>

namespace gradd {
namespace {

// A number as the sum of two: `low` is what rounding has taken off `high`.
struct Sum {
  double high;
  double low;
};

// Exact (Dekker 1971, "A floating-point technique for extending the available precision"). With a
// fused multiply-add it would be shorter, and other processors would take another way.
Sum ExactProduct(double a, double b) {
  constexpr double kSplit = (1 << 27) + 1;
  const auto upper = [](double x) {
    const double scaled = kSplit * x;
    return scaled - (scaled - x);
  };
  const double a_high = upper(a);
  const double a_low = a - a_high;
  const double b_high = upper(b);
  const double b_low = b - b_high;
  const double product = a * b;
  return {product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low};
}

// Exact where |a| >= |b|.
Sum ExactSum(double a, double b) {
  const double sum = a + b;
  return {sum, b - (sum - a)};
}

template <size_t kCount>
double Polynomial(const std::array<double, kCount>& coefficients, double x) {
  double value = 0;
  for (size_t i = kCount; i-- > 0;) value = value * x + coefficients[i];
  return value;
}

// The logarithm of 2; its first part times an exponent is exact.
constexpr double kLogTwo = 0x1.62e42fefa39efp-1;
constexpr double kLogTwoHigh = 0x1.62e42fefa38p-1;
constexpr double kLogTwoLow = 0x1.ef35793c7673p-45;

Sum LogarithmOf(double x) {
  constexpr double kRootOfHalf = 0.70710678118654752440;
  int exponent = 0;
  double m = std::frexp(x, &exponent);  // x = m * 2^exponent, m from sqrt(1/2) to sqrt(2).
  if (m < kRootOfHalf) {
    m *= 2;
    --exponent;
  }
  // log(m) = 2 * atanh(s) = 2 * (s + s^3 / 3 + s^5 / 5 + ...) with s = (m - 1) / (m + 1), |s| <
  // 0.172: the first two terms with their rests, and a series for what is left.
  const double f = m - 1;
  const Sum divisor = ExactSum(2, f);
  const double s = f / divisor.high;
  const Sum back = ExactProduct(s, divisor.high);
  const double rest = ((f - back.high) - back.low - s * divisor.low) / divisor.high;
  const Sum square = ExactProduct(s, s);
  const Sum cube = ExactProduct(s, square.high);
  const double third = cube.high / 3;
  const Sum thrice = ExactProduct(third, 3);
  const double third_rest =
      ((cube.high - thrice.high) - thrice.low + cube.low + s * square.low) / 3 + square.high * rest;
  constexpr std::array<double, 10> kSeries = {1.0 / 5,  1.0 / 7,  1.0 / 9,  1.0 / 11, 1.0 / 13,
                                              1.0 / 15, 1.0 / 17, 1.0 / 19, 1.0 / 21, 1.0 / 23};
  const double left = cube.high * square.high * Polynomial(kSeries, square.high);
  const Sum first = ExactSum(2 * s, 2 * third);
  const double low = first.low + 2 * (rest + third_rest + left);
  if (exponent == 0) return ExactSum(first.high, low);
  const auto twos = static_cast<double>(exponent);
  const Sum sum = ExactSum(twos * kLogTwoHigh, first.high);
  return ExactSum(sum.high, sum.low + (low + twos * kLogTwoLow));
}

double ExponentialOf(const Sum& x) {
  if (x.high > 709.8) return std::numeric_limits<double>::infinity();
  if (x.high < -745.2) return 0;
  const double twos = std::nearbyint(x.high / kLogTwo);
  const Sum reduced =
      ExactSum(x.high - twos * kLogTwoHigh, x.low - twos * kLogTwoLow);  // At most log(2) / 2.
  constexpr std::array<double, 13> kSeries = {
      1.0 / 2,         1.0 / 6,          1.0 / 24,         1.0 / 120,     1.0 / 720,
      1.0 / 5040,      1.0 / 40320,      1.0 / 362880,     1.0 / 3628800, 1.0 / 39916800,
      1.0 / 479001600, 1.0 / 6227020800, 1.0 / 87178291200};
  const double r = reduced.high;
  const double tail = r * r * Polynomial(kSeries, r) + reduced.low * (1 + r);
  return std::ldexp(1 + (r + tail), static_cast<int>(twos));
}

}  // namespace

double Power(double x, double y) {
  if (y == 0 || x == 1) return 1;
  if (x == 0) return y > 0 ? 0 : std::numeric_limits<double>::infinity();
  const Sum logarithm = LogarithmOf(x);
  const Sum product = ExactProduct(logarithm.high, y);
  return ExponentialOf(ExactSum(product.high, product.low + logarithm.low * y));
}

double Logarithm(double x) {
  const Sum sum = LogarithmOf(x);
  return sum.high + sum.low;
}

double Exponential(double x) { return ExponentialOf({x, 0}); }

double Cosine(double x) {
  constexpr double kHalfPi = 0x1.921fb54442d18p+0;
  constexpr double kHalfPiRest = 0x1.1a62633145c07p-54;
  const double quarters = std::nearbyint(x / kHalfPi);
  const double r = (x - quarters * kHalfPi) - quarters * kHalfPiRest;  // At most pi / 4.
  const double z = r * r;
  constexpr std::array<double, 9> kCosine = {-1.0 / 2,
                                             1.0 / 24,
                                             -1.0 / 720,
                                             1.0 / 40320,
                                             -1.0 / 3628800,
                                             1.0 / 479001600,
                                             -1.0 / 87178291200,
                                             1.0 / 20922789888000,
                                             -1.0 / 6402373705728000};
  constexpr std::array<double, 8> kSine = {
      -1.0 / 6,        1.0 / 120,        -1.0 / 5040,          1.0 / 362880,
      -1.0 / 39916800, 1.0 / 6227020800, -1.0 / 1307674368000, 1.0 / 355687428096000};
  const auto quarter = static_cast<int>(quarters) & 3;  // Of the turn that x ends in.
  const double value =
      quarter % 2 == 0 ? 1 + z * Polynomial(kCosine, z) : r + r * z * Polynomial(kSine, z);
  return quarter == 1 || quarter == 2 ? -value : value;
}

}  // namespace gradd
