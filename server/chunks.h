#ifndef GRADD_SERVER_CHUNKS_H_
#define GRADD_SERVER_CHUNKS_H_

#include <cstddef>
#include <memory>

#include "core/store/block.h"
#include "core/store/payload.h"
#include "core/store/snapshot.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// Describes block `block` of `snapshot` as a chunk, without its data.
v1::ParameterChunk DescribeBlock(const Snapshot& snapshot, size_t block, v1::Encoding encoding);

// The data: borrowed where the snapshot has that dense encoding, otherwise encoded into memory from
// `pool`.
Payload BlockData(const std::shared_ptr<const Snapshot>& snapshot, size_t block,
                  v1::Encoding encoding, BlockPool* pool);

}  // namespace gradd

#endif  // GRADD_SERVER_CHUNKS_H_
