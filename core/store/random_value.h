#ifndef GRADD_CORE_STORE_RANDOM_VALUE_H_
#define GRADD_CORE_STORE_RANDOM_VALUE_H_

#include <cstdint>

#include "core/base/mix.h"
#include "core/base/normal_quantile.h"

namespace gradd {

// Random numbers for the elements of a tensor: each depends on the tensor's key and the element's
// index in it alone, and has the same bits on every machine.

// Uniform in [0, 1).
inline double UnitValue(uint64_t key, int64_t index) {
  return static_cast<double>(Mix(key + static_cast<uint64_t>(index), 0) >> 11) * 0x1p-53;
}

// The same without 0: uniform in (0, 1), as near to the one as to the other.
inline double OpenUnitValue(uint64_t key, int64_t index) {
  const uint64_t bits = Mix(key + static_cast<uint64_t>(index), 0) >> 12;
  return (static_cast<double>(bits) + 0.5) * 0x1p-52;
}

// None has a larger magnitude: the quantile of 2^-53 is -8.21.
inline constexpr double kLargestNormalValue = 9;

// Of the standard normal distribution.
inline double NormalValue(uint64_t key, int64_t index) {
  return NormalQuantile(OpenUnitValue(key, index));
}

}  // namespace gradd

#endif  // GRADD_CORE_STORE_RANDOM_VALUE_H_
