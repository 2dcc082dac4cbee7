#ifndef GRADD_CORE_OPTIM_NORMAL_NOISE_H_
#define GRADD_CORE_OPTIM_NORMAL_NOISE_H_

#include <cstdint>

#include "core/store/slot.h"

namespace gradd {

// Room for the noise of one tile.
struct NoiseBuffer {
  alignas(64) float values[kTileElements + 64];
};

// Draws `size` numbers, at most kTileElements, that look drawn from the standard normal
// distribution, into `buffer`; returns the first. Each depends on `key` and its own index, `index`
// for the first, alone, and is between -5.1 and 5.1.
//
// A counter goes through a 32-bit mixing function (xor-shifts and odd multipliers, with a half of
// the key before and in the middle of it), and its transform (Box and Muller 1958) gives two
// numbers, whose indices are 16 apart.
const float* DrawNormal(uint64_t key, int64_t index, int64_t size, NoiseBuffer* buffer);

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_NORMAL_NOISE_H_
