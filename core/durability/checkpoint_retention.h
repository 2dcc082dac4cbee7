#ifndef GRADD_CORE_DURABILITY_CHECKPOINT_RETENTION_H_
#define GRADD_CORE_DURABILITY_CHECKPOINT_RETENTION_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "core/durability/run_folder.h"
#include "gradd/v1/run.pb.h"

namespace gradd {

// A checkpoint that is there, as far as it matters to whether it stays.
struct KeptCheckpoint {
  RunFolder::Checkpoint name;
  int64_t events = 0;                     // That are in it.
  std::optional<double> evaluation_loss;  // Of the newest evaluation in it.
  absl::Time time = absl::UnixEpoch();    // When it was captured.
  int64_t bytes = 0;                      // Of the file.
};

// What is not to be kept of `checkpoints`, which are in the order in which they were made: see
// v1::Checkpoints. The last one always is.
std::vector<KeptCheckpoint> CheckpointsToRemove(const std::vector<KeptCheckpoint>& checkpoints,
                                                const v1::Checkpoints& spec);

}  // namespace gradd

#endif  // GRADD_CORE_DURABILITY_CHECKPOINT_RETENTION_H_
