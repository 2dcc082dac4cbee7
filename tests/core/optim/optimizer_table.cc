#include "tests/core/optim/optimizer_table.h"

#include <initializer_list>
#include <iterator>

namespace gradd {
namespace {

using Part = std::vector<OptimizerCase> (*)();

std::vector<OptimizerCase> All(std::initializer_list<Part> parts) {
  std::vector<OptimizerCase> all;
  for (const Part part : parts) {
    std::vector<OptimizerCase> rows = part();
    std::move(rows.begin(), rows.end(), std::back_inserter(all));
  }
  return all;
}

}  // namespace

ReferenceRule WithL2(double decay, const ReferenceRule& rule) {
  return [=](int64_t t, double lr, double g, double* p, std::vector<double>* state) {
    rule(t, lr, g + decay * *p, p, state);
  };
}

ReferenceRule WithDecoupledDecay(double decay, const ReferenceRule& rule) {
  return [=](int64_t t, double lr, double g, double* p, std::vector<double>* state) {
    *p -= lr * decay * *p;
    rule(t, lr, g, p, state);
  };
}

Reference::Reference(ReferenceRule rule)
    : rule_([rule = std::move(rule)](int64_t t, double lr, double /*loss*/,
                                     const std::vector<double>& g, std::vector<double>* p,
                                     std::vector<std::vector<double>>* state) {
        state->resize(p->size());
        for (size_t i = 0; i < p->size(); ++i) rule(t, lr, g[i], &(*p)[i], &(*state)[i]);
      }) {}

std::ostream& operator<<(std::ostream& out, const OptimizerCase& row) { return out << row.name; }

const std::vector<OptimizerCase>& OptimizerTable() {
  static const auto& table = *new std::vector<OptimizerCase>(
      All({FirstOrderTable, AdaptiveTable, RateFreeTable, TensorNormTable, WholeTensorTable}));
  return table;
}

const std::vector<OptimizerCase>& DecayTable() {
  static const auto& table = *new std::vector<OptimizerCase>(
      All({FirstOrderDecayTable, AdaptiveDecayTable, RateFreeDecayTable, TensorNormDecayTable,
           WholeTensorDecayTable}));
  return table;
}

}  // namespace gradd
