#ifndef GRADD_SERVER_ENCODED_BLOCK_H_
#define GRADD_SERVER_ENCODED_BLOCK_H_

#include <cstddef>
#include <memory>

#include "core/store/block.h"
#include "core/store/payload.h"
#include "core/store/snapshot.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// A block of parameters as it goes on the wire: a chunk without its data, and the data.
struct EncodedBlock {
  v1::ParameterChunk chunk;
  Payload data;
};

// Block `block` of `snapshot` in a dense encoding: borrowed as it is with FLOAT32, otherwise
// encoded into memory from `buffers`.
EncodedBlock EncodeBlock(const std::shared_ptr<const Snapshot>& snapshot, size_t block,
                         v1::Encoding encoding, BlockPool* buffers);

}  // namespace gradd

#endif  // GRADD_SERVER_ENCODED_BLOCK_H_
