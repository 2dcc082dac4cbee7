#ifndef GRADD_TESTS_CORE_RUN_EVERY_STAGE_H_
#define GRADD_TESTS_CORE_RUN_EVERY_STAGE_H_

#include <ostream>
#include <string>
#include <vector>

#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// An optimizer, or what goes around one, with a learning rate that suits it.
struct NamedOptimizer {
  std::string name;
  v1::Optimizer spec;
  double learning_rate = 0.1;
};
std::ostream& operator<<(std::ostream& out, const NamedOptimizer& named);

// All of OptimizerTable(), and every stage around an optimizer that takes it.
std::vector<NamedOptimizer> EveryOptimizerAndStage();

// Those of them that leave rows alone which a push has not, without and with bounds of norms.
std::vector<NamedOptimizer> EveryLazyOptimizer();

}  // namespace gradd

#endif  // GRADD_TESTS_CORE_RUN_EVERY_STAGE_H_
