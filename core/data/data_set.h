#ifndef GRADD_CORE_DATA_DATA_SET_H_
#define GRADD_CORE_DATA_DATA_SET_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "gradd/v1/data.pb.h"

namespace gradd {

// OK, or INVALID_ARGUMENT naming field, value and range.
absl::Status ValidateDataSet(const v1::DataSet& spec);

// How the batches of a data set are numbered: from 0 on, through all epochs. A plain value.
class DataSet {
 public:
  // `spec` is valid.
  explicit DataSet(const v1::DataSet& spec);

  int64_t examples() const { return examples_; }
  int64_t epochs() const { return epochs_; }
  int64_t batches_per_epoch() const { return batches_per_epoch_; }
  int64_t batches() const { return epochs_ * batches_per_epoch_; }
  int64_t most_skips() const { return most_skips_; }

  int64_t EpochOf(int64_t batch) const { return batch / batches_per_epoch_; }
  // In so many batches from `first` on; the sum is below 2^63 for up to 2^22 batches, and for any
  // of one epoch.
  int64_t ExamplesIn(int64_t first, int64_t count) const;
  // Which examples a batch has, in its order.
  std::vector<int64_t> ExamplesOf(int64_t batch) const;

 private:
  int64_t examples_;
  int64_t batch_size_;
  uint64_t seed_;
  int64_t epochs_;
  int64_t most_skips_;
  int64_t batches_per_epoch_;
};

}  // namespace gradd

#endif  // GRADD_CORE_DATA_DATA_SET_H_
