#ifndef GRADD_CORE_OPTIM_ELEMENT_MATH_H_
#define GRADD_CORE_OPTIM_ELEMENT_MATH_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

namespace gradd {

// A factor of this step, at least 0, as float32. What is too large for it becomes its largest
// number, so that the factor times 0 is still 0.
inline float FiniteFactor(double factor) {
  return static_cast<float>(
      std::min(factor, static_cast<double>(std::numeric_limits<float>::max())));
}

// A divisor of this step, above 0, as float32, where it stays above 0.
inline float PositiveDivisor(double divisor) {
  return static_cast<float>(
      std::max(divisor, static_cast<double>(std::numeric_limits<float>::min())));
}

// Functions of one float32 that a loop over elements can afford: no branches, no calls, the same
// bits with any vector width.

// A moving average: average + take * (value - average). Not keep * average + take * value:
// rounded to float32, the two factors do not add up to 1, which for keep = 0.999 is an error of
// 1e-5 in the average.
inline float Averaged(float average, float take, float value) {
  return average + take * (value - average);
}

// The same for the square of `value`, times `share`. The square itself, which leaves the range of
// float32 from 1.8e19 on, is not formed: with take = 0.001 the result is finite up to 5.8e20, as
// torch's is, which multiplies in the same order.
inline float AveragedSquare(float average, float take, float value, float share = 1) {
  return average + (take * share * value * value - take * average);
}

namespace element_math_internal {

template <typename To, typename From>
To BitsOf(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof(to));
  return to;
}

}  // namespace element_math_internal

// x >= 0, or -x if the highest bit of `bits` is set.
inline float WithSign(float x, uint32_t bits) {
  using element_math_internal::BitsOf;
  return BitsOf<float>(BitsOf<uint32_t>(x) | (bits & 0x80000000));
}

// -1, 0 or 1.
inline float Sign(float x) {
  const float one = WithSign(1, element_math_internal::BitsOf<uint32_t>(x));
  return x != 0 ? one : 0.0f;
}

// Natural logarithm of a positive normal number. The error is below 1e-7 relative to the larger of
// the result and 1.
inline float Log(float x) {
  using element_math_internal::BitsOf;
  // x = 2^exponent * m with m from sqrt(1/2) to sqrt(2).
  const auto offset = BitsOf<int32_t>(x) - 0x3f3504f3;
  const int32_t exponent = offset >> 23;
  const auto m = BitsOf<float>(BitsOf<int32_t>(x) - exponent * (1 << 23));
  // log(m) = 2 * atanh(s), whose series ends where float32 does, because |s| < 0.172.
  const float s = (m - 1) / (m + 1);
  const float z = s * s;
  const float series = 2 + z * (2.0f / 3 + z * (2.0f / 5 + z * (2.0f / 7)));
  return static_cast<float>(exponent) * 0.693147182f + s * series;
}

// x^power for x from 0 to 2^126 and a power from 0 to 1; the error is below 1e-5 relative, and 1e-6
// where x is from 1e-4 to 1e4.
inline float Power(float x, float power) {
  using element_math_internal::BitsOf;
  constexpr float kLeastNormal = 1.17549435e-38f;
  const float y = power * (1.44269502f * Log(std::max(x, kLeastNormal)));
  // Adding 1.5 * 2^23 rounds to the nearest integer.
  const float whole = (y + 12582912.0f) - 12582912.0f;
  const float r = 0.693147182f * (y - whole);
  const float series =
      1 + r * (1 + r * (1.0f / 2 +
                        r * (1.0f / 6 + r * (1.0f / 24 + r * (1.0f / 120 + r * (1.0f / 720))))));
  return series * BitsOf<float>((static_cast<int32_t>(whole) + 127) * (1 << 23));
}

// Of x >= 0, to a unit in the last place or two.
inline float CubeRoot(float x) {
  using element_math_internal::BitsOf;
  // A third of the exponent, by way of the bits: right to 4 %. Each step of Halley's cubes that.
  const auto third = static_cast<int32_t>(static_cast<float>(BitsOf<int32_t>(x)) * (1.0f / 3));
  auto y = BitsOf<float>(third + 0x2a514067);
  for (int i = 0; i < 2; ++i) {
    const float cube = y * y * y;
    y = y - y * ((cube - x) / (2 * cube + x));
  }
  return y;
}

// Of x from -pi/4 to pi/4; the errors are below 4e-7.
inline float Sine(float x) {
  const float z = x * x;
  return x * (1 - z * (1.0f / 6 - z * (1.0f / 120 - z * (1.0f / 5040))));
}
inline float Cosine(float x) {
  const float z = x * x;
  return 1 - z * (1.0f / 2 - z * (1.0f / 24 - z * (1.0f / 720 - z * (1.0f / 40320))));
}

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_ELEMENT_MATH_H_
