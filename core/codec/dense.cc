#include "core/codec/dense.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "core/base/multiversion.h"
#include "core/base/prefetch.h"
#include "core/codec/bfloat16.h"
#include "core/codec/float16.h"
#include "core/codec/float_bits.h"

namespace gradd {
namespace {

constexpr int64_t kFloat32Bytes = sizeof(float);

// The largest of `size` IEEE 754 numbers without their signs, by their bits, which are in the same
// order; as signed integers, since SSE2 compares no others.
template <typename Bits>
[[gnu::always_inline]] inline Bits LargestBits(const std::byte* in, int64_t size) {
  constexpr auto kBytes = static_cast<int64_t>(sizeof(Bits));
  constexpr int64_t kRun = kPrefetchElements * kFloat32Bytes / kBytes;
  Bits largest = 0;
  for (int64_t begin = 0; begin < size; begin += kRun) {
    Prefetch(reinterpret_cast<const UnalignedFloat*>(in + begin * kBytes) + kPageElements);
    const int64_t end = std::min(begin + kRun, size);
    for (int64_t i = begin; i < end; ++i) {
      const auto bits = Load<Bits>(in + i * kBytes);
      const auto magnitude = static_cast<Bits>(bits & std::numeric_limits<Bits>::max());
      largest = magnitude > largest ? magnitude : largest;
    }
  }
  return largest;
}

size_t Float32Bytes(int64_t size) { return static_cast<size_t>(size * kFloat32Bytes); }

}  // namespace

int64_t DenseElementBytes(v1::Encoding encoding) {
  switch (encoding) {
    case v1::ENCODING_FLOAT32:
      return kFloat32Bytes;
    case v1::ENCODING_BFLOAT16:
      return kBfloat16Bytes;
    case v1::ENCODING_FLOAT16:
      return kFloat16Bytes;
    default:
      return 0;
  }
}

int64_t EncodeDense(v1::Encoding encoding, const float* values, int64_t size, std::byte* out) {
  switch (encoding) {
    case v1::ENCODING_BFLOAT16:
      EncodeBfloat16(values, size, out);
      return 0;
    case v1::ENCODING_FLOAT16:
      return EncodeFloat16(values, size, out);
    default:
      if (size > 0) std::memcpy(out, values, Float32Bytes(size));
      return 0;
  }
}

void DecodeDense(v1::Encoding encoding, const std::byte* in, int64_t size, float* values) {
  switch (encoding) {
    case v1::ENCODING_BFLOAT16:
      return DecodeBfloat16(in, size, values);
    case v1::ENCODING_FLOAT16:
      return DecodeFloat16(in, size, values);
    default:
      if (size > 0) std::memcpy(values, in, Float32Bytes(size));
  }
}

GRADD_MULTIVERSION
float LargestMagnitude(v1::Encoding encoding, const std::byte* in, int64_t size) {
  switch (encoding) {
    case v1::ENCODING_BFLOAT16:
      return FloatOf(static_cast<uint32_t>(LargestBits<int16_t>(in, size)) << 16);
    case v1::ENCODING_FLOAT16: {
      const int16_t bits = LargestBits<int16_t>(in, size);
      float value = 0;
      DecodeFloat16(reinterpret_cast<const std::byte*>(&bits), 1, &value);
      return value;
    }
    default:
      return FloatOf(static_cast<uint32_t>(LargestBits<int32_t>(in, size)));
  }
}

}  // namespace gradd
