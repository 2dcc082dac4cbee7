#ifndef GRADD_CORE_RUN_DURABILITY_SIGNS_H_
#define GRADD_CORE_RUN_DURABILITY_SIGNS_H_

#include <cstdint>
#include <optional>

#include "absl/time/time.h"

namespace gradd {

// How a run is written down, for metrics and people. A plain value; times are by Clock::Elapsed().
struct DurabilitySigns {
  // By this server; and attempts that failed.
  int64_t checkpoints = 0;
  int64_t failed_checkpoints = 0;
  // Of the newest one, which an earlier server may have made: then its time is not known.
  std::optional<int64_t> checkpoint_step;
  std::optional<absl::Duration> checkpoint_at;  // When it was captured.
  absl::Duration checkpoint_duration;           // From then until it was durable.
  int64_t checkpoint_bytes = 0;
  // What the one that is being written still has to write.
  int64_t checkpoint_bytes_left = 0;
  // Of the log: written since the newest checkpoint; and how often, and for how long in all, it
  // waited for the disk.
  int64_t log_bytes = 0;
  int64_t syncs = 0;
  absl::Duration sync_time;
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_DURABILITY_SIGNS_H_
