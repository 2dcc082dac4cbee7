#ifndef GRADD_CORE_DATA_BATCH_RANGES_H_
#define GRADD_CORE_DATA_BATCH_RANGES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/btree_map.h"
#include "google/protobuf/repeated_field.h"
#include "gradd/v1/data.pb.h"

namespace gradd {

// Some numbers from `begin` up to `end`, which is not among them.
struct BatchSpan {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t size() const { return end - begin; }
};

// The span of a range whose end is below 2^63.
inline BatchSpan SpanOf(const v1::BatchRange& range) {
  return {range.first(), range.first() + range.count()};
}

// A set of numbers of batches that takes memory for its ranges alone. Not thread safe.
class BatchRanges {
 public:
  using Proto = google::protobuf::RepeatedPtrField<v1::BatchRange>;

  bool empty() const { return spans_.empty(); }
  // Numbers in it, and ranges without a gap that they make.
  int64_t size() const { return size_; }
  size_t spans() const { return spans_.size(); }
  // Not of an empty one.
  int64_t lowest() const { return spans_.begin()->first; }

  void Add(BatchSpan span);
  void Remove(BatchSpan span);
  bool Has(int64_t number) const { return !Within({number, number + 1}).empty(); }
  // The ranges that are in both, in the order of their numbers.
  std::vector<BatchSpan> Within(BatchSpan span) const;
  std::vector<BatchSpan> All() const;
  // The lowest number of `span` that is not in it; the span's end if all are.
  int64_t FirstMissing(BatchSpan span) const;

  void Write(Proto* ranges) const;

 private:
  absl::btree_map<int64_t, int64_t> spans_;  // Begin to end; no two touch each other.
  int64_t size_ = 0;
};

}  // namespace gradd

#endif  // GRADD_CORE_DATA_BATCH_RANGES_H_
