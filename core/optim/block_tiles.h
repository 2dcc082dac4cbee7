#ifndef GRADD_CORE_OPTIM_BLOCK_TILES_H_
#define GRADD_CORE_OPTIM_BLOCK_TILES_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "core/base/unaligned_float.h"
#include "core/optim/kept_state.h"
#include "core/optim/optimizer.h"
#include "core/optim/partition.h"
#include "core/store/gradient_reader.h"
#include "core/store/parameter_store.h"

namespace gradd {

// A tile of a block as its optimizer gets it, with the pointers that it points to.
class BlockTile {
 public:
  // `size` elements of the piece from `begin` on, with the gradient `raw`, in whose place comes
  // that of kept.works() where the tensor is transformed.
  BlockTile(const Partition& partition, const KeptState& kept, size_t piece,
            const ParameterStore::BlockUpdate& block, int64_t begin, int64_t size,
            const UnalignedFloat* raw)
      : piece_(piece), raw_(raw) {
    const size_t index = partition.pieces()[piece].tensor;
    const Partition::Tensor& tensor = partition.tensors()[index];
    const Partition::Group& group = partition.groups()[tensor.group];
    const int64_t at = begin - block.begin;
    for (size_t k = 0; k < group.slots.size(); ++k) {
      slots_in_[k] = block.slots_in[group.slots[k]] + at;
      if (!block.slots_out.empty()) slots_out_[k] = block.slots_out[group.slots[k]] + at;
    }
    tile_.begin = begin;
    tile_.size = size;
    tile_.tensor = tensor.in_group;
    const size_t work = kept.work_of(index);
    tile_.gradient =
        work == KeptState::kNone ? raw : kept.works()[work].work.result() + (begin - tensor.begin);
    tile_.parameters_in = block.parameters_in + at;
    tile_.parameters_out = block.parameters_out == nullptr ? nullptr : block.parameters_out + at;
    tile_.slots_in = slots_in_.data();
    tile_.slots_out = slots_out_.data();
  }
  BlockTile(const BlockTile&) = delete;
  BlockTile& operator=(const BlockTile&) = delete;

  const Tile& tile() const { return tile_; }
  size_t piece() const { return piece_; }             // To which it belongs.
  const UnalignedFloat* raw() const { return raw_; }  // The gradient as it came.

 private:
  static constexpr size_t kMaxSlots = 8;  // Of one optimizer.

  const size_t piece_;
  const UnalignedFloat* const raw_;
  Tile tile_;
  std::array<const float*, kMaxSlots> slots_in_ = {};
  std::array<float*, kMaxSlots> slots_out_ = {};
};

// Calls visit(block_tile) for the pieces of a block, one after the other. `gradient` reads from the
// block's first element on.
template <typename Visit>
void ForEachPiece(const Partition& partition, const KeptState& kept,
                  const ParameterStore::BlockUpdate& block, GradientReader* gradient,
                  const Visit& visit) {
  const size_t index = partition.BlockAt(block.begin);
  for (size_t i = partition.first_piece(index); i < partition.first_piece(index + 1); ++i) {
    const Partition::Piece& piece = partition.pieces()[i];
    const UnalignedFloat* const raw = gradient->Next(piece.size);
    visit(BlockTile(partition, kept, i, block, piece.begin, piece.size, raw));
  }
}

// The same for those parts of its pieces of which there is a gradient.
template <typename Visit>
void ForEachSpan(const Partition& partition, const KeptState& kept,
                 const ParameterStore::BlockUpdate& block, SpanReader* gradient,
                 const Visit& visit) {
  const std::vector<Partition::Piece>& pieces = partition.pieces();
  const size_t index = partition.BlockAt(block.begin);
  const int64_t end = block.begin + block.size;
  size_t piece = partition.first_piece(index);
  for (int64_t begin = gradient->Seek(end); begin < end; begin = gradient->Seek(end)) {
    if (begin >= pieces[piece].end()) {
      const auto after = std::upper_bound(
          pieces.begin() + static_cast<int64_t>(piece),
          pieces.begin() + static_cast<int64_t>(partition.first_piece(index + 1)), begin,
          [](int64_t element, const Partition::Piece& other) { return element < other.begin; });
      piece = static_cast<size_t>(after - pieces.begin()) - 1;
    }
    const SpanReader::Span span = gradient->Next(pieces[piece].end());
    visit(BlockTile(partition, kept, piece, block, begin, span.size, span.values));
  }
}

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_BLOCK_TILES_H_
