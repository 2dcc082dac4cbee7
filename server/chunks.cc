#include "server/chunks.h"

#include <utility>

#include "core/codec/dense.h"
#include "core/store/block_payload.h"
#include "core/store/encoded_block.h"

namespace gradd {

BlockChunk MakeBlockChunk(const std::shared_ptr<const Snapshot>& snapshot, size_t block) {
  BlockChunk chunk;
  chunk.description.set_offset(static_cast<int64_t>(block) * snapshot->block_elements);
  chunk.description.set_encoding(EncodingOfBlock(*snapshot, block));
  chunk.description.set_step(snapshot->step);
  chunk.description.set_parameter_count(snapshot->element_count);
  if (block == 0 && snapshot->timeline != nullptr) {
    chunk.description.set_timeline(snapshot->timeline->number);
    chunk.description.set_run_uid(snapshot->timeline->run_uid);
  }
  chunk.data = BlockPayload(snapshot, block);
  return chunk;
}

BlockChunk MakeBlockChunk(const std::shared_ptr<const Snapshot>& snapshot, size_t block,
                          v1::Encoding encoding, BlockPool* pool) {
  BlockChunk chunk = MakeBlockChunk(snapshot, block);
  if (encoding == snapshot->encoding) return chunk;
  BlockRef encoded = EncodeBlock(encoding, snapshot->parameters[block], pool);
  if (!encoded) return chunk;
  const int64_t bytes = ElementsOfBlock(*snapshot, block) * DenseElementBytes(encoding);
  chunk.description.set_encoding(encoding);
  chunk.data = BytesOf(std::move(encoded), static_cast<size_t>(bytes));
  return chunk;
}

}  // namespace gradd
