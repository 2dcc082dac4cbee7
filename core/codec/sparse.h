#ifndef GRADD_CORE_CODEC_SPARSE_H_
#define GRADD_CORE_CODEC_SPARSE_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"

namespace gradd {

// ENCODING_SPARSE: n ascending indices (uint32), relative to the chunk's first element, then n
// values (binary32). All other elements are 0.
inline constexpr int64_t kSparsePairBytes = 8;
inline constexpr int64_t kMaxSparseElements = int64_t{1} << 32;

// A sparse chunk in memory.
struct SparseView {
  absl::Span<const uint32_t> indices;
  absl::Span<const float> values;  // As many.

  // Views `bytes`, a whole number of pairs at an address that is a multiple of 4.
  static SparseView Of(absl::Span<const std::byte> bytes);
};

// Writes `indices` - `first` and `values`, as many, to `out`, of any alignment.
void EncodeSparse(absl::Span<const uint32_t> indices, absl::Span<const float> values,
                  uint32_t first, std::byte* out);

// Writes the chunk's `size` elements from `begin` on to `out`. `pair` is the first pair whose index
// is at least `begin`; returns the first one whose index is at least `begin` + `size`.
size_t DecodeSparse(const SparseView& view, size_t pair, int64_t begin, int64_t size, float* out);

}  // namespace gradd

#endif  // GRADD_CORE_CODEC_SPARSE_H_
