#ifndef GRADD_CORE_CODEC_FLOAT16_H_
#define GRADD_CORE_CODEC_FLOAT16_H_

#include <cstddef>
#include <cstdint>

namespace gradd {

// The largest magnitude that it holds.
inline constexpr float kLargestFloat16 = 65504;

// ENCODING_FLOAT16: IEEE 754 binary16, 2 little-endian bytes per element.
inline constexpr int64_t kFloat16Bytes = 2;

// Writes `size` elements to `out`, of any alignment. Rounds to nearest, ties to even; a finite
// value that would round to infinity becomes +-65,504. Infinities and NaN stay what they are.
// Values below 2^-14 become subnormal: multiples of 2^-24. Returns how many finite values were out
// of range.
int64_t EncodeFloat16(const float* values, int64_t size, std::byte* out);

// Reads `size` elements from `in`, of any alignment. Exact.
void DecodeFloat16(const std::byte* in, int64_t size, float* values);

// How many of `size` elements are +-kLargestFloat16: what writers make of larger ones.
int64_t CountLargestFloat16(const std::byte* in, int64_t size);

}  // namespace gradd

#endif  // GRADD_CORE_CODEC_FLOAT16_H_
