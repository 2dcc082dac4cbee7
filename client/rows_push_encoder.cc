#include "client/rows_push_encoder.h"

#include <algorithm>
#include <utility>

#include "core/codec/rows.h"

namespace gradd {

absl::Status RowsPushEncoder::Begin(int64_t /*sequence*/, absl::Span<const float> gradient,
                                    std::shared_ptr<const void> owner) {
  gradient_ = gradient;
  owner_ = std::move(owner);
  rows_.clear();
  tensors_.clear();
  for (int64_t begin = 0; begin < layout_.element_count();) {
    Tensor tensor = {layout_.TensorAt(begin), false, rows_.size(), 0};
    const int64_t width = tensor.place.row_elements;
    tensor.whole = (tensor.place.end - begin) / width > kMaxRows;
    for (int64_t at = tensor.whole ? tensor.place.end : begin; at < tensor.place.end; at += width) {
      const float* const row = gradient.data() + at;
      if (std::any_of(row, row + width, [](float value) { return value != 0; })) {
        rows_.push_back(static_cast<uint32_t>((at - begin) / width));
      }
    }
    tensor.end_row = rows_.size();
    begin = tensor.place.end;
    tensors_.push_back(tensor);
  }
  return absl::OkStatus();
}

void RowsPushEncoder::Rewind(int64_t max_chunk_bytes) {
  const int64_t most = std::min(max_chunk_bytes, kUsefulChunkBytes);
  next_ = 0;
  chunks_.clear();
  for (const Tensor& tensor : tensors_) CutTensor(tensor, most);
  for (const Chunk& chunk : chunks_) {
    while (usual_bytes_ < BytesOf(chunk)) usual_bytes_ *= 2;
  }
  buffers_.set_usual_bytes(usual_bytes_);
}

int64_t RowsPushEncoder::BytesOf(const Chunk& chunk) {
  return static_cast<int64_t>(chunk.rows) * RowBytes(chunk.row_elements);
}

void RowsPushEncoder::CutTensor(const Tensor& tensor, int64_t max_chunk_bytes) {
  const int64_t width = tensor.place.row_elements;
  const auto most = static_cast<size_t>(max_chunk_bytes / RowBytes(width));
  if (tensor.whole || most == 0) {
    AddWhole(tensor.place.begin, tensor.place.end, max_chunk_bytes);
    return;
  }
  int64_t begin = tensor.place.begin;
  for (size_t row = tensor.first_row; begin < tensor.place.end;) {
    const size_t count = std::min(most, tensor.end_row - row);
    // Up to the next row that is sent, so that chunks cover those between them.
    const int64_t end = row + count == tensor.end_row
                            ? tensor.place.end
                            : tensor.place.begin + rows_[row + count] * width;
    const int64_t bytes = static_cast<int64_t>(count) * RowBytes(width);
    const bool all = static_cast<int64_t>(count) * width == end - begin;
    if (all || bytes > MaxRowsChunkBytes(end - begin)) {
      AddWhole(begin, end, max_chunk_bytes);
    } else {
      chunks_.push_back({begin, end, true, row, count, width});
    }
    row += count;
    begin = end;
  }
}

void RowsPushEncoder::AddWhole(int64_t begin, int64_t end, int64_t max_chunk_bytes) {
  const int64_t most = max_chunk_bytes / kFloatBytes;
  if (!chunks_.empty() && !chunks_.back().by_rows) {
    Chunk& last = chunks_.back();
    last.end = std::min(end, last.begin + most);
    begin = last.end;
  }
  for (; begin < end; begin += most) {
    chunks_.push_back({begin, std::min(begin + most, end), false, 0, 0, 0});
  }
}

Payload RowsPushEncoder::Next(v1::ParameterChunk* chunk) {
  const Chunk& next = chunks_[next_++];
  chunk->set_offset(next.begin);
  if (!next.by_rows) {
    const Payload::Slice slice(reinterpret_cast<const std::byte*>(gradient_.data() + next.begin),
                               static_cast<size_t>((next.end - next.begin) * kFloatBytes));
    return Payload({slice}, owner_);
  }
  chunk->set_encoding(v1::ENCODING_ROWS);
  chunk->set_element_count(next.end - next.begin);
  const auto rows = absl::MakeConstSpan(rows_).subspan(next.first_row, next.rows);
  const int64_t bytes = BytesOf(next);
  if (bytes == 0) return Payload();
  return buffers_.Fill(bytes, [&](std::byte* out) {
    const int64_t tensor = layout_.TensorAt(next.begin).begin;
    const auto first = static_cast<uint32_t>((next.begin - tensor) / next.row_elements);
    EncodeRows(rows, gradient_.data() + tensor, next.row_elements, first, out);
  });
}

void RowsPushEncoder::Finish(bool /*applied*/) { owner_.reset(); }

}  // namespace gradd
