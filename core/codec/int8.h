#ifndef GRADD_CORE_CODEC_INT8_H_
#define GRADD_CORE_CODEC_INT8_H_

#include <cstddef>
#include <cstdint>

namespace gradd {

// ENCODING_INT8: groups of kInt8GroupElements, the last one shorter; each is a scale (binary32)
// followed by one signed byte per element, which stands for byte * scale.
inline constexpr int64_t kInt8GroupElements = 2048;
inline constexpr int64_t kInt8ScaleBytes = 4;

// Bytes of `elements` in groups.
constexpr int64_t Int8Bytes(int64_t elements) {
  const int64_t groups = (elements + kInt8GroupElements - 1) / kInt8GroupElements;
  return elements + groups * kInt8ScaleBytes;
}

// Writes `size` elements, which are those from `first` on of the whole vector, to `out`, of any
// alignment; `first` is a multiple of kInt8GroupElements.
//
// The scale is the group's largest magnitude / 127 and a millionth of that, but at least 2^-126.
// Each element is rounded to one of its two neighbours at random, so that its expectation is the
// element itself (QSGD: Alistarh et al. 2017, section 3.1, with the maximum as the norm). The
// choice depends on `seed` and the element's index alone. A group with an element that is not
// finite gets a scale that is not finite either, which no server takes.
void EncodeInt8(const float* values, int64_t size, uint64_t seed, int64_t first, std::byte* out);

// Reads `size` elements of one group from its bytes after the scale.
void DecodeInt8(const std::byte* in, int64_t size, float scale, float* values);

}  // namespace gradd

#endif  // GRADD_CORE_CODEC_INT8_H_
