#include "core/store/snapshot.h"

#include <cstddef>

namespace gradd {

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "blocks go on the wire as they are in memory: a little-endian machine is needed"
#endif

Payload BlockPayload(const std::shared_ptr<const Snapshot>& snapshot, size_t index) {
  const BlockRef& block = snapshot->parameters[index];
  const Payload::Slice bytes(reinterpret_cast<const std::byte*>(block.data()),
                             static_cast<size_t>(block.elements()) * sizeof(float));
  return Payload({bytes}, snapshot);
}

}  // namespace gradd
