#ifndef GRADD_CORE_RUN_GUARD_FACTS_H_
#define GRADD_CORE_RUN_GUARD_FACTS_H_

#include <cstdint>
#include <string>

namespace gradd {

// Why a run was stopped by its guard, which is to roll it back. A plain value.
struct GuardFacts {
  std::string reason;          // `loss is 31x its best since step 1,204`.
  int64_t bad_since_step = 0;  // The first step that is no good.
  uint64_t timeline = 0;       // That this is a step of.
  int64_t rollbacks = 0;       // So far.
  int64_t most_rollbacks = 0;
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_GUARD_FACTS_H_
