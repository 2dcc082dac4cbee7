#ifndef GRADD_WORKER_DATA_BATCH_SAMPLER_H_
#define GRADD_WORKER_DATA_BATCH_SAMPLER_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace gradd {

// Which examples the mini-batch of a sequence has: a pure function of these options
// and the sequence, so that a worker that is started again goes on where it was.
//
// Mini-batches: each epoch shuffles all examples by (seed, epoch). Step k of an epoch
// takes the next workers x batch of them, and rank r the r-th part of those. Together the
// workers see what a single one with the batch workers x batch would see. What is
// left over at the end of an epoch, less than workers x batch examples, is not used in
// that epoch.
//
// Full batch: rank r has the r-th contiguous part of all examples in their own order, at
// every sequence; parts differ by at most one example.
//
// Not thread safe.
class BatchSampler {
 public:
  struct Options {
    int64_t examples = 0;  // 1 to 2^32 - 1.
    int64_t workers = 1;   // Of the run.
    int64_t rank = 0;      // In [0, workers).
    int64_t batch = 0;     // Examples per worker and step; 0: the full batch.
    uint64_t seed = 0;     // The same for all workers of a run.
  };

  // INVALID_ARGUMENT says what does not fit, such as a batch beyond a worker's share.
  static absl::StatusOr<BatchSampler> Create(const Options& options);

  // The examples of `sequence`, counted from 1. Valid until the next call. Costs one
  // shuffle when the epoch is another than at the last call.
  absl::Span<const uint32_t> Batch(int64_t sequence);

  // Examples in each batch of this rank.
  int64_t batch_examples() const { return static_cast<int64_t>(batch_); }
  // Steps after which the examples are shuffled anew.
  int64_t steps_per_epoch() const { return steps_per_epoch_; }

 private:
  explicit BatchSampler(const Options& options);
  void Shuffle(int64_t epoch);

  Options options_;
  size_t batch_;
  int64_t steps_per_epoch_;
  int64_t epoch_ = -1;             // That of indices_; -1: none yet.
  std::vector<uint32_t> indices_;  // Permutation of the epoch, or the full batch.
};

}  // namespace gradd

#endif  // GRADD_WORKER_DATA_BATCH_SAMPLER_H_
