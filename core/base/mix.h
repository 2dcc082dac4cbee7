#ifndef GRADD_CORE_BASE_MIX_H_
#define GRADD_CORE_BASE_MIX_H_

#include <cstdint>

namespace gradd {

// SplitMix64 (Steele, Lea and Flood 2014): a counter that goes up by kMixIncrement, and MixBits()
// of it. Its outputs pass as independent.
inline constexpr uint64_t kMixIncrement = 0x9E3779B97F4A7C15;

// A bijection on 64 bits after which similar numbers look like any others.
inline uint64_t MixBits(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

// A number that looks random and depends on `seed` and `index` alone: SplitMix64 started at `seed`,
// after `index` + 1 steps. A seed that is larger by kMixIncrement gives the numbers of the next
// index: for seeds that are not random themselves there is MixKey().
inline uint64_t Mix(uint64_t seed, uint64_t index) {
  return MixBits(seed + (index + 1) * kMixIncrement);
}

// The same for seeds that people choose: each of the two is mixed on its own, so that no pattern in
// seeds gives the keys of other indices. (The factor is there so that the two cannot change
// places.)
inline uint64_t MixKey(uint64_t seed, uint64_t index) {
  return MixBits(3 * MixBits(seed) + Mix(0, index));
}

}  // namespace gradd

#endif  // GRADD_CORE_BASE_MIX_H_
