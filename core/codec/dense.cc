#include "core/codec/dense.h"

#include <cstring>

#include "core/base/multiversion.h"
#include "core/codec/bfloat16.h"
#include "core/codec/float16.h"
#include "core/codec/float_bits.h"

namespace gradd {
namespace {

constexpr int64_t kFloat32Bytes = sizeof(float);

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

void EncodeDense(v1::Encoding encoding, const float* values, int64_t size, std::byte* out) {
  switch (encoding) {
    case v1::ENCODING_BFLOAT16:
      return EncodeBfloat16(values, size, out);
    case v1::ENCODING_FLOAT16:
      return EncodeFloat16(values, size, out);
    default:
      std::memcpy(out, values, Float32Bytes(size));
  }
}

void DecodeDense(v1::Encoding encoding, const std::byte* in, int64_t size, float* values) {
  switch (encoding) {
    case v1::ENCODING_BFLOAT16:
      return DecodeBfloat16(in, size, values);
    case v1::ENCODING_FLOAT16:
      return DecodeFloat16(in, size, values);
    default:
      std::memcpy(values, in, Float32Bytes(size));
  }
}

GRADD_MULTIVERSION
bool DenseFinite(v1::Encoding encoding, const std::byte* in, int64_t size) {
  switch (encoding) {
    case v1::ENCODING_BFLOAT16:
      return FiniteBits<uint16_t>(in, size, 0x7F80);
    case v1::ENCODING_FLOAT16:
      return FiniteBits<uint16_t>(in, size, 0x7C00);
    default:
      return FiniteBits<uint32_t>(in, size, kInfinityBits);
  }
}

}  // namespace gradd
