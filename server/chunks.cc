#include "server/chunks.h"

#include "core/codec/dense.h"
#include "core/store/block_payload.h"
#include "core/store/encoded_block.h"

namespace gradd {

v1::ParameterChunk DescribeBlock(const Snapshot& snapshot, size_t block, v1::Encoding encoding) {
  v1::ParameterChunk chunk;
  chunk.set_offset(static_cast<int64_t>(block) * snapshot.block_elements);
  chunk.set_encoding(encoding);
  chunk.set_step(snapshot.step);
  chunk.set_parameter_count(snapshot.element_count);
  return chunk;
}

Payload BlockData(const std::shared_ptr<const Snapshot>& snapshot, size_t block,
                  v1::Encoding encoding, BlockPool* pool) {
  if (encoding == snapshot->encoding) return BlockPayload(snapshot, block);
  const int64_t bytes = ElementsOfBlock(*snapshot, block) * DenseElementBytes(encoding);
  return BytesOf(EncodeBlock(encoding, snapshot->parameters[block], pool),
                 static_cast<size_t>(bytes));
}

}  // namespace gradd
