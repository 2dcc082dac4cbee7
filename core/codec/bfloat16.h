#ifndef GRADD_CORE_CODEC_BFLOAT16_H_
#define GRADD_CORE_CODEC_BFLOAT16_H_

#include <cstddef>
#include <cstdint>

namespace gradd {

// ENCODING_BFLOAT16: the upper half of a binary32, 2 little-endian bytes per element.
inline constexpr int64_t kBfloat16Bytes = 2;

// Writes `size` elements to `out`, of any alignment. Rounds to nearest, ties to even; a finite
// value that would round to infinity becomes the largest finite one. Infinities and NaN stay
// what they are. The relative error of what is not subnormal is at most 2^-8.
void EncodeBfloat16(const float* values, int64_t size, std::byte* out);

// Reads `size` elements from `in`, of any alignment. Exact.
void DecodeBfloat16(const std::byte* in, int64_t size, float* values);

}  // namespace gradd

#endif  // GRADD_CORE_CODEC_BFLOAT16_H_
