#include <cmath>

#include "tests/core/optim/optimizer_table.h"

namespace gradd {
namespace {

using State = std::vector<double>;

ReferenceRule Sgd() {
  return [](int64_t, double lr, double g, double* p, State*) { *p -= lr * g; };
}

ReferenceRule Momentum(double mu, double dampening) {
  return [=](int64_t t, double lr, double g, double* p, State* state) {
    state->resize(1);
    double& v = (*state)[0];
    v = t == 1 ? g : mu * v + (1 - dampening) * g;
    *p -= lr * v;
  };
}

ReferenceRule Nesterov(double mu) {
  return [=](int64_t, double lr, double g, double* p, State* state) {
    state->resize(1);
    double& v = (*state)[0];
    v = mu * v + g;
    *p -= lr * (g + mu * v);
  };
}

}  // namespace

std::vector<OptimizerCase> FirstOrderTable() {
  return {
      {"sgd", "sgd {}", 0.05, Sgd(), 0.1, 0.001},
      {"sgd_weight_decay", "sgd {} weight_decay: 0.1", 0.05, WithL2(0.1, Sgd()), 0.1, 0.001},
      {"momentum", "momentum {}", 0.02, Momentum(0.9, 0), 0.02, 0.0005},
      {"momentum_dampening", "momentum { momentum: 0.8 dampening: 0.3 }", 0.02, Momentum(0.8, 0.3),
       0.05, 0.001},
      {"momentum_weight_decay", "momentum {} weight_decay: 0.05", 0.02,
       WithL2(0.05, Momentum(0.9, 0)), 0.02, 0.0005},
      {"nesterov", "nesterov {}", 0.02, Nesterov(0.9), 0.02, 0.0005},
      {"nesterov_weight_decay", "nesterov { momentum: 0.7 } weight_decay: 0.05", 0.02,
       WithL2(0.05, Nesterov(0.7)), 0.02, 0.0005},
  };
}

}  // namespace gradd
