// The conversions without branches after F. Giesen, "Half to float done quic" and "Float to half
// conversion" (2012): an addition of floats does what subnormal numbers need, rounding included.

#include "core/codec/float16.h"

#include <algorithm>

#include "core/base/multiversion.h"
#include "core/codec/float_bits.h"

namespace gradd {
namespace {

constexpr int kShift = 23 - 10;  // Between the two mantissas.
constexpr int32_t kBiasDifference = (127 - 15) << 23;
constexpr int32_t kSmallestNormal = kBiasDifference + (1 << 23);  // 2^-14.
constexpr int32_t kInfinity = static_cast<int32_t>(kInfinityBits);
constexpr int32_t kInfinity16 = 0x7C00;
constexpr int32_t kLargest16 = 0x7BFF;
constexpr int32_t kOverflow = 0x477FF000;  // 65,520: what rounds to no finite number.
constexpr int32_t kQuietBit16 = 0x0200;
// In a float of this size the last bit of the mantissa is 2^-24, binary16's smallest step.
constexpr float kSubnormalMagic = 0.5F;

// Magnitudes are taken as signed numbers: SSE2 compares no others.
float Float(int32_t magnitude) { return FloatOf(static_cast<uint32_t>(magnitude)); }
int32_t MagnitudeOf(float value) { return static_cast<int32_t>(BitsOf(value) & 0x7FFFFFFF); }

uint16_t Encoded(float value) {
  const int32_t magnitude = MagnitudeOf(value);
  const int32_t even = (magnitude >> kShift) & 1;
  const int32_t nearest =
      (magnitude - kBiasDifference + ((1 << (kShift - 1)) - 1) + even) >> kShift;
  const int32_t normal = std::min(nearest, kLargest16);
  const int32_t subnormal =
      MagnitudeOf(Float(magnitude) + kSubnormalMagic) - MagnitudeOf(kSubnormalMagic);
  const int32_t special = magnitude > kInfinity ? kInfinity16 | kQuietBit16 : kInfinity16;
  const int32_t finite = magnitude < kSmallestNormal ? subnormal : normal;
  const int32_t half = magnitude < kInfinity ? finite : special;
  return static_cast<uint16_t>(static_cast<uint32_t>(half) | ((BitsOf(value) >> 16) & 0x8000));
}

template <bool kFinite>
float Decoded(uint16_t half) {
  const int32_t shifted = (half & 0x7FFF) << kShift;
  const int32_t rebased = shifted + kBiasDifference;
  const float subnormal = Float(rebased + (1 << 23)) - Float(kSmallestNormal);
  const int32_t special = kFinite || shifted < kInfinity16 << kShift ? 0 : kBiasDifference;
  const int32_t magnitude = rebased < kSmallestNormal ? MagnitudeOf(subnormal) : rebased + special;
  return FloatOf(static_cast<uint32_t>(magnitude) | static_cast<uint32_t>(half & 0x8000) << 16);
}

template <bool kFinite>
void DecodeRun(const std::byte* in, int64_t size, float* values) {
  for (int64_t i = 0; i < size; ++i) {
    values[i] = Decoded<kFinite>(Load<uint16_t>(in + i * kFloat16Bytes));
  }
}

// The rare case.
int64_t CountBeyond(const float* values, int64_t size) {
  return std::count_if(values, values + size, [](float value) {
    const int32_t magnitude = MagnitudeOf(value);
    return magnitude >= kOverflow && magnitude < kInfinity;
  });
}

}  // namespace

GRADD_MULTIVERSION
int64_t EncodeFloat16(const float* values, int64_t size, std::byte* out) {
  int32_t largest = 0;
  for (int64_t i = 0; i < size; ++i) {
    largest = std::max(largest, MagnitudeOf(values[i]));
    Store(Encoded(values[i]), out + i * kFloat16Bytes);
  }
  return largest < kOverflow ? 0 : CountBeyond(values, size);
}

GRADD_MULTIVERSION
int64_t CountLargestFloat16(const std::byte* in, int64_t size) {
  int64_t count = 0;
  for (int64_t i = 0; i < size; ++i) {
    if ((Load<uint16_t>(in + i * kFloat16Bytes) & 0x7FFF) == kLargest16) ++count;
  }
  return count;
}

GRADD_MULTIVERSION
void DecodeFloat16(const std::byte* in, int64_t size, float* values) {
  constexpr int64_t kRun = 1024;
  for (int64_t begin = 0; begin < size; begin += kRun) {
    const int64_t count = std::min(kRun, size - begin);
    const std::byte* const run = in + begin * kFloat16Bytes;
    (FiniteBits<uint16_t>(run, count, kInfinity16) ? DecodeRun<true>
                                                   : DecodeRun<false>)(run, count, values + begin);
  }
}

}  // namespace gradd
