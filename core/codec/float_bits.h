#ifndef GRADD_CORE_CODEC_FLOAT_BITS_H_
#define GRADD_CORE_CODEC_FLOAT_BITS_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "elements go on the wire as they are in memory: a little-endian machine is needed"
#endif

namespace gradd {

// A binary32 as its bits.
inline constexpr uint32_t kInfinityBits = 0x7F800000;

inline uint32_t BitsOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

inline float FloatOf(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

// Loads and stores of any alignment.
template <typename T>
T Load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

template <typename T>
void Store(T value, std::byte* to) {
  std::memcpy(to, &value, sizeof(value));
}

// Whether `size` IEEE 754 numbers, of which all `exponent` bits are set in those that are not
// finite, are finite: such a number carries into the sign bit when the last of these bits is
// added to its magnitude.
template <typename Bits>
bool FiniteBits(const std::byte* in, int64_t size, Bits exponent) {
  constexpr auto kSign = static_cast<Bits>(Bits{1} << (8 * sizeof(Bits) - 1));
  const auto last = static_cast<Bits>(kSign - exponent);
  Bits carries = 0;
  for (int64_t i = 0; i < size; ++i) {
    const auto bits = Load<Bits>(in + i * static_cast<int64_t>(sizeof(Bits)));
    carries = static_cast<Bits>(carries | (static_cast<Bits>(bits & ~kSign) + last));
  }
  return (carries & kSign) == 0;
}

}  // namespace gradd

#endif  // GRADD_CORE_CODEC_FLOAT_BITS_H_
