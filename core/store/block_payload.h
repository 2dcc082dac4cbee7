#ifndef GRADD_CORE_STORE_BLOCK_PAYLOAD_H_
#define GRADD_CORE_STORE_BLOCK_PAYLOAD_H_

#include <cstddef>
#include <memory>
#include <utility>

#include "core/store/block.h"
#include "core/store/payload.h"

namespace gradd {

// The first `bytes` bytes of `block`, which goes back to its pool with the last copy.
inline Payload BytesOf(BlockRef block, size_t bytes) {
  auto owner = std::make_shared<const BlockRef>(std::move(block));
  const Payload::Slice slice(reinterpret_cast<const std::byte*>(owner->data()), bytes);
  return Payload({slice}, std::move(owner));
}

}  // namespace gradd

#endif  // GRADD_CORE_STORE_BLOCK_PAYLOAD_H_
