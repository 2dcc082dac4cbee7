#ifndef GRADD_TESTS_CORE_OPTIM_OPTIMIZER_TABLE_H_
#define GRADD_TESTS_CORE_OPTIM_OPTIMIZER_TABLE_H_

#include <cstdint>
#include <functional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

namespace gradd {

// One element of an optimizer in double, written from the papers' formulas and independently
// of core/optim: p and the state it keeps, updated with g at step t (1 for the first).
using ReferenceRule =
    std::function<void(int64_t t, double lr, double g, double* p, std::vector<double>* state)>;

// The same for all elements of a tensor at once, with `loss` at the point of the gradient. The
// state is empty at first.
using TensorReferenceRule =
    std::function<void(int64_t t, double lr, double loss, const std::vector<double>& g,
                       std::vector<double>* p, std::vector<std::vector<double>>* state)>;

// One of the two.
class Reference {
 public:
  Reference(ReferenceRule rule);                                   // NOLINT
  Reference(TensorReferenceRule rule) : rule_(std::move(rule)) {}  // NOLINT

  void Step(int64_t t, double lr, double loss, const std::vector<double>& g, std::vector<double>* p,
            std::vector<std::vector<double>>* state) const {
    rule_(t, lr, loss, g, p, state);
  }

 private:
  TensorReferenceRule rule_;
};

// One row drives every test of optimizers, and the benchmark.
struct OptimizerCase {
  std::string name;      // Also the key in tests/golden/optimizers.json, if torch has it.
  std::string spec;      // v1::Optimizer in text format.
  double learning_rate;  // For the golden trajectories.
  Reference reference;
  double parabola_rate;    // With which it converges on a parabola,
  double rosenbrock_rate;  // and on Rosenbrock's function.
  // The step jumps where a number changes its sign: a difference of one rounding becomes one of a
  // whole step, so that trajectories can be compared only for the same gradients.
  bool jumps = false;
  double error_bound = 1e-6;  // Relative, over a thousand steps, against the reference.
};

std::ostream& operator<<(std::ostream& out, const OptimizerCase& row);

const std::vector<OptimizerCase>& OptimizerTable();

// Its parts, by the families of core/optim/optimizer_families.h.
std::vector<OptimizerCase> FirstOrderTable();
std::vector<OptimizerCase> AdaptiveTable();

// A reference with weight decay in front of it.
ReferenceRule WithL2(double decay, const ReferenceRule& rule);
ReferenceRule WithDecoupledDecay(double decay, const ReferenceRule& rule);

}  // namespace gradd

#endif  // GRADD_TESTS_CORE_OPTIM_OPTIMIZER_TABLE_H_
