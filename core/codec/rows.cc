#include "core/codec/rows.h"

#include <algorithm>
#include <cstring>

#include "core/codec/float_bits.h"

namespace gradd {

RowsView RowsView::Of(absl::Span<const std::byte> bytes, int64_t row_elements) {
  const size_t count = bytes.size() / static_cast<size_t>(RowBytes(row_elements));
  const auto* const rows = reinterpret_cast<const uint32_t*>(bytes.data());
  return {{rows, count}, reinterpret_cast<const float*>(rows + count), row_elements};
}

size_t RowsView::RowAt(int64_t at) const {
  const int64_t row = at / row_elements;
  return static_cast<size_t>(
      std::lower_bound(rows.begin(), rows.end(), row,
                       [](uint32_t a, int64_t b) { return int64_t{a} < b; }) -
      rows.begin());
}

void EncodeRows(absl::Span<const uint32_t> rows, const float* tensor, int64_t row_elements,
                uint32_t first, std::byte* out) {
  for (const uint32_t row : rows) {
    Store(row - first, out);
    out += sizeof(row);
  }
  const size_t bytes = static_cast<size_t>(row_elements) * sizeof(float);
  for (const uint32_t row : rows) {
    std::memcpy(out, tensor + row * row_elements, bytes);
    out += bytes;
  }
}

size_t DecodeRows(const RowsView& view, size_t index, int64_t begin, int64_t size, float* out) {
  std::fill_n(out, size, 0.0F);
  const int64_t end = begin + size;
  for (; index < view.rows.size() && view.begin(index) < end; ++index) {
    const int64_t from = std::max(view.begin(index), begin);
    const int64_t to = std::min(view.end(index), end);
    std::copy_n(view.values_of(index) + (from - view.begin(index)), to - from,
                out + (from - begin));
    if (view.end(index) > end) break;
  }
  return index;
}

}  // namespace gradd
