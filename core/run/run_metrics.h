#ifndef GRADD_CORE_RUN_RUN_METRICS_H_
#define GRADD_CORE_RUN_RUN_METRICS_H_

#include <cstdint>
#include <optional>

#include "core/diagnostics/progress_tracker.h"
#include "core/diagnostics/push_outcomes.h"
#include "core/run/durability_signs.h"

namespace gradd {

// What only the metrics show of a run.
struct RunMetrics {
  // Of counters, which never go back: all of a run's life on this server, what was undone when it
  // went back included.
  PushOutcomeCounts outcomes;
  int64_t steps = 0;
  int64_t examples = 0;
  SecondsHistogram apply_seconds;
  StepProfile profile;
  int64_t memory_bytes = 0;
  int64_t block_allocations = 0;  // Buffers of the store made so far.
  int64_t connected_workers = 0;
  std::optional<DurabilitySigns> durability;  // Unset: it lives in memory.
  int64_t guard_rollbacks = 0;                // Over its whole life.
  bool diverged = false;                      // Its losses say so; see DivergenceDetector.
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_RUN_METRICS_H_
