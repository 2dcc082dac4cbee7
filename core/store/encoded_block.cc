#include "core/store/encoded_block.h"

#include <cstddef>

#include "core/codec/dense.h"

namespace gradd {

int64_t EncodedBlockLength(v1::Encoding encoding, int64_t elements) {
  constexpr auto kFloatBytes = static_cast<int64_t>(sizeof(float));
  return (elements * DenseElementBytes(encoding) + kFloatBytes - 1) / kFloatBytes;
}

BlockRef EncodeBlock(v1::Encoding encoding, const BlockRef& values, BlockPool* pool) {
  BlockRef encoded = pool->Allocate(EncodedBlockLength(encoding, values.elements()));
  const int64_t beyond = EncodeDense(encoding, values.data(), values.elements(),
                                     reinterpret_cast<std::byte*>(encoded.data()));
  return beyond == 0 ? encoded : BlockRef();
}

}  // namespace gradd
