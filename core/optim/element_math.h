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

// The weights of a moving average that keeps the share `keep`, from 0 to 1, of what it was:
//   average = keep * average + (1 - keep) * value.
//
// That can be computed as it stands or as average + (1 - keep) * (value - average), and neither
// form is right for all:
// - rounded to float32, the two factors of the first do not add up to 1, which for keep = 0.999 is
//   an error of 1e-5 in the average;
// - the second takes from the average nearly all of it where keep is small. What is left, the
//   rounding of a difference, is all wrong once a large value was followed by small ones: with keep
//   = 0, of 1e12 and then 1e4 it makes 0 or 65536.
// So the second is for keep >= 1/2, where at least half of the average is left, and the first for
// less, where the smaller factor is keep. Both are one formula, without a branch.
struct Fading {
  static Fading Keeping(double keep) { return Of(keep, 1 - keep); }
  static Fading Taking(double take) { return Of(1 - take, take); }

  float whole = 1;  // Of the average: 1, or keep.
  float part = 1;   // Of the average, to be taken from the value: 1, or 0.
  float take = 0;   // Of the value: 1 - keep.
  float back = 0;   // Of the average, to be taken from what is added: take, or 0.

 private:
  static Fading Of(double keep, double take) {
    const auto rounded = static_cast<float>(take);
    if (keep >= 0.5) return {1, 1, rounded, rounded};
    return {static_cast<float>(keep), 0, rounded, 0};
  }
};

// keep * average + (1 - keep) * value.
inline float Averaged(const Fading& s, float average, float value) {
  return s.whole * average + s.take * (value - s.part * average);
}

// keep * sum + added.
inline float FadedSum(const Fading& s, float sum, float added) {
  return s.whole * sum + (added - s.back * sum);
}

// keep * average + (1 - keep) * share * value^2. The square itself, which leaves the range of
// float32 from 1.8e19 on, is not formed: with keep = 0.999 the result is finite up to 5.8e20, as
// torch's is, which multiplies in the same order.
inline float AveragedSquare(const Fading& s, float average, float value, float share = 1) {
  return FadedSum(s, average, s.take * share * value * value);
}

// The same in double, where the factors add up to 1 well enough.
inline void AddToAverage(double keep, double value, double* average) {
  *average = keep * *average + (1 - keep) * value;
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

// x^power for x >= 0 and a power from 0 to 1; the error is below 1e-5 relative, and 1e-6 where x is
// from 1e-4 to 1e4. Of x below 2^-126, 0 included, it is at most that of 2^-126. Without a
// division: polynomials fitted so that their largest error is least, 6e-8 of the logarithm and 9e-8
// of the power of 2.
inline float Power(float x, float power) {
  using element_math_internal::BitsOf;
  // x = 2^exponent * (1 + f), from sqrt(1/2) to sqrt(2).
  const auto bits = BitsOf<int32_t>(x);
  const int32_t exponent = (bits - 0x3f3504f3) >> 23;
  const float f = BitsOf<float>(bits - exponent * (1 << 23)) - 1;
  // log(1 + f) = f - f^2 / 2 + f^3 * cubic.
  constexpr float kLog2OfE = 1.44269502f;
  const float z = f * f;
  const float cubic = (0.33334691f - 0.24980574f * f) + z * ((0.199102384f - 0.171669064f * f) +
                                                             z * (0.161411767f - 0.102242027f * f));
  const float logarithm = f + z * (f * cubic - 0.5f);
  const float y = power * (static_cast<float>(exponent) + kLog2OfE * logarithm);
  // Adding 1.5 * 2^23 rounds to the nearest integer, whose bits are then the last ones of the sum.
  constexpr float kRounding = 12582912.0f;
  const float rounded = y + kRounding;
  const float r = y - (rounded - kRounding);
  const float s = r * r;
  const float series = (1 + 0.693146978f * r) + s * ((0.240222421f + 0.0555073374f * r) +
                                                     s * (0.00967151265f + 0.00132647271f * r));
  return BitsOf<float>(static_cast<uint32_t>(BitsOf<int32_t>(series)) +
                       (BitsOf<uint32_t>(rounded) << 23));
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

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_ELEMENT_MATH_H_
