#ifndef GRADD_CORE_STORE_BLOCK_READER_H_
#define GRADD_CORE_STORE_BLOCK_READER_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/store/gradient_reader.h"
#include "core/store/slot.h"
#include "core/store/snapshot.h"

namespace gradd {

// Reads a vector that lies in blocks from some element on, in order. The blocks must outlive it,
// and nobody may write to them meanwhile.
class BlockReader : public GradientReader {
 public:
  // All blocks but the last have `block_elements`.
  BlockReader(const BlockVector& blocks, int64_t block_elements, int64_t begin)
      : blocks_(blocks), block_elements_(block_elements), at_(begin) {}

  const UnalignedFloat* Next(int64_t size) final {
    for (int64_t done = 0; done < size;) {
      const auto index = static_cast<size_t>(at_ / block_elements_);
      GRADD_DCHECK(
          size <= kTileElements && index < blocks_.size(),
          absl::StrCat(size, " elements, up to ", at_, ", of ", blocks_.size(), " blocks"));
      const BlockRef& block = blocks_[index];
      const int64_t in_block = at_ % block_elements_;
      const int64_t count = std::min(size - done, block.elements() - in_block);
      std::copy_n(block.data() + in_block, count, scratch_.data() + done);
      at_ += count;
      done += count;
    }
    return scratch_.data();
  }

 private:
  const BlockVector& blocks_;
  const int64_t block_elements_;
  int64_t at_;
  alignas(64) std::array<float, kTileElements> scratch_;
};

}  // namespace gradd

#endif  // GRADD_CORE_STORE_BLOCK_READER_H_
