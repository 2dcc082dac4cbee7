#ifndef GRADD_CORE_SYNC_STAGED_CHUNK_H_
#define GRADD_CORE_SYNC_STAGED_CHUNK_H_

#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/unaligned_float.h"
#include "core/codec/rows.h"
#include "core/codec/sparse.h"
#include "core/store/layout.h"
#include "core/store/payload.h"
#include "core/store/payload_reader.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// Most bytes of data in one chunk of a push.
inline constexpr int64_t kMaxChunkBytes = int64_t{1} << 20;

// One chunk of a push, kept in the encoding in which it came, in no more memory than its elements
// take as float32; chunks of rows as core/codec/rows.h says.
class StagedChunk {
 public:
  // Checks all but the values: a known encoding, a length that fits it, and a place in `layout`.
  // INVALID_ARGUMENT says what was found and what was expected.
  static absl::StatusOr<StagedChunk> Create(const v1::ParameterChunk& chunk, Payload data,
                                            const Layout& layout);

  // Checks the values as they are, without decoding them: scales finite and not negative, indices
  // and row numbers ascending and inside the chunk, all elements finite. Only then may the chunk be
  // read.
  absl::Status CheckValues();
  // Instead, where the largest magnitude of the values is known, and finite.
  void KnowValues(float largest) { largest_ = largest; }
  // After either: no value has a larger magnitude. (Those of INT8 may have a smaller one.)
  float largest() const { return largest_; }
  // How many FLOAT16 values are the largest ones of that encoding, which stand for all that are
  // larger.
  int64_t saturated() const { return saturated_; }

  v1::Encoding encoding() const { return encoding_; }
  // As it came, or as WithValues() has it.
  const Payload& data() const { return data_; }
  int64_t begin() const { return begin_; }
  int64_t elements() const { return elements_; }
  int64_t end() const { return begin_ + elements_; }

  // The same with other values, which `data` has as float32, the largest of that magnitude: of
  // `elements` from `begin` on, relative to its beginning; or, where it has rows, of all of them,
  // behind their numbers as they are here.
  StagedChunk WithValues(int64_t begin, int64_t elements, Payload data, float largest) const;

  // Whether it has some rows only, as rows() says.
  bool has_rows() const { return encoding_ == v1::ENCODING_ROWS; }
  RowsView rows() const { return RowsView::Of(data_.slices()[0], row_elements_); }

  // Reads elements in order.
  class Reader {
   public:
    // From the chunk's element `at` on, relative to its beginning. `chunk` must outlive the reader.
    Reader(const StagedChunk& chunk, int64_t at);

    int64_t left() const { return chunk_->elements_ - at_; }

    // The next `size` elements where they lie, if they lie there as float32 in one piece;
    // else null, and the reader stays where it is. `size` is at most left().
    const UnalignedFloat* NextInPlace(int64_t size);
    // Decodes the next `size` elements, at most left().
    void Next(int64_t size, float* out);

   private:
    void NextDense(int64_t size, float* out);
    void NextInt8(int64_t size, float* out);

    const StagedChunk* chunk_;
    int64_t at_;
    PayloadReader bytes_;
    float scale_ = 0;  // INT8: of the group that is being read.
    size_t next_ = 0;  // SPARSE: the next pair; ROWS: the next row.
  };

 private:
  StagedChunk(v1::Encoding encoding, int64_t begin, int64_t elements, int64_t row_elements,
              Payload data)
      : encoding_(encoding),
        begin_(begin),
        elements_(elements),
        row_elements_(row_elements),
        data_(std::move(data)) {}

  absl::Status CheckDense();
  absl::Status CheckInt8();
  absl::Status CheckSparse();
  absl::Status CheckRows();
  // Of elements `begin` to `end`, of which one is not finite.
  absl::Status NonFinite(int64_t begin, int64_t end) const;
  // Where in the data element `at` lies; not for SPARSE and ROWS. At the beginning of an INT8
  // group, its scale.
  size_t FirstByte(int64_t at) const;
  SparseView sparse() const { return SparseView::Of(data_.slices()[0]); }

  v1::Encoding encoding_;
  int64_t begin_;
  int64_t elements_;
  int64_t row_elements_;  // ROWS only.
  Payload data_;          // SPARSE and ROWS: one aligned slice.
  float largest_ = 0;
  int64_t saturated_ = 0;
};

}  // namespace gradd

#endif  // GRADD_CORE_SYNC_STAGED_CHUNK_H_
