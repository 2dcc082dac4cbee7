#ifndef GRADD_CORE_CODEC_RANDOM_K_H_
#define GRADD_CORE_CODEC_RANDOM_K_H_

#include <cstdint>
#include <vector>

namespace gradd {

// Sets `indices` to `k` different ones below `elements` (1 <= k <= elements <= 2^32), ascending:
// one drawn from each of k parts of equal length. They depend on the arguments alone, and over
// many seeds every index comes up equally often, to one part in `elements` / k.
void RandomK(int64_t elements, int64_t k, uint64_t seed, std::vector<uint32_t>* indices);

}  // namespace gradd

#endif  // GRADD_CORE_CODEC_RANDOM_K_H_
