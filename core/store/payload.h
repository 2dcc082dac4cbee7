#ifndef GRADD_CORE_STORE_PAYLOAD_H_
#define GRADD_CORE_STORE_PAYLOAD_H_

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "absl/types/span.h"

namespace gradd {

// Bytes that lie somewhere in a few pieces, and what keeps them alive. This is how
// bulk data crosses the border between core and the transport without a copy: a
// received chunk is the transport's slices, a sent one borrows a block.
//
// Copies share the bytes. Thread safety: const methods from any thread.
class Payload {
 public:
  using Slice = absl::Span<const std::byte>;

  Payload() = default;
  Payload(std::vector<Slice> slices, std::shared_ptr<const void> owner)
      : slices_(std::move(slices)), owner_(std::move(owner)) {
    for (const Slice& slice : slices_) size_bytes_ += slice.size();
  }

  size_t size_bytes() const { return size_bytes_; }
  const std::vector<Slice>& slices() const { return slices_; }
  const std::shared_ptr<const void>& owner() const { return owner_; }

 private:
  std::vector<Slice> slices_;
  std::shared_ptr<const void> owner_;
  size_t size_bytes_ = 0;
};

}  // namespace gradd

#endif  // GRADD_CORE_STORE_PAYLOAD_H_
