#include "core/store/snapshot.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/codec/dense.h"
#include "core/store/block_payload.h"

namespace gradd {

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "blocks go on the wire as they are in memory: a little-endian machine is needed"
#endif

int64_t ElementsOfBlock(const Snapshot& snapshot, size_t block) {
  const int64_t begin = static_cast<int64_t>(block) * snapshot.block_elements;
  return std::min(snapshot.block_elements, snapshot.element_count - begin);
}

v1::Encoding EncodingOfBlock(const Snapshot& snapshot, size_t block) {
  const bool is_float32 = !snapshot.is_float32.empty() && snapshot.is_float32[block] != 0;
  return is_float32 ? v1::ENCODING_FLOAT32 : snapshot.encoding;
}

Payload BlockPayload(const std::shared_ptr<const Snapshot>& snapshot, size_t block) {
  const int64_t bytes =
      ElementsOfBlock(*snapshot, block) * DenseElementBytes(EncodingOfBlock(*snapshot, block));
  // A peer would get what lies behind it.
  GRADD_DCHECK(bytes <= snapshot->parameters[block].elements() * int64_t{sizeof(float)},
               absl::StrCat(bytes, " bytes of a block of ", snapshot->parameters[block].elements(),
                            " floats"));
  return BytesOf(snapshot->parameters[block], static_cast<size_t>(bytes));
}

}  // namespace gradd
