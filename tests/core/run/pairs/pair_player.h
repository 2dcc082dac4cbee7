#ifndef GRADD_TESTS_CORE_RUN_PAIRS_PAIR_PLAYER_H_
#define GRADD_TESTS_CORE_RUN_PAIRS_PAIR_PLAYER_H_

#include <string>

#include "tests/core/run/pairs/pair_case.h"

namespace gradd {

// Plays a case: some rounds of pushes of two workers, with the restart and the change in the
// middle. After everything that happens the run is compared with the reference (ComparedRun).
// Returns what differs first; empty if nothing does.
std::string Play(const PairCase& pair);

}  // namespace gradd

#endif  // GRADD_TESTS_CORE_RUN_PAIRS_PAIR_PLAYER_H_
