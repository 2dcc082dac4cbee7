#ifndef GRADD_CORE_STORE_ENCODED_BLOCK_H_
#define GRADD_CORE_STORE_ENCODED_BLOCK_H_

#include "core/store/block.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// The elements of `values` in a dense encoding, in a block from `pool` that is as long as they
// need. Empty if one of them is out of the encoding's range: of FLOAT16's.
BlockRef EncodeBlock(v1::Encoding encoding, const BlockRef& values, BlockPool* pool);

// How long that block is, in float32, for `elements` elements.
int64_t EncodedBlockLength(v1::Encoding encoding, int64_t elements);

}  // namespace gradd

#endif  // GRADD_CORE_STORE_ENCODED_BLOCK_H_
