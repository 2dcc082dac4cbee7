#include "core/codec/sparse.h"

#include <algorithm>

#include "core/codec/float_bits.h"

namespace gradd {

SparseView SparseView::Of(absl::Span<const std::byte> bytes) {
  const size_t pairs = bytes.size() / kSparsePairBytes;
  const auto* const indices = reinterpret_cast<const uint32_t*>(bytes.data());
  return {{indices, pairs}, {reinterpret_cast<const float*>(indices + pairs), pairs}};
}

void EncodeSparse(absl::Span<const uint32_t> indices, absl::Span<const float> values,
                  uint32_t first, std::byte* out) {
  for (const uint32_t index : indices) {
    Store(index - first, out);
    out += sizeof(index);
  }
  std::memcpy(out, values.data(), values.size() * sizeof(float));
}

size_t DecodeSparse(const SparseView& view, size_t pair, int64_t begin, int64_t size, float* out) {
  std::fill_n(out, size, 0.0F);
  for (; pair < view.indices.size(); ++pair) {
    const int64_t at = int64_t{view.indices[pair]} - begin;
    if (at >= size) break;
    out[at] = view.values[pair];
  }
  return pair;
}

}  // namespace gradd
