#ifndef GRADD_CLIENT_ROWS_PUSH_ENCODER_H_
#define GRADD_CLIENT_ROWS_PUSH_ENCODER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "client/chunk_buffers.h"
#include "client/push_encoder.h"

namespace gradd {

// ENCODING_ROWS: of each tensor the rows that have an element which is not 0. What the server would
// not take so goes as float32, zeros included: rows that do not fit a chunk, too many rows of one
// element (MaxRowsChunkBytes()), and tensors of too many rows.
class RowsPushEncoder final : public PushEncoder {
 public:
  explicit RowsPushEncoder(Layout layout) : layout_(std::move(layout)) {}

  absl::Status Begin(int64_t sequence, absl::Span<const float> gradient,
                     std::shared_ptr<const void> owner) override;
  void Rewind(int64_t max_chunk_bytes) override;
  bool done() const override { return next_ == chunks_.size(); }
  Payload Next(v1::ParameterChunk* chunk) override;
  void Finish(bool applied) override;

 private:
  // Some rows of a tensor, or all elements.
  struct Chunk {
    int64_t begin;
    int64_t end;
    bool by_rows;
    size_t first_row;  // Among rows_.
    size_t rows;
    int64_t row_elements;
  };
  // The rows of one tensor that are sent.
  struct Tensor {
    Layout::Place place;
    bool whole;  // Instead of rows, which cannot be counted.
    size_t first_row;
    size_t end_row;
  };
  // Of rows that are sent in it.
  static int64_t BytesOf(const Chunk& chunk);
  void CutTensor(const Tensor& tensor, int64_t max_chunk_bytes);
  void AddWhole(int64_t begin, int64_t end, int64_t max_chunk_bytes);

  const Layout layout_;
  absl::Span<const float> gradient_;
  std::shared_ptr<const void> owner_;
  std::vector<uint32_t> rows_;  // Of all tensors, counted in each.
  std::vector<Tensor> tensors_;
  std::vector<Chunk> chunks_;
  size_t next_ = 0;
  int64_t usual_bytes_ = 4096;
  ChunkBuffers buffers_;
};

}  // namespace gradd

#endif  // GRADD_CLIENT_ROWS_PUSH_ENCODER_H_
