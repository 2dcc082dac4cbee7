#ifndef GRADD_CORE_DATA_EXAMPLE_PERMUTATION_H_
#define GRADD_CORE_DATA_EXAMPLE_PERMUTATION_H_

#include <array>
#include <cstdint>

namespace gradd {

// The order of a data set's examples in one epoch: a permutation of [0, examples) that depends on
// the seed and the epoch alone, and of which each place is computed by itself, without a table.
// Worker and server compute it alike, whatever they are written in: docs/data.md says it in words,
// with values to test with.
//
// A balanced Feistel network (Luby and Rackoff 1988) with 8 rounds of SplitMix64's finalizer
// permutes the smallest power of four that is at least 64 and has room for all examples; what falls
// outside of them is permuted again until it is inside (cycle walking, Black and Rogaway 2002).
// That takes 4 turns at most on average from 17 examples on, and 64 for one example.
//
//   const ExamplePermutation order(/*examples=*/60'000, /*seed=*/7, /*epoch=*/2);
//   const int64_t example = order.At(0);  // Which the epoch begins with.
//
// Immutable, so safe from any thread.
class ExamplePermutation {
 public:
  // `examples` is in [1, 2^62], `epoch` at least 0.
  ExamplePermutation(int64_t examples, uint64_t seed, int64_t epoch);

  // The example at a place of the epoch, both in [0, examples).
  int64_t At(int64_t place) const;

 private:
  static constexpr int kRounds = 8;

  const int64_t examples_;
  int half_bits_ = 3;  // Of a number, so many bits are its left and so many its right half.
  std::array<uint64_t, kRounds> keys_;
};

}  // namespace gradd

#endif  // GRADD_CORE_DATA_EXAMPLE_PERMUTATION_H_
