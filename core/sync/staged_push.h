#ifndef GRADD_CORE_SYNC_STAGED_PUSH_H_
#define GRADD_CORE_SYNC_STAGED_PUSH_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "core/base/unaligned_float.h"
#include "core/store/layout.h"
#include "core/store/payload.h"
#include "core/sync/staged_chunk.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// Most chunks in one push. Small chunks cost memory beside their data; this bounds it.
int64_t MaxChunks(const Layout& layout);

// One push on its way in: the chunks as they came off the wire, each in its own encoding, checked
// one by one. Nothing else changes until the push is complete and part of a step.
//
// Thread safety: exclusive while chunks are added, then const from any thread.
class StagedPush {
 public:
  // `header` must be valid; `layout` is the run's, and outlives the push.
  StagedPush(const v1::PushHeader& header, const Layout& layout)
      : header_(header), layout_(layout) {}

  const v1::PushHeader& header() const { return header_; }
  const Layout& layout() const { return layout_; }
  int64_t elements() const { return layout_.element_count(); }

  // Adds one chunk after checking its encoding, size and range, that it overlaps no other,
  // and its values (see StagedChunk). INVALID_ARGUMENT says what is wrong; the push is then
  // good for nothing.
  absl::Status Add(const v1::ParameterChunk& chunk, Payload data);

  // Adds float32 elements that nobody can change any more and whose LargestMagnitude() is known,
  // instead of reading them once again. Otherwise as Add().
  absl::Status AddChecked(int64_t offset, Payload data, float largest);

  // Adds a chunk of another push with values that were computed from its own, in the place that it
  // had there. They need not be finite; then its largest() is infinite.
  void AddComputed(StagedChunk chunk) { Keep(std::move(chunk)); }
  // By offset.
  const absl::btree_map<int64_t, StagedChunk>& chunks() const { return chunks_; }

  // OK if the chunks cover the whole vector; else INVALID_ARGUMENT naming the first gap.
  absl::Status CheckComplete() const;

  // Takes over what `committed` says of examples, loss and blob.
  void SetTotals(const v1::PushHeader& committed) {
    header_.set_examples(committed.examples());
    header_.set_loss(committed.loss());
    header_.set_blob(committed.blob());
  }

  int64_t staged_elements() const { return staged_elements_; }

  // No element that is there has a larger magnitude.
  float largest() const { return largest_; }
  // See StagedChunk.
  int64_t saturated() const { return saturated_; }

  // Whether some tensors, for which `lazy` is true, have only some of their rows. It is asked
  // with an element of each tensor of which there are rows.
  using Lazy = std::function<bool(int64_t element)>;
  bool HasLazyRows(const Lazy& lazy) const;

  // Reads a complete push from some element on, in order.
  class Reader {
   public:
    Reader(const StagedPush& push, int64_t begin);

    // The next `size` elements: in place where they lie in one piece as float32, else
    // decoded into `scratch`, which has room for them. Valid until the next call.
    const UnalignedFloat* Next(int64_t size, float* scratch);

   private:
    absl::btree_map<int64_t, StagedChunk>::const_iterator chunk_;
    StagedChunk::Reader reader_;  // Of chunk_.
  };

  // Reads a complete push in order, and skips the rows that it has not of lazy tensors.
  class SpanReader {
   public:
    static constexpr int64_t kNone = std::numeric_limits<int64_t>::max();

    // From element `begin` on.
    SpanReader(const StagedPush& push, const Lazy& lazy, int64_t begin);

    // The present span of elements without a gap; both are kNone after the last one.
    int64_t begin() const { return begin_; }
    int64_t end() const { return end_; }
    // Goes to the next span, or to the rest of the present one, from `at` >= begin() on.
    void Seek(int64_t at);
    // Elements of the present span from `from` on. Valid until the next call.
    const UnalignedFloat* Read(int64_t from, int64_t size, float* scratch);

   private:
    using Chunk = absl::btree_map<int64_t, StagedChunk>::const_iterator;
    void Enter(Chunk chunk);
    void SeekRow(int64_t at);

    const StagedPush& push_;
    const Lazy& lazy_;
    Chunk chunk_;
    bool by_rows_ = false;  // Of chunk_, there are some rows only.
    int64_t begin_ = kNone;
    int64_t end_ = kNone;
    size_t row_ = 0;              // by_rows_: with which the span begins.
    StagedChunk::Reader reader_;  // Of chunk_, otherwise.
    int64_t reader_at_ = kNone;
  };

 private:
  // INVALID_ARGUMENT if the chunk cannot take its place.
  absl::Status CheckPlace(const StagedChunk& chunk) const;
  void Keep(StagedChunk chunk);

  v1::PushHeader header_;
  const Layout& layout_;
  absl::btree_map<int64_t, StagedChunk> chunks_;  // By offset.
  int64_t staged_elements_ = 0;
  bool has_rows_ = false;
  float largest_ = 0;
  int64_t saturated_ = 0;
};

}  // namespace gradd

#endif  // GRADD_CORE_SYNC_STAGED_PUSH_H_
