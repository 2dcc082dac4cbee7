#ifndef GRADD_CORE_CODEC_TOP_K_H_
#define GRADD_CORE_CODEC_TOP_K_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace gradd {

// Picks the elements of largest magnitude, exactly. Whatever exceeds a threshold is a candidate;
// whenever there are 2 k of them, all but the k largest are dropped and the threshold rises to the
// least of these. It starts where a sample says that a little more than k elements exceed it, so
// that one pass over the vector is enough; where the sample was wrong, a second one starts at 0.
//
// Keeps its memory from one call to the next.
class TopK {
 public:
  // Sets `indices` to those of the `k` >= 1 elements of largest magnitude, ascending. Of equal
  // ones the first are taken; zeros never, so there may be fewer. `values` are finite, and fewer
  // than 2^32.
  void Select(absl::Span<const float> values, int64_t k, std::vector<uint32_t>* indices);

 private:
  // A magnitude that a little more than `k` elements exceed, or 0.
  int32_t SampledThreshold(absl::Span<const float> values, size_t k);
  // Collects the `k` largest elements that exceed the threshold.
  void Collect(absl::Span<const float> values, size_t k);
  // Drops all but the `k` largest candidates and raises the threshold.
  void Prune(size_t k);

  // Magnitude, then what makes the lower index greater, so that all are different.
  static uint64_t Key(uint32_t magnitude, uint32_t index) {
    return uint64_t{magnitude} << 32 | (UINT32_MAX - index);
  }

  int32_t threshold_ = 0;             // Bits of a magnitude that candidates exceed.
  std::vector<uint64_t> candidates_;  // Keys, by ascending index.
  std::vector<uint64_t> scratch_;
  size_t sampled_elements_ = 0;    // Of the vector to which sampled_ belongs.
  std::vector<uint32_t> sampled_;  // Indices, by chance.
  std::vector<int32_t> sample_;    // Their magnitudes.
};

}  // namespace gradd

#endif  // GRADD_CORE_CODEC_TOP_K_H_
