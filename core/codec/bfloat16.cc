#include "core/codec/bfloat16.h"

#include <algorithm>

#include "core/base/multiversion.h"
#include "core/base/prefetch.h"
#include "core/codec/float_bits.h"

namespace gradd {
namespace {

constexpr uint32_t kQuietBit = 0x00400000;
constexpr uint32_t kSignBit = 0x80000000;
// The smallest magnitude that does not round to a finite number.
constexpr uint32_t kOverflow = 0x7F7F8000;
constexpr uint32_t kLargest = 0x7F7F0000;

// Right for magnitudes below kOverflow.
uint32_t Nearest(uint32_t bits) { return bits + 0x7FFF + ((bits >> 16) & 1); }

uint32_t Rounded(uint32_t bits) {
  const uint32_t magnitude = bits & ~kSignBit;
  if (magnitude < kOverflow) return Nearest(bits);
  if (magnitude < kInfinityBits) return kLargest | (bits & kSignBit);
  // Without the quiet bit, a NaN whose payload lies in its lower half would become infinite.
  return magnitude > kInfinityBits ? bits | kQuietBit : bits;
}

// Writes `size` elements as Nearest() has them; returns whether that was right for all of them.
[[gnu::always_inline]] inline bool EncodeOrdinary(const float* values, int64_t size,
                                                  std::byte* out) {
  uint32_t carries = 0;
  for (int64_t i = 0; i < size; ++i) {
    const uint32_t bits = BitsOf(values[i]);
    carries |= (bits & ~kSignBit) + (kSignBit - kOverflow);
    Store(static_cast<uint16_t>(Nearest(bits) >> 16), out + i * kBfloat16Bytes);
  }
  return (carries & kSignBit) == 0;
}

void EncodeAny(const float* values, int64_t size, std::byte* out) {
  for (int64_t i = 0; i < size; ++i) {
    Store(static_cast<uint16_t>(Rounded(BitsOf(values[i])) >> 16), out + i * kBfloat16Bytes);
  }
}

}  // namespace

GRADD_MULTIVERSION_WIDE
void EncodeBfloat16(const float* values, int64_t size, std::byte* out) {
  constexpr int64_t kRun = 2 * kPrefetchElements;  // As many as fit where kPrefetchElements were.
  for (int64_t begin = 0; begin < size; begin += kRun) {
    const int64_t count = std::min(kRun, size - begin);
    std::byte* const to = out + begin * kBfloat16Bytes;
    Prefetch(values + begin + kPageElements);
    Prefetch(values + begin + kPageElements + kPrefetchElements);
    PrefetchToWrite(to + kPageElements * kBfloat16Bytes);
    if (!EncodeOrdinary(values + begin, count, to)) EncodeAny(values + begin, count, to);
  }
}

GRADD_MULTIVERSION
void DecodeBfloat16(const std::byte* in, int64_t size, float* values) {
  for (int64_t begin = 0; begin < size; begin += kPrefetchElements) {
    const int64_t end = std::min(begin + kPrefetchElements, size);
    PrefetchToWrite(values + begin + kPageElements);
    for (int64_t i = begin; i < end; ++i) {
      const auto upper = Load<uint16_t>(in + i * kBfloat16Bytes);
      values[i] = FloatOf(static_cast<uint32_t>(upper) << 16);
    }
  }
}

}  // namespace gradd
