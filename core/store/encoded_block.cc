#include "core/store/encoded_block.h"

#include <cstddef>
#include <utility>

#include "core/codec/dense.h"
#include "core/store/slot.h"

namespace gradd {

int64_t EncodedBlockLength(v1::Encoding encoding, int64_t elements) {
  constexpr auto kFloatBytes = static_cast<int64_t>(sizeof(float));
  return (elements * DenseElementBytes(encoding) + kFloatBytes - 1) / kFloatBytes;
}

BlockRef EncodeBlock(v1::Encoding encoding, const BlockRef& values, BlockPool* pool) {
  BlockRef encoded =
      pool->Allocate(EncodedBlockLength(encoding, values.elements()), ReservedFor::kStep);
  const int64_t beyond = EncodeDense(encoding, values.data(), values.elements(),
                                     reinterpret_cast<std::byte*>(encoded.data()));
  return beyond == 0 ? encoded : BlockRef();
}

void EncodedBlocks::Add(v1::Encoding encoding, BlockPool* pool) {
  forms_.push_back(
      {encoding, pool->Allocate(EncodedBlockLength(encoding, elements_), ReservedFor::kStep)});
}

void EncodedBlocks::UpTo(int64_t end) {
  // Tensors may be of an element each.
  if (end - encoded_ < kTileElements && end < elements_) return;
  for (Form& form : forms_) {
    auto* const out = reinterpret_cast<std::byte*>(form.block.data());
    form.beyond += EncodeDense(form.encoding, values_ + encoded_, end - encoded_,
                               out + encoded_ * DenseElementBytes(form.encoding));
  }
  encoded_ = end;
}

BlockRef EncodedBlocks::Take(v1::Encoding encoding) {
  for (Form& form : forms_) {
    if (form.encoding == encoding && form.beyond == 0) return std::move(form.block);
  }
  return BlockRef();
}

}  // namespace gradd
