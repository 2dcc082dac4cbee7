#ifndef GRADD_WORKER_DATA_RANDOM_H_
#define GRADD_WORKER_DATA_RANDOM_H_

#include <cstdint>

#include "core/base/mix.h"

namespace gradd {

// Random numbers that are the same with every compiler, library and CPU, which the
// distributions of <random> do not promise. SplitMix64, see mix.h.
class Random {
 public:
  // Streams of one seed are independent of each other.
  Random(uint64_t seed, uint64_t stream) : state_(MixBits(MixBits(seed) + stream)) {}

  uint64_t Next() { return MixBits(state_ += kMixIncrement); }

  // Uniform in [0, bound), bound at least 1, without bias: multiply and reject (Lemire
  // 2019).
  uint32_t Below(uint32_t bound) {
    uint64_t product = (Next() >> 32) * bound;
    if (static_cast<uint32_t>(product) < bound) {
      const uint32_t threshold = (0U - bound) % bound;
      while (static_cast<uint32_t>(product) < threshold) product = (Next() >> 32) * bound;
    }
    return static_cast<uint32_t>(product >> 32);
  }

  // Mean 0, standard deviation 1, within +-6: the sum of twelve uniform numbers, exact
  // in integers, where a true normal distribution would need the C library's logarithm.
  float NearlyNormal() {
    int64_t sum = 0;
    for (int i = 0; i < 3; ++i) {
      const uint64_t word = Next();
      for (int shift = 0; shift < 64; shift += 16) {
        sum += static_cast<int64_t>(word >> shift & 0xffff);
      }
    }
    // Twelve numbers of mean 65535 / 2; the sum's deviation is 65536 but for 1e-10.
    return static_cast<float>(2 * sum - int64_t{12} * 65535) / (2 * 65536.0F);
  }

 private:
  uint64_t state_;
};

}  // namespace gradd

#endif  // GRADD_WORKER_DATA_RANDOM_H_
