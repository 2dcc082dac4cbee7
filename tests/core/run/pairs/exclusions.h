#ifndef GRADD_TESTS_CORE_RUN_PAIRS_EXCLUSIONS_H_
#define GRADD_TESTS_CORE_RUN_PAIRS_EXCLUSIONS_H_

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "tests/core/run/pairs/pair_case.h"

namespace gradd {

// Rows of the table of optimizers that are not tried with some stages or changes.
struct Exclusion {
  enum class Why {
    kRefused,       // The product refuses it, with `says` in its message.
    kRowHasDecay,   // The row itself sets the weight decay that the stage would set.
    kOwnRow,        // The kind means something of its own by it, and the table has a row of that.
    kNothingToSay,  // `says` why the reference cannot tell what is right.
  };
  Why why;
  std::string says;
  std::function<bool(const OptimizerCase& row)> rows;
  std::set<Stage> stages = {};
  std::set<LiveChange> changes = {};
};
const std::vector<Exclusion>& Exclusions();

// The first one that forbids the row with this stage, or change; null: none.
const Exclusion* ExclusionOf(const OptimizerCase& row, Stage stage);
const Exclusion* ExclusionOf(const OptimizerCase& row, LiveChange change);

}  // namespace gradd

#endif  // GRADD_TESTS_CORE_RUN_PAIRS_EXCLUSIONS_H_
