#include <algorithm>
#include <cmath>

#include "absl/strings/str_format.h"
#include "tests/core/optim/optimizer_table.h"

namespace gradd {
namespace {

using Numbers = std::vector<double>;
using State = std::vector<Numbers>;

double Dot(const Numbers& x, const Numbers& y) {
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) sum += x[i] * y[i];
  return sum;
}

double Norm(const Numbers& x) { return std::sqrt(Dot(x, x)); }

double Power(double base, int64_t exponent) {
  return std::pow(base, static_cast<double>(exponent));
}

TensorReferenceRule Coupled(double decay, const TensorReferenceRule& rule) {
  return [=](int64_t t, double lr, double loss, const Numbers& g, Numbers* p, State* state) {
    Numbers decayed = g;
    for (size_t i = 0; i < g.size(); ++i) decayed[i] += decay * (*p)[i];
    rule(t, lr, loss, decayed, p, state);
  };
}

// D-Adaptation, algorithm 5, with the bias correction in the rate.
TensorReferenceRule DAdaptAdam(double beta1, double beta2, double epsilon, double d0, double decay,
                               bool corrected = true) {
  return [=](int64_t t, double lr, double, const Numbers& g, Numbers* p, State* state) {
    if (state->empty()) *state = {{d0, 0}, Numbers(g.size()), Numbers(g.size()), Numbers(g.size())};
    double& d = (*state)[0][0];
    double& r = (*state)[0][1];
    Numbers& m = (*state)[1];
    Numbers& v = (*state)[2];
    Numbers& s = (*state)[3];
    const double root = std::sqrt(beta2);
    const double rate =
        d * lr * (corrected ? std::sqrt(1 - Power(beta2, t)) / (1 - Power(beta1, t)) : 1);
    double product = 0;
    double magnitude = 0;
    for (size_t i = 0; i < g.size(); ++i) {
      product += g[i] * s[i] / (std::sqrt(v[i]) + epsilon);
      m[i] = beta1 * m[i] + (1 - beta1) * rate * g[i];
      v[i] = beta2 * v[i] + (1 - beta2) * g[i] * g[i];
      s[i] = root * s[i] + (1 - root) * rate * g[i];
      magnitude += std::abs(s[i]);
      (*p)[i] -= rate * decay * (*p)[i] + m[i] / (std::sqrt(v[i]) + epsilon);
    }
    r = root * r + (1 - root) * rate * product;
    d = std::max(d, r / ((1 - root) * magnitude));
  };
}

TensorReferenceRule Prodigy(double beta1, double beta2, double beta3, double epsilon, double d0,
                            double coefficient, double decay, bool corrected = true) {
  return [=](int64_t t, double lr, double, const Numbers& g, Numbers* p, State* state) {
    if (state->empty()) {
      *state = {{d0, 0}, Numbers(g.size()), Numbers(g.size()), Numbers(g.size()), *p};
    }
    double& d = (*state)[0][0];
    double& r = (*state)[0][1];
    Numbers& m = (*state)[1];
    Numbers& v = (*state)[2];
    Numbers& s = (*state)[3];
    const Numbers& p0 = (*state)[4];
    const double rate =
        d * lr * (corrected ? std::sqrt(1 - Power(beta2, t)) / (1 - Power(beta1, t)) : 1);
    double product = 0;
    double magnitude = 0;
    for (size_t i = 0; i < g.size(); ++i) {
      product += g[i] * (p0[i] - (*p)[i]);
      m[i] = beta1 * m[i] + (1 - beta1) * d * g[i];
      v[i] = beta2 * v[i] + (1 - beta2) * d * d * g[i] * g[i];
      s[i] = beta3 * s[i] + rate * d / d0 * g[i];
      magnitude += std::abs(s[i]);
    }
    r = beta3 * r + rate * d / d0 * product;
    d = std::max(d, coefficient * r / magnitude);
    for (size_t i = 0; i < g.size(); ++i) {
      (*p)[i] -= rate * (decay * (*p)[i] + m[i] / (std::sqrt(v[i]) + d * epsilon));
    }
  };
}

TensorReferenceRule Dog(double initial, double epsilon, double decay) {
  return [=](int64_t, double lr, double, const Numbers& g, Numbers* p, State* state) {
    if (state->empty()) *state = {*p, {initial * (1 + Norm(*p)), 0}};
    Numbers way = *p;
    for (size_t i = 0; i < way.size(); ++i) way[i] -= (*state)[0][i];
    double& farthest = (*state)[1][0];
    double& squares = (*state)[1][1];
    farthest = std::max(farthest, Norm(way));
    squares += Dot(g, g);
    const double eta = farthest / std::sqrt(squares + epsilon);
    for (size_t i = 0; i < g.size(); ++i) (*p)[i] -= lr * eta * (g[i] + decay * (*p)[i]);
  };
}

TensorReferenceRule Dowg(double initial, double epsilon, double decay) {
  return [=](int64_t, double lr, double, const Numbers& g, Numbers* p, State* state) {
    if (state->empty()) *state = {*p, {initial, 0}};
    Numbers way = *p;
    for (size_t i = 0; i < way.size(); ++i) way[i] -= (*state)[0][i];
    double& farthest = (*state)[1][0];
    double& weighted = (*state)[1][1];
    farthest = std::max(farthest, Norm(way));
    weighted += farthest * farthest * Dot(g, g);
    const double eta = farthest * farthest / (std::sqrt(weighted) + epsilon);
    for (size_t i = 0; i < g.size(); ++i) (*p)[i] -= lr * eta * (g[i] + decay * (*p)[i]);
  };
}

ReferenceRule Cocob(double alpha, double epsilon) {
  return [=](int64_t, double lr, double g, double* p, Numbers* state) {
    if (state->empty()) *state = {*p, epsilon, 0, 0, 0};
    const double first = (*state)[0];
    double& most = (*state)[1];
    double& total = (*state)[2];
    double& reward = (*state)[3];
    double& theta = (*state)[4];
    const double bet = -lr * g;
    most = std::max(most, std::abs(bet));
    total += std::abs(bet);
    reward = std::max(reward + (*p - first) * bet, 0.0);
    theta += bet;
    *p = first + theta / (most * std::max(total + most, alpha * most)) * (most + reward);
  };
}

// State: y, z, the largest rate, the sum of the weights, v.
Numbers& ScheduleFreeState(double p, Numbers* state) {
  if (state->empty()) *state = {p, p, 0, 0, 0};
  return *state;
}

void ScheduleFreeAverage(int64_t t, double rate, double beta, double r, double power, double* p,
                         Numbers* state) {
  double& largest = (*state)[2];
  double& weights = (*state)[3];
  largest = std::max(largest, rate);
  const double weight = std::pow(t, r) * std::pow(largest, power);
  weights += weight;
  const double c = weights > 0 ? weight / weights : 0;
  const double z = (*state)[1];
  *p = (1 - c) * *p + c * z;
  (*state)[0] = (1 - beta) * z + beta * *p;
}

ReferenceRule ScheduleFreeSgd(double beta, double r, double power, double decay) {
  return [=](int64_t t, double lr, double g, double* p, Numbers* all) {
    Numbers& state = ScheduleFreeState(*p, all);
    state[1] -= lr * (g + decay * state[0]);
    ScheduleFreeAverage(t, lr, beta, r, power, p, &state);
  };
}

// Decay: coupled, decoupled.
ReferenceRule ScheduleFreeAdam(double beta1, double beta2, double epsilon, double r, double power,
                               double coupled, double decoupled) {
  return [=](int64_t t, double lr, double gradient, double* p, Numbers* all) {
    Numbers& state = ScheduleFreeState(*p, all);
    const double y = state[0];
    const double g = gradient + coupled * y;
    double& v = state[4];
    v = beta2 * v + (1 - beta2) * g * g;
    const double rate = lr * std::sqrt(1 - Power(beta2, t));
    state[1] -= rate * g / (std::sqrt(v) + epsilon) + rate * decoupled * y;
    ScheduleFreeAverage(t, rate, beta1, r, power, p, &state);
  };
}

TensorReferenceRule PolyakStepSize(double f_min, double c, double decay) {
  return [=](int64_t, double lr, double loss, const Numbers& g, Numbers* p, State*) {
    const double gamma = std::min(lr, std::max(loss - f_min, 0.0) / (c * Dot(g, g)));
    for (size_t i = 0; i < g.size(); ++i) (*p)[i] -= gamma * (g[i] + decay * (*p)[i]);
  };
}

// State: the averages of loss and product; m; v.
TensorReferenceRule Momo(double beta, double f_min, double decay) {
  return [=](int64_t t, double lr, double loss, const Numbers& g, Numbers* p, State* state) {
    if (state->empty()) *state = {{0, 0}, Numbers(g.size())};
    const double keep = t == 1 ? 0 : beta;
    double& f = (*state)[0][0];
    double& q = (*state)[0][1];
    Numbers& m = (*state)[1];
    f = keep * f + (1 - keep) * loss;
    q = keep * q + (1 - keep) * Dot(g, *p);
    for (size_t i = 0; i < g.size(); ++i) m[i] = keep * m[i] + (1 - keep) * g[i];
    const double k = 1 + lr * decay;
    const double excess = std::max(k * (f - f_min - q) + Dot(m, *p), 0.0);
    const double tau = std::min(lr, excess / Dot(m, m));
    for (size_t i = 0; i < g.size(); ++i) (*p)[i] = ((*p)[i] - tau * m[i]) / k;
  };
}

TensorReferenceRule MomoAdam(double beta1, double beta2, double epsilon, double f_min,
                             double decay) {
  return [=](int64_t t, double lr, double loss, const Numbers& g, Numbers* p, State* state) {
    if (state->empty()) *state = {{0, 0}, Numbers(g.size()), Numbers(g.size())};
    double& f = (*state)[0][0];
    double& q = (*state)[0][1];
    Numbers& m = (*state)[1];
    Numbers& v = (*state)[2];
    f = beta1 * f + (1 - beta1) * loss;
    q = beta1 * q + (1 - beta1) * Dot(g, *p);
    const double rho = 1 - Power(beta1, t);
    Numbers preconditioned(g.size());
    for (size_t i = 0; i < g.size(); ++i) {
      m[i] = beta1 * m[i] + (1 - beta1) * g[i];
      v[i] = beta2 * v[i] + (1 - beta2) * g[i] * g[i];
      preconditioned[i] = m[i] / (epsilon + std::sqrt(v[i] / (1 - Power(beta2, t))));
    }
    const double k = 1 + lr * decay;
    const double excess = std::max(k * (f - rho * f_min - q) + Dot(m, *p), 0.0);
    const double tau = std::min(lr / rho, excess / Dot(m, preconditioned));
    for (size_t i = 0; i < g.size(); ++i) (*p)[i] = ((*p)[i] - tau * preconditioned[i]) / k;
  };
}

}  // namespace

