#include "tests/core/optim/optimizer_table.h"

#include <iterator>

namespace gradd {

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

std::ostream& operator<<(std::ostream& out, const OptimizerCase& row) { return out << row.name; }

const std::vector<OptimizerCase>& OptimizerTable() {
  static const auto& table = *new std::vector<OptimizerCase>([] {
    std::vector<OptimizerCase> all;
    for (const auto part : {FirstOrderTable, AdaptiveTable}) {
      std::vector<OptimizerCase> rows = part();
      std::move(rows.begin(), rows.end(), std::back_inserter(all));
    }
    return all;
  }());
  return table;
}

}  // namespace gradd
