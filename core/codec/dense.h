#ifndef GRADD_CORE_CODEC_DENSE_H_
#define GRADD_CORE_CODEC_DENSE_H_

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "gradd/v1/training_service.pb.h"

namespace gradd {

// The encodings that write every element into the same number of bytes: FLOAT32 (binary32 as it
// is in memory), BFLOAT16 and FLOAT16.

// ENCODING_FLOAT32 where a message says nothing, else what it says.
inline v1::Encoding EncodingOf(v1::Encoding encoding) {
  return encoding == v1::ENCODING_UNSPECIFIED ? v1::ENCODING_FLOAT32 : encoding;
}

// Bytes of an element; 0 for encodings that are not dense.
int64_t DenseElementBytes(v1::Encoding encoding);

// Writes `size` elements in a dense encoding to `out`, of any alignment. Returns how many finite
// ones are out of the range of FLOAT16, which then has its largest number for them; the other
// encodings have float32's range.
int64_t EncodeDense(v1::Encoding encoding, const float* values, int64_t size, std::byte* out);

// Reads `size` elements in a dense encoding from `in`, of any alignment.
void DecodeDense(v1::Encoding encoding, const std::byte* in, int64_t size, float* values);

// The largest magnitude of `size` elements in a dense encoding, 0 if there is none; not finite if
// one of them is not: a NaN counts as more than infinity.
float LargestMagnitude(v1::Encoding encoding, const std::byte* in, int64_t size);
inline float LargestMagnitude(const float* values, int64_t size) {
  return LargestMagnitude(v1::ENCODING_FLOAT32, reinterpret_cast<const std::byte*>(values), size);
}
inline bool AllFinite(const float* values, int64_t size) {
  return std::isfinite(LargestMagnitude(values, size));
}
// The larger of two of these.
inline float LargerMagnitude(float a, float b) { return a > b || std::isnan(a) ? a : b; }

}  // namespace gradd

#endif  // GRADD_CORE_CODEC_DENSE_H_