std::vector<OptimizerCase> RateFreeTable() {
  const std::string decoupled =
      " weight_decay: 0.05 weight_decay_mode: WEIGHT_DECAY_MODE_DECOUPLED";
  const std::string coupled = " weight_decay_mode: WEIGHT_DECAY_MODE_COUPLED";
  const double root = std::sqrt(0.999);
  return {
      {"d_adapt_adam", "d_adapt_adam {}", 0.3, DAdaptAdam(0.9, 0.999, 1e-8, 1e-6, 0), 1, 0.1},
      {"d_adapt_adam_without_bias_correction", "d_adapt_adam { bias_correction: false }", 0.1,
       DAdaptAdam(0.9, 0.999, 1e-8, 1e-6, 0, false), 1, 0.1, false, 1e-6, -1, true},
      {"d_adapt_adam_options",
       "d_adapt_adam { beta1: 0.8 beta2: 0.99 epsilon: 1e-4 initial_distance: 0.01 }", 0.1,
       DAdaptAdam(0.8, 0.99, 1e-4, 0.01, 0), 0.1, 0.1},
      {"d_adapt_adam_weight_decay", "d_adapt_adam {} weight_decay: 0.05", 0.1,
       Coupled(0.05, DAdaptAdam(0.9, 0.999, 1e-8, 1e-6, 0)), 0.1, 0.1},
      {"d_adapt_adam_decoupled_weight_decay",
       "d_adapt_adam {} weight_decay: 0.002 weight_decay_mode: WEIGHT_DECAY_MODE_DECOUPLED", 0.1,
       DAdaptAdam(0.9, 0.999, 1e-8, 1e-6, 0.002), 0.1, 0.1},
      {"prodigy", "prodigy {}", 0.2, Prodigy(0.9, 0.999, root, 1e-8, 1e-6, 1, 0), 1, 1},
      {"prodigy_without_bias_correction", "prodigy { bias_correction: false }", 0.2,
       Prodigy(0.9, 0.999, root, 1e-8, 1e-6, 1, 0, false), 1, 1, false, 1e-6, -1, true},
      {"prodigy_options",
       "prodigy { beta1: 0.8 beta2: 0.99 beta3: 0.98 epsilon: 1e-4 initial_distance: 0.01 "
       "d_coefficient: 0.5 }",
       0.5, Prodigy(0.8, 0.99, 0.98, 1e-4, 0.01, 0.5, 0), 1, 1},
      {"prodigy_weight_decay", "prodigy {} weight_decay: 0.05" + coupled, 0.2,
       Coupled(0.05, Prodigy(0.9, 0.999, root, 1e-8, 1e-6, 1, 0)), 1, 0.1},
      {"prodigy_decoupled_weight_decay", "prodigy {}" + decoupled, 0.2,
       Prodigy(0.9, 0.999, root, 1e-8, 1e-6, 1, 0.05), 0.1, 1},
      {"dog", "dog {}", 1, Dog(1e-6, 1e-8, 0), 1, 1},
      {"dog_options", "dog { initial_distance: 0.1 epsilon: 0.5 }", 0.5, Dog(0.1, 0.5, 0), 1, 1},
      {"dog_weight_decay", "dog {} weight_decay: 0.05", 1, Coupled(0.05, Dog(1e-6, 1e-8, 0)), 1, 1},
      {"dog_decoupled_weight_decay", "dog {}" + decoupled, 1, Dog(1e-6, 1e-8, 0.05), 1, 1},
      {"dowg", "dowg {}", 0.7, Dowg(0.01, 1e-4, 0), 1, 1},
      {"dowg_options", "dowg { initial_distance: 0.1 epsilon: 0.5 }", 0.5, Dowg(0.1, 0.5, 0), 1, 1},
      {"dowg_weight_decay", "dowg {} weight_decay: 0.05", 1, Coupled(0.05, Dowg(0.01, 1e-4, 0)), 1,
       1},
      {"dowg_decoupled_weight_decay", "dowg {}" + decoupled, 0.7, Dowg(0.01, 1e-4, 0.05), 1, 1},
      {"cocob", "cocob {}", 1, Cocob(100, 1e-8), 1, 1},
      {"cocob_options", "cocob { alpha: 10 epsilon: 0.5 }", 0.5, Cocob(10, 0.5), 1, 1},
      {"cocob_weight_decay", "cocob {} weight_decay: 0.05", 1, WithL2(0.05, Cocob(100, 1e-8)), 1,
       1},
      {"schedule_free_sgd", "schedule_free_sgd {}", 0.2, ScheduleFreeSgd(0.9, 0, 2, 0), 0.5, 0.001,
       false, 1e-6, 0},
      {"schedule_free_sgd_options", "schedule_free_sgd { beta: 0.7 r: 1.5 weight_lr_power: 0.5 }",
       0.2, ScheduleFreeSgd(0.7, 1.5, 0.5, 0), 0.5, 0.001, false, 1e-6, 0},
      {"schedule_free_sgd_weight_decay", "schedule_free_sgd {} weight_decay: 0.05", 0.2,
       ScheduleFreeSgd(0.9, 0, 2, 0.05), 0.5, 0.001, false, 1e-6, 0},
      {"schedule_free_sgd_decoupled_weight_decay", "schedule_free_sgd {}" + decoupled, 0.2,
       ScheduleFreeSgd(0.9, 0, 2, 0.05), 0.5, 0.001, false, 1e-6, 0},
      {"schedule_free_adam", "schedule_free_adam {}", 0.05,
       ScheduleFreeAdam(0.9, 0.999, 1e-8, 0, 2, 0, 0), 0.05, 0.01, false, 1e-6, 0},
      {"schedule_free_adam_options",
       "schedule_free_adam { beta1: 0.8 beta2: 0.99 epsilon: 1e-4 r: 1 weight_lr_power: 1 }", 0.02,
       ScheduleFreeAdam(0.8, 0.99, 1e-4, 1, 1, 0, 0), 0.05, 0.01, false, 1e-6, 0},
      {"schedule_free_adam_weight_decay", "schedule_free_adam {} weight_decay: 0.05" + coupled,
       0.05, ScheduleFreeAdam(0.9, 0.999, 1e-8, 0, 2, 0.05, 0), 0.05, 0.01, false, 1e-6, 0},
      {"schedule_free_adam_decoupled_weight_decay", "schedule_free_adam {}" + decoupled, 0.05,
       ScheduleFreeAdam(0.9, 0.999, 1e-8, 0, 2, 0, 0.05), 0.05, 0.01, false, 1e-6, 0},
      {"polyak_step_size", "polyak_step_size {}", 0.5, PolyakStepSize(0, 0.5, 0), 1, 1},
      {"polyak_step_size_options", "polyak_step_size { f_min: -1.5 c: 1 }", 0.2,
       PolyakStepSize(-1.5, 1, 0), 0.5, 0.001},
      {"polyak_step_size_weight_decay", "polyak_step_size {} weight_decay: 0.05", 0.5,
       Coupled(0.05, PolyakStepSize(0, 0.5, 0)), 1, 1},
      {"polyak_step_size_decoupled_weight_decay", "polyak_step_size {}" + decoupled, 0.5,
       PolyakStepSize(0, 0.5, 0.05), 1, 1},
      {"momo", "momo {}", 0.5, Momo(0.9, 0, 0), 1, 1},
      {"momo_options", "momo { beta: 0.5 f_min: -1.5 }", 0.3, Momo(0.5, -1.5, 0), 0.5, 0.001},
      {"momo_weight_decay", "momo {} weight_decay: 0.05" + coupled, 1,
       Coupled(0.05, Momo(0.9, 0, 0)), 1, 1},
      {"momo_decoupled_weight_decay", "momo {}" + decoupled, 1, Momo(0.9, 0, 0.05), 1, 1},
      {"momo_adam", "momo_adam {}", 0.1, MomoAdam(0.9, 0.999, 1e-8, 0, 0), 0.1, 0.1},
      {"momo_adam_options", "momo_adam { beta1: 0.8 beta2: 0.99 epsilon: 1e-4 f_min: -1.5 }", 0.02,
       MomoAdam(0.8, 0.99, 1e-4, -1.5, 0), 0.02, 0.01},
      {"momo_adam_weight_decay", "momo_adam {} weight_decay: 0.05" + coupled, 0.1,
       Coupled(0.05, MomoAdam(0.9, 0.999, 1e-8, 0, 0)), 0.1, 0.1},
      {"momo_adam_decoupled_weight_decay", "momo_adam {}" + decoupled, 0.1,
       MomoAdam(0.9, 0.999, 1e-8, 0, 0.05), 0.1, 0.1},
      // As people use them, at learning rate 1.
      {"d_adapt_adam_rate_one", "d_adapt_adam {}", 1, DAdaptAdam(0.9, 0.999, 1e-8, 1e-6, 0), 1, 0.1,
       false, 1e-6, -1, true},
      {"prodigy_rate_one", "prodigy {}", 1, Prodigy(0.9, 0.999, root, 1e-8, 1e-6, 1, 0), 1, 1,
       false, 1e-6, -1, true},
      {"prodigy_weight_decay_rate_one", "prodigy {} weight_decay: 0.05" + coupled, 1,
       Coupled(0.05, Prodigy(0.9, 0.999, root, 1e-8, 1e-6, 1, 0)), 1, 0.1, false, 1e-6, -1, true},
      {"prodigy_decoupled_weight_decay_rate_one", "prodigy {}" + decoupled, 1,
       Prodigy(0.9, 0.999, root, 1e-8, 1e-6, 1, 0.05), 0.1, 1, false, 1e-6, -1, true},
      {"dowg_rate_one", "dowg {}", 1, Dowg(0.01, 1e-4, 0), 1, 1, false, 1e-6, -1, true},
      {"dowg_decoupled_weight_decay_rate_one", "dowg {}" + decoupled, 1, Dowg(0.01, 1e-4, 0.05), 1,
       1, false, 1e-6, -1, true},
      {"momo_rate_one", "momo {}", 1, Momo(0.9, 0, 0), 1, 1, false, 1e-6, -1, true},
  };
}

