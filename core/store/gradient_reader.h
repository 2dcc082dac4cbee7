#ifndef GRADD_CORE_STORE_GRADIENT_READER_H_
#define GRADD_CORE_STORE_GRADIENT_READER_H_

#include <cstdint>

#include "core/base/unaligned_float.h"

namespace gradd {

// Reads a gradient in order, from wherever it lies and however it is made.
class GradientReader {
 public:
  virtual ~GradientReader() = default;

  // The next `size` elements, 1 to kTileElements. Valid until the next call.
  virtual const UnalignedFloat* Next(int64_t size) = 0;
};

}  // namespace gradd

#endif  // GRADD_CORE_STORE_GRADIENT_READER_H_
