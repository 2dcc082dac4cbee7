#ifndef GRADD_CORE_RUN_LIMITS_H_
#define GRADD_CORE_RUN_LIMITS_H_

#include <algorithm>
#include <cstdint>

#include "core/base/memory_budget.h"

namespace gradd {

// What all runs together may take. See `gradd --help` for the flags of the same names.
struct Limits {
  int64_t max_runs = 100;
  int64_t max_parameters_per_run = 2'000'000'000;
  int64_t max_workers_per_run = 1024;
  // At a time, over all callers; see Callers. Runs for trials do not count as runs.
  int64_t max_watches = 1000;
  int64_t max_pulls = 1000;
  int64_t max_unjoined_streams = 4000;
  int64_t max_trial_runs = 256;
  int64_t max_imports = 16;
  // Of each of these five, what one caller may have.
  int64_t caller_percent = 25;
  // All that follows, older versions of parameters and optimizers' scratch together. 0: no limit.
  int64_t max_memory_bytes = 0;
  // Parameters and slots of all runs. 0: no limit of their own.
  int64_t max_state_bytes = 0;
  // Pushes that are coming in or wait. 0: half of the memory.
  int64_t max_staged_bytes = 0;
  // Gradient regions of workers on this host; a quarter of the memory at most. 0: none get shared
  // memory.
  int64_t max_shared_bytes = int64_t{4} << 30;
};

// The budget that these limits allow.
inline MemoryBudget::Limits BudgetLimits(const Limits& limits) {
  MemoryBudget::Limits budget;
  const auto or_else = [](int64_t bytes, int64_t none) { return bytes > 0 ? bytes : none; };
  budget.total = or_else(limits.max_memory_bytes, MemoryBudget::kUnlimited);
  budget.of(MemoryUse::kState) = or_else(limits.max_state_bytes, budget.total);
  budget.of(MemoryUse::kStaging) = or_else(limits.max_staged_bytes, budget.total / 2);
  budget.of(MemoryUse::kShared) = std::min(limits.max_shared_bytes, budget.total / 4);
  return budget;
}

}  // namespace gradd

#endif  // GRADD_CORE_RUN_LIMITS_H_
