#include "core/optim/normal_noise.h"

#include "core/base/mix.h"
#include "core/base/multiversion.h"

namespace gradd {
namespace {

// Multiplies by a Hadamard matrix (Sylvester's), whose rows are orthogonal.
template <int64_t kSize>
[[gnu::always_inline]] inline void HadamardTransform(float* x) {
  if constexpr (kSize > 1) {
    constexpr int64_t kHalf = kSize / 2;
    for (int64_t i = 0; i < kHalf; ++i) {
      const float a = x[i];
      const float b = x[i + kHalf];
      x[i] = a + b;
      x[i + kHalf] = a - b;
    }
    HadamardTransform<kHalf>(x);
    HadamardTransform<kHalf>(x + kHalf);
  }
}

// With v = x / 2^31 uniform in (-1, 1): (c1 v + c3 v^3) / 4, since rows have the norm 4. Its second
// moment is that of the normal distribution where c1^2 / 3 + 2 c1 c3 / 5 + c3^2 / 7 = 1, and the
// fourth one where c1^4 / 5 + 4 c1^3 c3 / 7 + 6 c1^2 c3^2 / 9 + 4 c1 c3^3 / 11 + c3^4 / 13 = 3.
inline float Sixteenth(int32_t x) {
  constexpr double kFirst = 0.607846061;
  constexpr double kThird = 1.768569306;
  constexpr double kUnit = 0x1p-31;
  constexpr auto kFactor = static_cast<float>(kFirst * kUnit / 4);
  constexpr auto kOfSquare = static_cast<float>(kThird * kUnit * kUnit * kUnit / 4);
  const auto value = static_cast<float>(x);
  return value * (kFactor + kOfSquare * (value * value));
}

}  // namespace

GRADD_MULTIVERSION_WIDE
void NormalNoise::DrawGroup(uint64_t key, int64_t group, float* values) {
  constexpr uint32_t kPairs = kRows / 2;
  const uint64_t first = static_cast<uint64_t>(group) * kPairs * kLanes;
  // The counter is 32 bits long; the other ones are in the key.
  const uint64_t mixed = Mix(key, first >> 32);
  const auto counter = static_cast<uint32_t>(first) + static_cast<uint32_t>(mixed);
  const auto middle = static_cast<uint32_t>(mixed >> 32);
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    float x[kRows];
#pragma GCC unroll 8
    for (uint32_t pair = 0; pair < kPairs; ++pair) {
      uint32_t a = counter + pair * kLanes + lane;
      a = (a ^ (a >> 16)) * 0x7feb352d;
      a = ((a ^ (a >> 15)) + middle) * 0x846ca68b;
      a = a ^ (a >> 16);
      // Of the upper half, the bits below are but the end of its fraction.
      x[int64_t{2} * pair] = Sixteenth(static_cast<int32_t>(a));
      x[int64_t{2} * pair + 1] = Sixteenth(static_cast<int32_t>(a << 16 | 0x8000));
    }
    HadamardTransform<kRows>(x);
#pragma GCC unroll 16
    for (uint32_t row = 0; row < kRows; ++row) values[int64_t{row} * kLanes + lane] = x[row];
  }
}

}  // namespace gradd
