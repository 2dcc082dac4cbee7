#ifndef GRADD_SERVER_CHUNKS_H_
#define GRADD_SERVER_CHUNKS_H_

#include <cstddef>
#include <memory>

#include "core/store/block.h"
#include "core/store/payload.h"
#include "core/store/snapshot.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// A chunk of parameters on its way to a peer.
struct BlockChunk {
  v1::ParameterChunk description;  // Without the data.
  Payload data;
};

// Block `block` of `snapshot` in a dense encoding; in FLOAT32 where that encoding has not the range
// of one of its elements. The data is borrowed where the snapshot has it so, otherwise encoded into
// memory from `pool`.
BlockChunk MakeBlockChunk(const std::shared_ptr<const Snapshot>& snapshot, size_t block,
                          v1::Encoding encoding, BlockPool* pool);

// The same in the encoding that the snapshot has.
BlockChunk MakeBlockChunk(const std::shared_ptr<const Snapshot>& snapshot, size_t block);

}  // namespace gradd

#endif  // GRADD_SERVER_CHUNKS_H_
