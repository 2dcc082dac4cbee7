#ifndef GRADD_TESTS_CORE_OPTIM_OPTIMIZER_TABLE_H_
#define GRADD_TESTS_CORE_OPTIM_OPTIMIZER_TABLE_H_

#include <cstdint>
#include <functional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "core/optim/tensor_transform.h"

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
  // Which number of an element's state in the reference is the point at which workers take
  // gradients; -1: p is.
  int training_state = -1;
  // At this rate a rounding grows on its way by more than elsewhere: what rounding the parameters
  // alone does to the reference says by how much.
  bool roundings_grow = false;
  // Of one step, relative to the element's change. Products of matrices in float32 have an error
  // that depends on their largest elements, and not on each.
  double step_error = 1e-6;
};

std::ostream& operator<<(std::ostream& out, const OptimizerCase& row);

const std::vector<OptimizerCase>& OptimizerTable();

// How tests see a tensor of so many elements: where that can be, as a matrix with nearly as many
// rows as columns.
inline TensorShape TestShape(size_t elements) {
  const auto size = static_cast<int64_t>(elements);
  int64_t rows = 1;
  for (int64_t i = 2; i * i <= size; ++i) {
    if (size % i == 0) rows = i;
  }
  if (rows == 1) return {{size}};
  return {{rows, size / rows}};
}

// Its parts, by the families of core/optim/optimizer_families.h.
std::vector<OptimizerCase> FirstOrderTable();
std::vector<OptimizerCase> AdaptiveTable();
std::vector<OptimizerCase> WholeTensorTable();
std::vector<OptimizerCase> RateFreeTable();
std::vector<OptimizerCase> TensorNormTable();

// What keeps averages and sums that fade, each with its decays at 0, near it, in between and at its
// default: these rows have no rates to converge with.
const std::vector<OptimizerCase>& DecayTable();

// Its parts.
std::vector<OptimizerCase> FirstOrderDecayTable();
std::vector<OptimizerCase> AdaptiveDecayTable();
std::vector<OptimizerCase> WholeTensorDecayTable();
std::vector<OptimizerCase> RateFreeDecayTable();
std::vector<OptimizerCase> TensorNormDecayTable();

// The decays to try for one whose default is given.
inline std::vector<double> DecaysAndDefault(double standard) {
  return {0, 1e-6, 1e-3, 0.3, 0.6, standard};
}
// A row of DecayTable(), named after its spec.
inline OptimizerCase DecayRow(const std::string& spec, Reference reference) {
  return {spec, spec, 0.01, std::move(reference), 0, 0};
}

// A reference with weight decay in front of it.
ReferenceRule WithL2(double decay, const ReferenceRule& rule);
ReferenceRule WithDecoupledDecay(double decay, const ReferenceRule& rule);

}  // namespace gradd

#endif  // GRADD_TESTS_CORE_OPTIM_OPTIMIZER_TABLE_H_
