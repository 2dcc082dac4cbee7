#include "core/step/delay_compensation.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <new>
#include <utility>
#include <vector>

#include "core/base/unaligned_float.h"
#include "core/codec/dense.h"
#include "core/store/block_payload.h"
#include "core/store/slot.h"

namespace gradd {
namespace {

// A part of a push that is corrected by one thread, and what comes out of it.
struct Piece {
  const StagedChunk* chunk = nullptr;
  int64_t begin = 0;     // Relative to the chunk. Unless that has rows: then it is all of it.
  int64_t elements = 0;  // Values of rows that are there.
  BlockRef corrected;    // With the numbers of the rows ahead of them.
  float largest = 0;

  // That `corrected` has.
  int64_t words() const {
    return elements + (chunk->has_rows() ? static_cast<int64_t>(chunk->rows().rows.size()) : 0);
  }
};

// `size` elements of the flat vector from `at` on.
void Correct(const UnalignedFloat* gradient, int64_t at, int64_t size, float strength,
             const Snapshot& base, const Snapshot& now, float* out) {
  for (int64_t done = 0; done < size;) {
    const auto block = static_cast<size_t>((at + done) / now.block_elements);
    const int64_t in_block = (at + done) % now.block_elements;
    const int64_t count = std::min(size - done, now.parameters[block].elements() - in_block);
    const float* const before = base.parameters[block].data() + in_block;
    const float* const after = now.parameters[block].data() + in_block;
    for (int64_t i = 0; i < count; ++i) {
      const float g = gradient[done + i];
      out[done + i] = g + (g * (strength * (after[i] - before[i]))) * g;
    }
    done += count;
  }
}

void CorrectDense(float strength, const Snapshot& base, const Snapshot& now, Piece* piece) {
  StagedChunk::Reader reader(*piece->chunk, piece->begin);
  alignas(64) std::array<float, kTileElements> scratch;
  for (int64_t done = 0; done < piece->elements; done += kTileElements) {
    const int64_t size = std::min(kTileElements, piece->elements - done);
    const UnalignedFloat* gradient = reader.NextInPlace(size);
    if (gradient == nullptr) {
      reader.Next(size, scratch.data());
      gradient = reinterpret_cast<const UnalignedFloat*>(scratch.data());
    }
    float* const out = piece->corrected.data() + done;
    Correct(gradient, piece->chunk->begin() + piece->begin + done, size, strength, base, now, out);
    piece->largest = LargerMagnitude(piece->largest, LargestMagnitude(out, size));
  }
}

void CorrectRows(float strength, const Snapshot& base, const Snapshot& now, Piece* piece) {
  const RowsView rows = piece->chunk->rows();
  std::memcpy(piece->corrected.data(), rows.rows.data(), rows.rows.size() * sizeof(uint32_t));
  float* const values = piece->corrected.data() + rows.rows.size();
  for (size_t row = 0; row < rows.rows.size(); ++row) {
    float* const out = values + static_cast<int64_t>(row) * rows.row_elements;
    Correct(reinterpret_cast<const UnalignedFloat*>(rows.values_of(row)),
            piece->chunk->begin() + rows.begin(row), rows.row_elements, strength, base, now, out);
  }
  piece->largest = LargestMagnitude(values, piece->elements);
}

int64_t BlockBytes(const Piece& piece) {
  if (piece.elements == 0) return 0;
  return StagingElements(piece.words()) * int64_t{sizeof(float)};
}

// A corrected push, and what its blocks take of the budget.
struct ClaimedPush {
  ClaimedPush(std::shared_ptr<MemoryBudget::Claim> taken, const StagedPush& of)
      : claim(std::move(taken)), push(of.header(), of.layout()) {}

  const std::shared_ptr<MemoryBudget::Claim> claim;
  StagedPush push;  // Last, so that its memory goes before the claim does.
};

// A NaN, which no comparison finds, is as much too large as infinity.
float WithoutNan(float largest) {
  return std::isnan(largest) ? std::numeric_limits<float>::infinity() : largest;
}

std::vector<Piece> PiecesOf(const StagedPush& push) {
  std::vector<Piece> pieces;
  for (const auto& [offset, chunk] : push.chunks()) {
    Piece piece;
    piece.chunk = &chunk;
    if (chunk.has_rows()) {
      const RowsView rows = chunk.rows();
      piece.elements = static_cast<int64_t>(rows.rows.size()) * rows.row_elements;
      pieces.push_back(std::move(piece));
      continue;
    }
    for (; piece.begin < chunk.elements(); piece.begin += kBlockElements) {
      piece.elements = std::min(kBlockElements, chunk.elements() - piece.begin);
      pieces.push_back(piece);
    }
  }
  return pieces;
}

}  // namespace

std::shared_ptr<const StagedPush> CompensateDelay(const StagedPush& push, float strength,
                                                  const Snapshot& base, const Snapshot& now,
                                                  BlockPool* blocks, MemoryBudget* budget,
                                                  Executor* executor) {
  try {
    std::vector<Piece> pieces = PiecesOf(push);
    int64_t bytes = 0;
    for (const Piece& piece : pieces) bytes += BlockBytes(piece);
    auto kept = std::make_shared<ClaimedPush>(budget->Take(MemoryUse::kVersions, bytes), push);
    if (kept->claim == nullptr) return nullptr;
    // Here and not on the threads, which must not throw.
    for (Piece& piece : pieces) {
      if (piece.elements == 0) continue;
      piece.corrected = blocks->Allocate(StagingElements(piece.words()));
    }
    executor->ParallelFor(static_cast<int64_t>(pieces.size()), [&](int64_t index) {
      Piece& piece = pieces[static_cast<size_t>(index)];
      if (piece.elements == 0) return;
      if (piece.chunk->has_rows()) {
        CorrectRows(strength, base, now, &piece);
      } else {
        CorrectDense(strength, base, now, &piece);
      }
    });
    StagedPush* const corrected = &kept->push;
    for (Piece& piece : pieces) {
      if (piece.elements == 0) {  // It has rows, and none of them.
        corrected->AddComputed(*piece.chunk);
        continue;
      }
      const size_t data_bytes = static_cast<size_t>(piece.words()) * sizeof(float);
      corrected->AddComputed(piece.chunk->WithValues(
          piece.begin, piece.elements, BytesOf(std::move(piece.corrected), data_bytes),
          WithoutNan(piece.largest)));
    }
    return {kept, corrected};
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

}  // namespace gradd
