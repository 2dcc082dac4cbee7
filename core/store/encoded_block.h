#ifndef GRADD_CORE_STORE_ENCODED_BLOCK_H_
#define GRADD_CORE_STORE_ENCODED_BLOCK_H_

#include <cstdint>

#include "absl/container/inlined_vector.h"
#include "core/store/block.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// The elements of `values` in a dense encoding, in a block from `pool` that is as long as they
// need and may be reserved for the step. Empty if one of them is out of the encoding's range: of
// FLOAT16's.
BlockRef EncodeBlock(v1::Encoding encoding, const BlockRef& values, BlockPool* pool);

// How long that block is, in float32, for `elements` elements.
int64_t EncodedBlockLength(v1::Encoding encoding, int64_t elements);

// A block in each dense encoding that somebody takes, encoded while it is being written: what has
// just been written is in a cache, and the whole block is not.
class EncodedBlocks {
 public:
  // `values` are where the block's elements are written.
  EncodedBlocks(const float* values, int64_t elements) : values_(values), elements_(elements) {}

  // Also in `encoding`, in a block from `pool` as EncodeBlock()'s. Before the first UpTo().
  void Add(v1::Encoding encoding, BlockPool* pool);

  // The first `end` elements are written.
  void UpTo(int64_t end);

  // As EncodeBlock() of the block, all of which is written.
  BlockRef Take(v1::Encoding encoding);

 private:
  struct Form {
    v1::Encoding encoding;
    BlockRef block;
    int64_t beyond = 0;  // The elements that it has no numbers for.
  };

  const float* values_;
  int64_t elements_;
  int64_t encoded_ = 0;
  absl::InlinedVector<Form, 2> forms_;
};

}  // namespace gradd

#endif  // GRADD_CORE_STORE_ENCODED_BLOCK_H_
