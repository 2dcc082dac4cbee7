#ifndef GRADD_CORE_STORE_PAYLOAD_READER_H_
#define GRADD_CORE_STORE_PAYLOAD_READER_H_

#include <cstddef>

#include "core/store/payload.h"

namespace gradd {

// Reads the bytes of a payload in order, in place wherever that is possible.
class PayloadReader {
 public:
  // Starts at byte `begin`. `payload` must outlive the reader and not change.
  explicit PayloadReader(const Payload& payload, size_t begin = 0);

  // The next bytes: a whole number of units of `unit` bytes, at least one and at most `most` bytes,
  // as many as lie in one piece. A unit that a border between slices cuts comes alone, gathered in
  // `scratch`, which has room for one. `most` is a positive multiple of `unit`, and the payload has
  // that much left.
  Payload::Slice Next(size_t most, size_t unit, std::byte* scratch);

  // The next `size` bytes if they lie in one piece; else nothing, and the reader stays where it is.
  const std::byte* NextInPlace(size_t size);

 private:
  void SkipEmptySlices();

  const Payload* payload_;
  size_t slice_ = 0;
  size_t at_;  // Byte in the slice.
};

}  // namespace gradd

#endif  // GRADD_CORE_STORE_PAYLOAD_READER_H_
