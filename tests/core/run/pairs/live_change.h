#ifndef GRADD_TESTS_CORE_RUN_PAIRS_LIVE_CHANGE_H_
#define GRADD_TESTS_CORE_RUN_PAIRS_LIVE_CHANGE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tests/core/run/pairs/pair_case.h"

namespace gradd {

// As what a case is trained at first.
Training FirstTraining(const PairCase& pair);

// As what it is trained after a change, and the fields of the run that change. No fields: the
// change is none of the training.
struct ChangedTraining {
  Training training;
  std::vector<std::string> paths;
};
// `step`: at which the change comes into effect.
ChangedTraining ChangeOf(const Training& training, LiveChange change, int64_t step);

// What kPlateau multiplies the rate with.
inline constexpr double kPlateauFactor = 0.5;

}  // namespace gradd

#endif  // GRADD_TESTS_CORE_RUN_PAIRS_LIVE_CHANGE_H_
