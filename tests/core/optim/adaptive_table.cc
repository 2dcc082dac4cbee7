#include <cmath>

#include "tests/core/optim/optimizer_table.h"

namespace gradd {
namespace {

using State = std::vector<double>;

ReferenceRule AdaGrad(double epsilon, double initial, double decay) {
  return [=](int64_t t, double lr, double g, double* p, State* state) {
    if (state->empty()) state->push_back(initial);
    double& sum = (*state)[0];
    sum += g * g;
    *p -= lr / (1 + static_cast<double>(t - 1) * decay) * g / (std::sqrt(sum) + epsilon);
  };
}

ReferenceRule RmsProp(double alpha, double epsilon, double mu, bool centered) {
  return [=](int64_t, double lr, double g, double* p, State* state) {
    state->resize(3);
    double& square = (*state)[0];
    double& mean = (*state)[1];
    double& buffer = (*state)[2];
    square = alpha * square + (1 - alpha) * g * g;
    mean = alpha * mean + (1 - alpha) * g;
    const double variance = centered ? square - mean * mean : square;
    buffer = mu * buffer + g / (std::sqrt(variance) + epsilon);
    *p -= lr * buffer;
  };
}

ReferenceRule Adam(double beta1, double beta2, double epsilon) {
  return [=](int64_t t, double lr, double g, double* p, State* state) {
    state->resize(2);
    double& m = (*state)[0];
    double& v = (*state)[1];
    m = beta1 * m + (1 - beta1) * g;
    v = beta2 * v + (1 - beta2) * g * g;
    const double m_hat = m / (1 - std::pow(beta1, static_cast<double>(t)));
    const double v_hat = v / (1 - std::pow(beta2, static_cast<double>(t)));
    *p -= lr * m_hat / (std::sqrt(v_hat) + epsilon);
  };
}

}  // namespace

std::vector<OptimizerCase> AdaptiveTable() {
  return {
      {"ada_grad", "ada_grad {}", 0.1, AdaGrad(1e-10, 0, 0), 1, 0.5},
      {"ada_grad_options",
       "ada_grad { epsilon: 1e-6 initial_accumulator: 0.5 learning_rate_decay: 0.001 }", 0.1,
       AdaGrad(1e-6, 0.5, 0.001), 1, 0.5},
      {"ada_grad_weight_decay", "ada_grad {} weight_decay: 0.05", 0.1,
       WithL2(0.05, AdaGrad(1e-10, 0, 0)), 1, 0.5},
      {"rms_prop", "rms_prop {}", 0.002, RmsProp(0.99, 1e-8, 0, false), 0.001, 0.0005},
      {"rms_prop_centered", "rms_prop { centered: true decay: 0.9 epsilon: 1e-3 }", 0.002,
       RmsProp(0.9, 1e-3, 0, true), 0.001, 0.0005},
      {"rms_prop_momentum", "rms_prop { momentum: 0.9 }", 0.001, RmsProp(0.99, 1e-8, 0.9, false),
       0.0002, 0.0002},
      {"rms_prop_centered_momentum", "rms_prop { centered: true momentum: 0.5 epsilon: 1e-3 }",
       0.001, RmsProp(0.99, 1e-3, 0.5, true), 0.0005, 0.0002},
      {"rms_prop_weight_decay", "rms_prop {} weight_decay: 0.05", 0.002,
       WithL2(0.05, RmsProp(0.99, 1e-8, 0, false)), 0.001, 0.0005},
      {"adam", "adam {}", 0.01, Adam(0.9, 0.999, 1e-8), 0.02, 0.01},
      {"adam_options", "adam { beta1: 0.8 beta2: 0.99 epsilon: 1e-4 }", 0.01, Adam(0.8, 0.99, 1e-4),
       0.02, 0.005},
      {"adam_weight_decay", "adam {} weight_decay: 0.05", 0.01,
       WithL2(0.05, Adam(0.9, 0.999, 1e-8)), 0.02, 0.01},
      {"adam_decoupled_weight_decay",
       "adam {} weight_decay: 0.05 weight_decay_mode: WEIGHT_DECAY_MODE_DECOUPLED", 0.01,
       WithDecoupledDecay(0.05, Adam(0.9, 0.999, 1e-8)), 0.02, 0.01},
  };
}

}  // namespace gradd
