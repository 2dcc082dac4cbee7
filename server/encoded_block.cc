#include "server/encoded_block.h"

#include <utility>

#include "core/codec/dense.h"
#include "core/store/block_payload.h"
#include "server/chunks.h"

namespace gradd {

EncodedBlock EncodeBlock(const std::shared_ptr<const Snapshot>& snapshot, size_t block,
                         v1::Encoding encoding, BlockPool* buffers) {
  EncodedBlock encoded;
  encoded.chunk = DescribeBlock(*snapshot, block);
  if (encoding == v1::ENCODING_FLOAT32) {
    encoded.data = BlockPayload(snapshot, block);
    return encoded;
  }
  const BlockRef& values = snapshot->parameters[block];
  const int64_t bytes = values.elements() * DenseElementBytes(encoding);
  constexpr auto kFloatBytes = static_cast<int64_t>(sizeof(float));
  BlockRef buffer = buffers->Allocate((bytes + kFloatBytes - 1) / kFloatBytes);
  EncodeDense(encoding, values.data(), values.elements(),
              reinterpret_cast<std::byte*>(buffer.data()));
  encoded.chunk.set_encoding(encoding);
  encoded.data = BytesOf(std::move(buffer), static_cast<size_t>(bytes));
  return encoded;
}

}  // namespace gradd
