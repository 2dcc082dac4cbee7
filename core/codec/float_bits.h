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

}  // namespace gradd

#endif  // GRADD_CORE_CODEC_FLOAT_BITS_H_
