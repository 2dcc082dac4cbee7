#ifndef GRADD_CORE_OPTIM_NORMAL_NOISE_H_
#define GRADD_CORE_OPTIM_NORMAL_NOISE_H_

#include <cstdint>

namespace gradd {

// Numbers that look drawn from the standard normal distribution: noise[i] depends on `key` and
// `index` + i alone. They are from -5.9 to 5.9.
//
// The numbers of `key` are those of a counter through a 32-bit mixing function (xor-shifts and
// odd multipliers, with a half of the key before and in the middle of it) and the transform of Box
// and Muller 1958.
void DrawNormal(uint64_t key, int64_t index, int64_t size, float* noise);

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_NORMAL_NOISE_H_
