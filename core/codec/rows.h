#ifndef GRADD_CORE_CODEC_ROWS_H_
#define GRADD_CORE_CODEC_ROWS_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"

namespace gradd {

// ENCODING_ROWS: n ascending row numbers (uint32), relative to the chunk's first row, then n rows
// of values (binary32). Of the other rows there is no gradient.
inline constexpr int64_t kRowNumberBytes = 4;
inline constexpr int64_t kMaxRows = int64_t{1} << 32;

// Of one row in a chunk.
constexpr int64_t RowBytes(int64_t row_elements) {
  return kRowNumberBytes + row_elements * int64_t{sizeof(float)};
}

// Most bytes of a chunk of rows, whose numbers may take as much as their values: half as much again
// as the elements that it covers take as float32, or few.
inline constexpr int64_t kFewRowsBytes = 4096;
constexpr int64_t MaxRowsChunkBytes(int64_t elements) {
  return elements * 6 > kFewRowsBytes ? elements * 6 : kFewRowsBytes;
}

// A chunk of rows in memory.
struct RowsView {
  absl::Span<const uint32_t> rows;
  const float* values;  // Row after row.
  int64_t row_elements;

  // Views `bytes`, a whole number of rows at an address that is a multiple of 4.
  static RowsView Of(absl::Span<const std::byte> bytes, int64_t row_elements);

  // Index of the first row that has an element at or after `at`; elements count from the chunk's
  // first one.
  size_t RowAt(int64_t at) const;
  // Where the row with that index begins and ends.
  int64_t begin(size_t index) const { return int64_t{rows[index]} * row_elements; }
  int64_t end(size_t index) const { return begin(index) + row_elements; }
  // Its values.
  const float* values_of(size_t index) const {
    return values + static_cast<int64_t>(index) * row_elements;
  }
};

// Writes `rows` - `first` and these rows of `tensor` to `out`, of any alignment.
void EncodeRows(absl::Span<const uint32_t> rows, const float* tensor, int64_t row_elements,
                uint32_t first, std::byte* out);

// Writes the chunk's `size` elements from `begin` on to `out`, zeros where it has no row. `index`
// is RowAt(begin); returns RowAt(begin + size).
size_t DecodeRows(const RowsView& view, size_t index, int64_t begin, int64_t size, float* out);

}  // namespace gradd

#endif  // GRADD_CORE_CODEC_ROWS_H_
