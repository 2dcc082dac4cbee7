#ifndef GRADD_CORE_OPTIM_NORMS_H_
#define GRADD_CORE_OPTIM_NORMS_H_

#include <cstdint>

namespace gradd {

// Sum of squares of `size` values, 0 to kTileElements, in an order that depends on `size`
// alone. The relative error is below 1e-5, also where squares overflow float32.
double SquaredNorm(const float* values, int64_t size);

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_NORMS_H_
