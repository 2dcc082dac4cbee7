#include <algorithm>
#include <cmath>
#include <cstdint>

#include "absl/strings/str_format.h"
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

uint64_t MixedBits(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

// Of core/base's Mix(): SplitMix64's output after `index` + 1 steps from `seed`.
uint64_t SplitMix64(uint64_t seed, uint64_t index) {
  uint64_t z = seed;
  for (uint64_t i = 0; i <= index; ++i) z += 0x9e3779b97f4a7c15;
  return MixedBits(z);
}

// The noise of core/optim/normal_noise.h, in double and with the Hadamard matrix written out.
double Noise(uint64_t seed, int64_t step, uint32_t element) {
  const uint64_t of_step = SplitMix64(0, static_cast<uint64_t>(step));
  const uint64_t key = SplitMix64(MixedBits(3 * MixedBits(seed) + of_step), 0);
  const uint32_t row = element % 256 / 16;
  double sum = 0;
  for (uint32_t of = 0; of < 16; ++of) {
    uint32_t a = element / 256 * 128 + of / 2 * 16 + element % 16 + static_cast<uint32_t>(key);
    a ^= a >> 16;
    a *= 0x7feb352d;
    a ^= a >> 15;
    a += static_cast<uint32_t>(key >> 32);
    a *= 0x846ca68b;
    a ^= a >> 16;
    const double v = static_cast<int32_t>(of % 2 == 0 ? a : a << 16 | 0x8000) * 0x1p-31;
    const int minus = __builtin_popcount(row & of) % 2;
    sum += (minus != 0 ? -1 : 1) * (0.607846061 * v + 1.768569306 * v * v * v);
  }
  return sum / 4;
}

TensorReferenceRule NoisySgd(double eta, double gamma, uint64_t seed) {
  return [=](int64_t t, double lr, double, const std::vector<double>& g, std::vector<double>* p,
             std::vector<State>*) {
    const double deviation = std::sqrt(eta / std::pow(static_cast<double>(t), gamma));
    for (size_t i = 0; i < g.size(); ++i) {
      (*p)[i] -= lr * (g[i] + deviation * Noise(seed, t - 1, static_cast<uint32_t>(i)));
    }
  };
}

double SignOf(double x) { return x > 0 ? 1 : x < 0 ? -1 : 0; }

ReferenceRule SignSgd() {
  return [](int64_t, double lr, double g, double* p, State*) { *p -= lr * SignOf(g); };
}

ReferenceRule Signum(double beta) {
  return [=](int64_t, double lr, double g, double* p, State* state) {
    state->resize(1);
    double& m = (*state)[0];
    m = beta * m + (1 - beta) * g;
    *p -= lr * SignOf(m);
  };
}

ReferenceRule Optimistic(double alpha, double beta) {
  return [=](int64_t, double lr, double g, double* p, State* state) {
    if (state->empty()) state->push_back(g);
    *p -= (alpha + beta) * lr * g - beta * lr * (*state)[0];
    (*state)[0] = g;
  };
}

ReferenceRule Rprop(double minus, double plus, double least, double most) {
  return [=](int64_t, double lr, double g, double* p, State* state) {
    if (state->empty()) *state = {lr, 0};
    double& delta = (*state)[0];
    double& before = (*state)[1];
    if (g * before > 0) delta *= plus;
    if (g * before < 0) delta *= minus;
    delta = std::clamp(delta, least, most);
    if (g * before < 0) g = 0;
    *p -= SignOf(g) * delta;
    before = g;
  };
}

ReferenceRule Asgd(double lambda, double alpha) {
  return [=](int64_t t, double lr, double g, double* p, State*) {
    const double eta = lr / std::pow(1 + lambda * lr * static_cast<double>(t - 1), alpha);
    *p = *p * (1 - lambda * eta) - eta * g;
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
      {"noisy_sgd", "noisy_sgd {}", 0.05, NoisySgd(0.01, 0.55, 0), 0.01, 0.0005},
      {"noisy_sgd_options", "noisy_sgd { eta: 0.3 gamma: 1 seed: 18446744073709551615 }", 0.02,
       NoisySgd(0.3, 1, ~uint64_t{0}), 0.01, 0.0005},
      // With steps of a power of two p is exact, and so is every comparison; with weight decay,
      // that is what makes errors shrink.
      {"sign_sgd", "sign_sgd {}", 0.0078125, SignSgd(), 0.001, 0.0002, true},
      {"sign_sgd_decoupled_weight_decay",
       "sign_sgd {} weight_decay: 0.5 weight_decay_mode: WEIGHT_DECAY_MODE_DECOUPLED", 0.03125,
       WithDecoupledDecay(0.5, SignSgd()), 0.001, 0.0002, true},
      {"signum", "signum {}", 0.0078125, Signum(0.9), 0.001, 0.0001, true},
      {"signum_options", "signum { momentum: 0.5 }", 0.00390625, Signum(0.5), 0.001, 0.0001, true},
      {"optimistic_gradient", "optimistic_gradient {}", 0.05, Optimistic(1, 1), 0.1, 0.0005},
      {"optimistic_gradient_options", "optimistic_gradient { alpha: 0.5 beta: 0.2 }", 0.1,
       Optimistic(0.5, 0.2), 0.1, 0.0005},
      // Step sizes are products of up to a thousand rounded factors, which makes them wrong by
      // about 3e-8 * sqrt(1000) = 1e-6, and nothing pulls p back from their sum, which is several
      // times p.
      {"rprop", "rprop {}", 0.01, Rprop(0.5, 1.2, 1e-6, 50), 0.01, 0.01, true, 1e-5},
      {"rprop_options",
       "rprop { decrease: 0.7 increase: 1.1 min_step_size: 1e-4 max_step_size: 0.125 }", 0.001,
       Rprop(0.7, 1.1, 1e-4, 0.125), 0.01, 0.01, true, 1e-5},
      {"asgd", "asgd {}", 0.05, Asgd(1e-4, 0.75), 0.1, 0.001},
      {"asgd_options", "asgd { decay: 0.01 alpha: 0.5 averaging_start: 100 }", 0.1, Asgd(0.01, 0.5),
       0.1, 0.001},
      {"asgd_weight_decay", "asgd {} weight_decay: 0.05", 0.02, WithL2(0.05, Asgd(1e-4, 0.75)), 0.1,
       0.001},
  };
}

std::vector<OptimizerCase> FirstOrderDecayTable() {
  std::vector<OptimizerCase> rows;
  for (const double beta : DecaysAndDefault(0.9)) {
    const std::string momentum = absl::StrFormat("momentum: %g", beta);
    rows.push_back(DecayRow("momentum { " + momentum + " }", Momentum(beta, 0)));
    rows.push_back(DecayRow("signum { " + momentum + " }", Signum(beta)));
    if (beta > 0) rows.push_back(DecayRow("nesterov { " + momentum + " }", Nesterov(beta)));
  }
  return rows;
}

}  // namespace gradd
