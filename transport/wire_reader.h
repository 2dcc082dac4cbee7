#ifndef GRADD_TRANSPORT_WIRE_READER_H_
#define GRADD_TRANSPORT_WIRE_READER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/store/payload.h"

namespace gradd {

// Walks the fields of a message in protobuf's wire format
// (protobuf.dev/programming-guides/encoding), wherever its bytes were cut into slices. It finds
// where each field ends and understands no more of it than that: fields are copied byte for byte,
// so that the generated classes can judge them.
//
// A method returns false where the bytes end too soon, or cannot be what they should be in the eyes
// of the generated classes (protobuf 3.21); the reader is of no use after that.
class WireReader {
 public:
  explicit WireReader(const std::vector<Payload::Slice>& slices);

  // Bytes from the beginning of the message.
  size_t position() const { return position_; }

  // Reading ends there, which is at first the end of the slices and never behind it. Returns where
  // it ended before.
  size_t SetEnd(size_t end);
  bool AtEnd() const { return position_ == end_; }

  // What is read is appended to `copy`, unless that is null.

  // The tag of the next field: at most five bytes, of which 32 bits count.
  bool ReadTag(uint32_t* tag, std::string* copy);
  // The length of a field that has one: at most five bytes, and no more than is left.
  bool ReadLength(size_t* length, std::string* copy);
  // What follows the tag of a field; if the tag begins a group, all of the group.
  bool ReadField(uint32_t tag, std::string* copy);
  bool ReadBytes(size_t size, std::string* copy);

 private:
  // At most `max_bytes` of them, the last without its uppermost bit. Bits above the 64th are lost.
  bool ReadVarint(size_t max_bytes, uint64_t* value, std::string* copy);

  const std::vector<Payload::Slice>& slices_;
  size_t end_ = 0;
  size_t position_ = 0;
  // The same place: a slice, and how much of it has been read.
  size_t slice_ = 0;
  size_t in_slice_ = 0;
};

}  // namespace gradd

#endif  // GRADD_TRANSPORT_WIRE_READER_H_
