#include "core/store/payload_reader.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace gradd {

PayloadReader::PayloadReader(const Payload& payload, size_t begin)
    : payload_(&payload), at_(begin) {
  SkipEmptySlices();
}

void PayloadReader::SkipEmptySlices() {
  const auto& slices = payload_->slices();
  while (slice_ < slices.size() && at_ >= slices[slice_].size()) {
    at_ -= slices[slice_].size();
    ++slice_;
  }
}

const std::byte* PayloadReader::NextInPlace(size_t size) {
  const Payload::Slice& slice = payload_->slices()[slice_];
  const std::byte* const here = slice.data() + at_;
  if (slice.size() - at_ < size) return nullptr;
  at_ += size;
  SkipEmptySlices();
  return here;
}

Payload::Slice PayloadReader::Next(size_t most, size_t unit, std::byte* scratch) {
  const size_t left = payload_->slices()[slice_].size() - at_;
  if (left >= unit) {
    const size_t size = std::min(most, left / unit * unit);
    return {NextInPlace(size), size};
  }
  for (size_t gathered = 0; gathered < unit;) {
    const Payload::Slice& slice = payload_->slices()[slice_];
    const size_t take = std::min(unit - gathered, slice.size() - at_);
    std::memcpy(scratch + gathered, slice.data() + at_, take);
    gathered += take;
    at_ += take;
    SkipEmptySlices();
  }
  return {scratch, unit};
}

}  // namespace gradd