std::vector<OptimizerCase> RateFreeDecayTable() {
  std::vector<OptimizerCase> rows;
  const auto add = [&rows](const std::string& kind, const std::string& fields,
                           const Reference& reference) {
    rows.push_back(DecayRow(kind + " { " + fields + " }", reference));
  };
  for (const double beta1 : DecaysAndDefault(0.9)) {
    add("momo", absl::StrFormat("beta: %g", beta1), Momo(beta1, 0, 0));
    add("schedule_free_sgd", absl::StrFormat("beta: %g", beta1), ScheduleFreeSgd(beta1, 0, 2, 0));
    for (const double beta2 : DecaysAndDefault(0.999)) {
      const std::string betas = absl::StrFormat("beta1: %g beta2: %g", beta1, beta2);
      add("d_adapt_adam", betas, DAdaptAdam(beta1, beta2, 1e-8, 1e-6, 0));
      add("schedule_free_adam", betas, ScheduleFreeAdam(beta1, beta2, 1e-8, 0, 2, 0, 0));
      add("momo_adam", betas, MomoAdam(beta1, beta2, 1e-8, 0, 0));
      for (const double beta3 : DecaysAndDefault(std::sqrt(0.999))) {
        add("prodigy", absl::StrFormat("%s beta3: %.17g", betas, beta3),
            Prodigy(beta1, beta2, beta3, 1e-8, 1e-6, 1, 0));
      }
    }
  }
  return rows;
}

}  // namespace gradd
