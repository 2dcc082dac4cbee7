#ifndef GRADD_CORE_SYNC_STAGED_PUSH_H_
#define GRADD_CORE_SYNC_STAGED_PUSH_H_

#include <cstdint>

#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "core/base/unaligned_float.h"
#include "core/store/payload.h"
#include "core/sync/staged_chunk.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// Most chunks in one push of `elements` elements. Small chunks cost memory beside their
// data; this bounds it.
int64_t MaxChunks(int64_t elements);

// One push on its way in: the chunks as they came off the wire, each in its own encoding, checked
// one by one. Nothing else changes until the push is complete and part of a step.
//
// Thread safety: exclusive while chunks are added, then const from any thread.
class StagedPush {
 public:
  // `header` must be valid; `elements` is the length of the run's flat vector.
  StagedPush(const v1::PushHeader& header, int64_t elements)
      : header_(header), elements_(elements) {}

  const v1::PushHeader& header() const { return header_; }
  int64_t elements() const { return elements_; }

  // Adds one chunk after checking its encoding, size and range, that it overlaps no other,
  // and its values (see StagedChunk). INVALID_ARGUMENT says what is wrong; the push is then
  // good for nothing.
  absl::Status Add(const v1::ParameterChunk& chunk, Payload data);

  // Adds float32 elements that nobody can change any more and that are known to be `finite`, or
  // not, instead of reading them once again. Otherwise as Add().
  absl::Status AddChecked(int64_t offset, Payload data, bool finite);

  // OK if the chunks cover the whole vector; else INVALID_ARGUMENT naming the first gap.
  absl::Status CheckComplete() const;

  int64_t staged_elements() const { return staged_elements_; }

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

 private:
  // INVALID_ARGUMENT if the chunk cannot take its place.
  absl::Status CheckPlace(const StagedChunk& chunk) const;
  void Keep(StagedChunk chunk);

  const v1::PushHeader header_;
  const int64_t elements_;
  absl::btree_map<int64_t, StagedChunk> chunks_;  // By offset.
  int64_t staged_elements_ = 0;
};

}  // namespace gradd

#endif  // GRADD_CORE_SYNC_STAGED_PUSH_H_
