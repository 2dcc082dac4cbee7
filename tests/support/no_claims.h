#ifndef GRADD_TESTS_SUPPORT_NO_CLAIMS_H_
#define GRADD_TESTS_SUPPORT_NO_CLAIMS_H_

#include <thread>

#include "core/run/run_registry.h"

namespace gradd {

// Waits until no push has any memory. What was answered is let go of without the run's lock, soon
// after the answer.
inline void AwaitNoClaims(const RunRegistry& registry) {
  while (registry.claimed_bytes() != 0) std::this_thread::yield();
}

}  // namespace gradd

#endif  // GRADD_TESTS_SUPPORT_NO_CLAIMS_H_
