#include "core/codec/int8.h"

#include <algorithm>
#include <limits>

#include "core/codec/float_bits.h"
#include "core/codec/mix.h"

namespace gradd {
namespace {

constexpr float kLargestByte = 127;
// The smallest scale that has an inverse, and the largest one of which 127 are finite.
constexpr float kLeastScale = 0x1p-126F;
constexpr float kMostScale = 0x1.0204p+121F;

// Of NaN, infinity and finite numbers, the first one that occurs.
float LargestMagnitude(const float* values, int64_t size) {
  int32_t largest = 0;
  for (int64_t i = 0; i < size; ++i) {
    largest = std::max(largest, static_cast<int32_t>(BitsOf(values[i]) & 0x7FFFFFFF));
  }
  return FloatOf(static_cast<uint32_t>(largest));
}

// Uniform in [0, 1), in steps of 2^-24. Two rounds of multiplication, as in the 32-bit
// finalizers of C. Wellons ("Prospecting for hash functions", 2018).
float Uniform(uint32_t key, uint32_t index) {
  uint32_t x = key + index;
  x = (x ^ (x >> 16)) * 0x7FEB352D;
  x = (x ^ (x >> 15)) * 0x846CA68B;
  return static_cast<float>(static_cast<int32_t>((x ^ (x >> 16)) >> 8)) * 0x1p-24F;
}

}  // namespace

void EncodeInt8(const float* values, int64_t size, uint64_t seed, int64_t first, std::byte* out) {
  for (int64_t begin = 0; begin < size; begin += kInt8GroupElements) {
    const int64_t count = std::min(kInt8GroupElements, size - begin);
    const float* const group = values + begin;
    const float largest = LargestMagnitude(group, count);
    const float scale = largest <= std::numeric_limits<float>::max()
                            ? std::clamp(largest / kLargestByte, kLeastScale, kMostScale)
                            : largest;
    const float inverse = 1 / scale;
    Store(scale, out);
    out += kInt8ScaleBytes;
    const auto key = static_cast<uint32_t>(
        Mix(seed, static_cast<uint64_t>((first + begin) / kInt8GroupElements)));
    for (int64_t i = 0; i < count; ++i) {
      const float target = group[i] * inverse + Uniform(key, static_cast<uint32_t>(i));
      auto floor = static_cast<int32_t>(target);
      floor -= static_cast<float>(floor) > target ? 1 : 0;
      Store(static_cast<int8_t>(std::clamp(floor, -127, 127)), out + i);
    }
    out += count;
  }
}

void DecodeInt8(const std::byte* in, int64_t size, float scale, float* values) {
  for (int64_t i = 0; i < size; ++i) {
    values[i] = static_cast<float>(Load<int8_t>(in + i)) * scale;
  }
}

}  // namespace gradd
