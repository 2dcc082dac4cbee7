#include "core/codec/int8.h"

#include <algorithm>
#include <limits>

#include "core/base/mix.h"
#include "core/base/multiversion.h"
#include "core/base/prefetch.h"
#include "core/codec/float_bits.h"

namespace gradd {
namespace {

// A little more than 127 / largest byte, so that no element exceeds it by a rounding.
constexpr float kScaleOfLargest = 1.000001F / 127;
// The smallest scale that has an inverse, and the largest one of which 127 are finite.
constexpr float kLeastScale = 0x1p-126F;
constexpr float kMostScale = 0x1.0204p+121F;

// Of NaN, infinity and finite numbers, the first one that occurs.
[[gnu::always_inline]] inline float LargestMagnitude(const float* values, int64_t size) {
  int32_t largest = 0;
  for (int64_t i = 0; i < size; ++i) {
    largest = std::max(largest, static_cast<int32_t>(BitsOf(values[i]) & 0x7FFFFFFF));
  }
  return FloatOf(static_cast<uint32_t>(largest));
}

// Random numbers for one group, 128 at a time: as many independent generators xorshift32
// (Marsaglia 2003, "Xorshift RNGs", page 4), which need nothing that SSE2 has not. Half a number
// is enough for an element.
constexpr int64_t kLanes = 128;
constexpr int64_t kHalfGroup = kInt8GroupElements / 2;
[[gnu::always_inline]] inline void Fill(uint64_t key, uint32_t* random) {
  uint32_t state[kLanes];
  for (int64_t lane = 0; lane < kLanes; ++lane) {
    state[lane] = static_cast<uint32_t>(Mix(key, static_cast<uint64_t>(lane))) | 1;
  }
  for (int64_t i = 0; i < kHalfGroup; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      uint32_t x = state[lane];
      x ^= x << 13;
      x ^= x >> 17;
      x ^= x << 5;
      state[lane] = x;
      random[i + lane] = x;
    }
  }
}

// The byte for `value`, which is in units of the scale and within [-127, 127]. The upper half of
// `random` decides in steps of 2^-16: so many bits has a float32 between 128 and 256, where the sum
// is truncated, so that a whole number stays what it is.
[[gnu::always_inline]] inline int8_t RoundAtRandom(float value, uint32_t random) {
  const float uniform = FloatOf((random >> 16 << 7) | 0x3F800000);  // In [1, 2).
  return static_cast<int8_t>(static_cast<int32_t>(value + 127 + uniform) - 128);
}

}  // namespace

GRADD_MULTIVERSION_WIDE
void EncodeInt8(const float* values, int64_t size, uint64_t seed, int64_t first, std::byte* out) {
  uint32_t random[kHalfGroup];
  for (int64_t begin = 0; begin < size; begin += kInt8GroupElements) {
    const int64_t count = std::min(kInt8GroupElements, size - begin);
    const float* const group = values + begin;
    const float largest = LargestMagnitude(group, count);
    const bool finite = largest <= std::numeric_limits<float>::max();
    const float scale =
        finite ? std::clamp(largest * kScaleOfLargest, kLeastScale, kMostScale) : largest;
    // Where the scale may not grow, elements shrink by what it lacks.
    const float inverse = scale < kMostScale ? 1 / scale : 126.9999F / largest;
    Store(scale, out);
    out += kInt8ScaleBytes;
    Fill(Mix(seed, static_cast<uint64_t>((first + begin) / kInt8GroupElements)), random);
    auto* const bytes = reinterpret_cast<int8_t*>(out);
    const int64_t upper = finite ? std::min(count, kHalfGroup) : 0;
    const int64_t lower = finite ? count - upper : 0;
    if (!finite) std::fill_n(bytes, count, int8_t{0});
    // An element takes the upper half of its number after a shift by `shift`.
    const auto encode = [&](int64_t from, int64_t size_of_half, int shift)
        __attribute__((always_inline)) {
      for (int64_t run = 0; run < size_of_half; run += kPrefetchElements) {
        const int64_t end = std::min(run + kPrefetchElements, size_of_half);
        Prefetch(group + kInt8GroupElements + from + run);
        for (int64_t i = run; i < end; ++i) {
          bytes[from + i] = RoundAtRandom(group[from + i] * inverse, random[i] << shift);
        }
      }
    };
    encode(0, upper, 0);
    encode(kHalfGroup, lower, 16);
    out += count;
  }
}

GRADD_MULTIVERSION
void DecodeInt8(const std::byte* in, int64_t size, float scale, float* values) {
  for (int64_t i = 0; i < size; ++i) {
    values[i] = static_cast<float>(Load<int8_t>(in + i)) * scale;
  }
}

}  // namespace gradd
