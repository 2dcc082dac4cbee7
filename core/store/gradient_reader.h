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

// Reads a gradient of which some elements are missing, in order.
class SpanReader {
 public:
  virtual ~SpanReader() = default;

  // The first element from where the last span ended on of which there is a gradient; `end`, if
  // there is none before.
  virtual int64_t Seek(int64_t end) = 0;

  // Elements without a gap between them.
  struct Span {
    int64_t size;
    const UnalignedFloat* values;  // Valid until the next call.
  };
  // From the element that Seek() has found on, up to `end` at most; 1 to kTileElements.
  virtual Span Next(int64_t end) = 0;
};

}  // namespace gradd

#endif  // GRADD_CORE_STORE_GRADIENT_READER_H_
