#ifndef GRADD_CORE_RUN_LIMITS_H_
#define GRADD_CORE_RUN_LIMITS_H_

#include <cstdint>

namespace gradd {

// What all runs together may take. See `gradd --help` for the flags of the same names.
struct Limits {
  int64_t max_runs = 100;
  int64_t max_parameters_per_run = 2'000'000'000;
  int64_t max_workers_per_run = 1024;
  int64_t max_staged_bytes = int64_t{4} << 30;
  // Parameters and slots of all runs. 0: no limit.
  int64_t max_state_bytes = 0;
  // Gradient regions of workers on this host. 0: none get shared memory.
  int64_t max_shared_bytes = int64_t{4} << 30;
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_LIMITS_H_
