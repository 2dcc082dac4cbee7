#include "transport/wire_reader.h"

#include <google/protobuf/wire_format_lite.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace gradd {
namespace {

using google::protobuf::internal::WireFormatLite;

constexpr size_t kMaxTagBytes = 5;
constexpr size_t kMaxLengthBytes = 5;
constexpr size_t kMaxVarintBytes = 10;
// The generated classes keep a length, and the 16 bytes that they read ahead, in an int.
constexpr uint64_t kMaxLength = std::numeric_limits<int>::max() - 16;

}  // namespace

WireReader::WireReader(const std::vector<Payload::Slice>& slices) : slices_(slices) {
  for (const Payload::Slice& slice : slices) end_ += slice.size();
}

size_t WireReader::SetEnd(size_t end) { return std::exchange(end_, end); }

bool WireReader::ReadTag(uint32_t* tag, std::string* copy) {
  uint64_t value = 0;
  if (!ReadVarint(kMaxTagBytes, &value, copy)) return false;
  *tag = static_cast<uint32_t>(value);
  return true;
}

bool WireReader::ReadLength(size_t* length, std::string* copy) {
  uint64_t value = 0;
  if (!ReadVarint(kMaxLengthBytes, &value, copy)) return false;
  *length = static_cast<size_t>(value);
  return value <= kMaxLength && value <= end_ - position_;
}

bool WireReader::ReadField(uint32_t tag, std::string* copy) {
  // Groups in groups are counted, not called for: the generated classes know how deep is too deep.
  for (size_t groups = 0;;) {
    uint64_t value = 0;
    size_t length = 0;
    bool good = false;
    switch (WireFormatLite::GetTagWireType(tag)) {
      case WireFormatLite::WIRETYPE_VARINT:
        good = ReadVarint(kMaxVarintBytes, &value, copy);
        break;
      case WireFormatLite::WIRETYPE_FIXED64:
        good = ReadBytes(sizeof(uint64_t), copy);
        break;
      case WireFormatLite::WIRETYPE_LENGTH_DELIMITED:
        good = ReadLength(&length, copy) && ReadBytes(length, copy);
        break;
      case WireFormatLite::WIRETYPE_START_GROUP:
        good = true;
        ++groups;
        break;
      case WireFormatLite::WIRETYPE_END_GROUP:
        good = groups > 0;
        --groups;
        break;
      case WireFormatLite::WIRETYPE_FIXED32:
        good = ReadBytes(sizeof(uint32_t), copy);
        break;
    }
    if (!good) return false;
    if (groups == 0) return true;
    if (!ReadTag(&tag, copy)) return false;
  }
}

bool WireReader::ReadBytes(size_t size, std::string* copy) {
  if (size > end_ - position_) return false;
  position_ += size;
  while (size > 0) {
    const Payload::Slice& slice = slices_[slice_];
    const size_t taken = std::min(size, slice.size() - in_slice_);
    if (copy != nullptr) {
      copy->append(reinterpret_cast<const char*>(slice.data()) + in_slice_, taken);
    }
    size -= taken;
    in_slice_ += taken;
    if (in_slice_ < slice.size()) continue;
    ++slice_;
    in_slice_ = 0;
  }
  return true;
}

bool WireReader::ReadVarint(size_t max_bytes, uint64_t* value, std::string* copy) {
  *value = 0;
  for (size_t i = 0; i < max_bytes; ++i) {
    while (slice_ < slices_.size() && in_slice_ == slices_[slice_].size()) {
      ++slice_;
      in_slice_ = 0;
    }
    if (AtEnd()) return false;
    const auto byte = static_cast<uint8_t>(slices_[slice_][in_slice_]);
    if (!ReadBytes(1, copy)) return false;
    *value |= uint64_t{byte & 0x7fu} << (7 * i);
    if (byte < 0x80) return true;
  }
  return false;
}

}  // namespace gradd
