#ifndef GRADD_SERVER_CHUNKS_H_
#define GRADD_SERVER_CHUNKS_H_

#include <cstddef>

#include "core/store/snapshot.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// Describes block `block` of `snapshot` as a chunk, without its data.
inline v1::ParameterChunk DescribeBlock(const Snapshot& snapshot, size_t block) {
  v1::ParameterChunk chunk;
  chunk.set_offset(static_cast<int64_t>(block) * snapshot.block_elements);
  chunk.set_encoding(v1::ENCODING_FLOAT32);
  chunk.set_step(snapshot.step);
  chunk.set_parameter_count(snapshot.element_count);
  return chunk;
}

}  // namespace gradd

#endif  // GRADD_SERVER_CHUNKS_H_
