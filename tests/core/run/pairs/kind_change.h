#ifndef GRADD_TESTS_CORE_RUN_PAIRS_KIND_CHANGE_H_
#define GRADD_TESTS_CORE_RUN_PAIRS_KIND_CHANGE_H_

#include <vector>

#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// Whether an optimizer goes on with what another one has kept, and its count of steps: where that
// has all that it needs (Run.optimizer in run.proto). For the changes that the cases make: to
// another row of the same kind, to a kind with Adam's moments from others, to one that shares
// nothing with the one before.
bool GoesOn(const v1::Optimizer& before, const v1::Optimizer& next);

// What the reference of `before` keeps for a tensor, as that of `next` keeps it; they GoesOn().
std::vector<std::vector<double>> StateFor(v1::Optimizer::KindCase before,
                                          v1::Optimizer::KindCase next,
                                          const std::vector<std::vector<double>>& state);

}  // namespace gradd

#endif  // GRADD_TESTS_CORE_RUN_PAIRS_KIND_CHANGE_H_
