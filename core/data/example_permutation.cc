#include "core/data/example_permutation.h"

#include <utility>

#include "core/base/mix.h"

namespace gradd {

ExamplePermutation::ExamplePermutation(int64_t examples, uint64_t seed, int64_t epoch)
    : examples_(examples) {
  while ((int64_t{1} << (2 * half_bits_)) < examples) ++half_bits_;
  const uint64_t key = Mix(MixBits(seed), static_cast<uint64_t>(epoch));
  for (uint64_t round = 0; round < kRounds; ++round) keys_[round] = Mix(key, round);
}

int64_t ExamplePermutation::At(int64_t place) const {
  const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
  auto number = static_cast<uint64_t>(place);
  do {
    uint64_t left = number >> half_bits_;
    uint64_t right = number & mask;
    for (const uint64_t key : keys_) {
      left ^= MixBits(right + key) & mask;
      std::swap(left, right);
    }
    number = left << half_bits_ | right;
  } while (number >= static_cast<uint64_t>(examples_));
  return static_cast<int64_t>(number);
}

}  // namespace gradd
