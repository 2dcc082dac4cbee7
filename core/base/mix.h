#ifndef GRADD_CORE_BASE_MIX_H_
#define GRADD_CORE_BASE_MIX_H_

#include <cstdint>

namespace gradd {

// A number that looks random and depends on `seed` and `index` alone: SplitMix64 (Steele et al.
// 2014) started at `seed`, after `index` + 1 steps.
inline uint64_t Mix(uint64_t seed, uint64_t index) {
  uint64_t x = seed + (index + 1) * 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

}  // namespace gradd

#endif  // GRADD_CORE_BASE_MIX_H_
