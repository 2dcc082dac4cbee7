#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_format.h"
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

// The centered one with an average of squares about the mean, which is the difference of the other
// two and keeps its digits where they have many in common (West 1979, "Updating Mean and Variance
// Estimates: An Improved Method").
ReferenceRule CenteredRmsProp(double alpha, double epsilon) {
  return [=](int64_t, double lr, double g, double* p, State* state) {
    state->resize(2);
    double& variance = (*state)[0];
    double& mean = (*state)[1];
    variance = alpha * (variance + (1 - alpha) * (g - mean) * (g - mean));
    mean = alpha * mean + (1 - alpha) * g;
    *p -= lr * g / (std::sqrt(variance) + epsilon);
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

double Power(double base, int64_t exponent) {
  return std::pow(base, static_cast<double>(exponent));
}

double SignOf(double x) { return x > 0 ? 1 : x < 0 ? -1 : 0; }

ReferenceRule AdaDelta(double rho, double epsilon) {
  return [=](int64_t, double lr, double g, double* p, State* state) {
    state->resize(2);
    double& gradients = (*state)[0];
    double& updates = (*state)[1];
    gradients = rho * gradients + (1 - rho) * g * g;
    const double update = -std::sqrt(updates + epsilon) / std::sqrt(gradients + epsilon) * g;
    updates = rho * updates + (1 - rho) * update * update;
    *p += lr * update;
  };
}

ReferenceRule AmsGrad(double beta1, double beta2, double epsilon) {
  return [=](int64_t t, double lr, double g, double* p, State* state) {
    state->resize(3);
    double& m = (*state)[0];
    double& v = (*state)[1];
    double& most = (*state)[2];
    m = beta1 * m + (1 - beta1) * g;
    v = beta2 * v + (1 - beta2) * g * g;
    most = std::max(most, v);
    *p -= lr * m / (1 - Power(beta1, t)) / (std::sqrt(most / (1 - Power(beta2, t))) + epsilon);
  };
}

ReferenceRule AdaMax(double beta1, double beta2, double epsilon) {
  return [=](int64_t t, double lr, double g, double* p, State* state) {
    state->resize(2);
    double& m = (*state)[0];
    double& u = (*state)[1];
    m = beta1 * m + (1 - beta1) * g;
    u = std::max(beta2 * u, std::abs(g) + epsilon);
    *p -= lr / (1 - Power(beta1, t)) * m / u;
  };
}

ReferenceRule NAdam(double beta1, double beta2, double epsilon, double psi) {
  return [=](int64_t t, double lr, double g, double* p, State* state) {
    if (state->empty()) *state = {0, 0, 1};
    double& m = (*state)[0];
    double& v = (*state)[1];
    double& product = (*state)[2];  // Of all mu so far.
    const auto mu = [&](int64_t k) {
      return beta1 * (1 - 0.5 * std::pow(0.96, static_cast<double>(k) * psi));
    };
    product *= mu(t);
    m = beta1 * m + (1 - beta1) * g;
    v = beta2 * v + (1 - beta2) * g * g;
    const double m_hat =
        mu(t + 1) * m / (1 - product * mu(t + 1)) + (1 - mu(t)) * g / (1 - product);
    *p -= lr * m_hat / (std::sqrt(v / (1 - Power(beta2, t))) + epsilon);
  };
}

ReferenceRule RAdam(double beta1, double beta2, double epsilon) {
  return [=](int64_t t, double lr, double g, double* p, State* state) {
    state->resize(2);
    double& m = (*state)[0];
    double& v = (*state)[1];
    m = beta1 * m + (1 - beta1) * g;
    v = beta2 * v + (1 - beta2) * g * g;
    const double m_hat = m / (1 - Power(beta1, t));
    const double most = 2 / (1 - beta2) - 1;
    const double rho = most - 2 * static_cast<double>(t) * Power(beta2, t) / (1 - Power(beta2, t));
    if (rho <= 5) {
      *p -= lr * m_hat;
      return;
    }
    const double l = std::sqrt(1 - Power(beta2, t)) / (std::sqrt(v) + epsilon);
    const double r = std::sqrt((rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho));
    *p -= lr * r * m_hat * l;
  };
}

ReferenceRule AdaBelief(double beta1, double beta2, double epsilon) {
  return [=](int64_t t, double lr, double g, double* p, State* state) {
    state->resize(2);
    double& m = (*state)[0];
    double& s = (*state)[1];
    m = beta1 * m + (1 - beta1) * g;
    s = beta2 * s + (1 - beta2) * (g - m) * (g - m) + epsilon;
    *p -= lr * m / (1 - Power(beta1, t)) / (std::sqrt(s / (1 - Power(beta2, t))) + epsilon);
  };
}

ReferenceRule AcProp(double beta1, double beta2, double epsilon) {
  return [=](int64_t t, double lr, double g, double* p, State* state) {
    state->resize(2);
    double& m = (*state)[0];
    double& s = (*state)[1];
    const double denominator = t == 1 ? 1 : std::sqrt(s / (1 - Power(beta2, t - 1))) + epsilon;
    *p -= lr * g / denominator;
    m = beta1 * m + (1 - beta1) * g;
    s = beta2 * s + (1 - beta2) * (g - m) * (g - m) + epsilon;
  };
}

ReferenceRule Yogi(double beta1, double beta2, double epsilon, double initial) {
  return [=](int64_t t, double lr, double g, double* p, State* state) {
    if (state->empty()) *state = {0, initial};
    double& m = (*state)[0];
    double& v = (*state)[1];
    m = beta1 * m + (1 - beta1) * g;
    v -= (1 - beta2) * SignOf(v - g * g) * g * g;
    *p -= lr * m / (1 - Power(beta1, t)) / (std::sqrt(v / (1 - Power(beta2, t))) + epsilon);
  };
}

// Written with the paper's betas, which are 1 minus those of the message.
ReferenceRule Adan(double beta1, double beta2, double beta3, double epsilon, double decay = 0) {
  return [=](int64_t t, double lr, double g, double* p, State* state) {
    if (state->empty()) *state = {0, 0, 0, g};
    double& m = (*state)[0];
    double& v = (*state)[1];
    double& n = (*state)[2];
    double& before = (*state)[3];
    m = (1 - beta1) * m + beta1 * g;
    v = (1 - beta2) * v + beta2 * (g - before);
    n = (1 - beta3) * n + beta3 * std::pow(g + (1 - beta2) * (g - before), 2);
    const double eta = lr / (std::sqrt(n / (1 - Power(1 - beta3, t))) + epsilon);
    *p -= eta * (m / (1 - Power(1 - beta1, t)) + (1 - beta2) * v / (1 - Power(1 - beta2, t)));
    *p /= 1 + lr * decay;
    before = g;
  };
}

ReferenceRule Adopt(double beta1, double beta2, double epsilon, bool clips) {
  return [=](int64_t t, double lr, double g, double* p, State* state) {
    if (t == 1) {
      *state = {0, g * g};
      return;
    }
    double& m = (*state)[0];
    double& v = (*state)[1];
    const double c = clips ? std::pow(static_cast<double>(t - 1), 0.25)
                           : std::numeric_limits<double>::infinity();
    m = beta1 * m + (1 - beta1) * std::clamp(g / std::max(std::sqrt(v), epsilon), -c, c);
    *p -= lr * m;
    v = beta2 * v + (1 - beta2) * g * g;
  };
}

struct AdEmaMixOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double beta3 = 0.9999;
  double alpha = 5;
  double alpha_steps = 0;
  double beta3_steps = 0;
};

// The paper's f: half of what an average with decay beta takes in is from its last f(beta) + 1
// steps; the warm-up raises f linearly.
ReferenceRule AdEmaMix(const AdEmaMixOptions& o) {
  return [=](int64_t t, double lr, double g, double* p, State* state) {
    state->resize(3);
    double& m1 = (*state)[0];
    double& m2 = (*state)[1];
    double& v = (*state)[2];
    const auto steps = static_cast<double>(t);
    const auto f = [](double beta) { return std::log(0.5) / std::log(beta) - 1; };
    double beta3 = o.beta3;
    if (steps < o.beta3_steps) {
      const double x = steps / o.beta3_steps;
      beta3 = std::pow(0.5, 1 / ((1 - x) * f(o.beta1) + x * f(o.beta3) + 1));
    }
    const double alpha = steps < o.alpha_steps ? o.alpha * steps / o.alpha_steps : o.alpha;
    m1 = o.beta1 * m1 + (1 - o.beta1) * g;
    m2 = beta3 * m2 + (1 - beta3) * g;
    v = o.beta2 * v + (1 - o.beta2) * g * g;
    *p -= lr * (m1 / (1 - Power(o.beta1, t)) + alpha * m2) /
          (std::sqrt(v / (1 - Power(o.beta2, t))) + o.epsilon);
  };
}

ReferenceRule OptimisticAdam(double beta1, double beta2, double epsilon, double optimism) {
  return [=](int64_t t, double lr, double g, double* p, State* state) {
    state->resize(3);
    double& m = (*state)[0];
    double& v = (*state)[1];
    m = beta1 * m + (1 - beta1) * g;
    v = beta2 * v + (1 - beta2) * g * g;
    const double now = m / (1 - Power(beta1, t)) / (std::sqrt(v / (1 - Power(beta2, t))) + epsilon);
    const double before = t == 1 ? now : (*state)[2];
    *p = *p - lr * (1 + optimism) * now + lr * optimism * before;
    (*state)[2] = now;
  };
}

ReferenceRule Lion(double beta1, double beta2) {
  return [=](int64_t, double lr, double g, double* p, State* state) {
    state->resize(1);
    double& m = (*state)[0];
    *p -= lr * SignOf(beta1 * m + (1 - beta1) * g);
    m = beta2 * m + (1 - beta2) * g;
  };
}

ReferenceRule Madgrad(double momentum, double epsilon) {
  return [=](int64_t t, double lr, double g, double* p, State* state) {
    if (state->empty()) *state = {0, 0, *p};
    double& s = (*state)[0];
    double& v = (*state)[1];
    const double lambda = lr * std::sqrt(static_cast<double>(t));
    s += lambda * g;
    v += lambda * g * g;
    const double z = (*state)[2] - s / (std::cbrt(v) + epsilon);
    *p = momentum * *p + (1 - momentum) * z;
  };
}

struct FtrlOptions {
  double power = 0.5;
  double l1 = 0;
  double l2 = 0;
  double beta = 1;
  double initial = 0;
};

// The paper's algorithm, whose 1/eta is q here, for an alpha = lr that may change; it starts at p =
// 0, or where z says. An element whose first gradient comes later is, until then, where l2 has it.
ReferenceRule Ftrl(const FtrlOptions& o) {
  return [=](int64_t t, double alpha, double g, double* p, State* state) {
    const auto q = [&](double n) { return (o.beta + std::pow(n, o.power)) / alpha; };
    if (state->empty()) {
      const double first = q(o.initial);
      *state = {o.initial, -*p * (first + (t > 1 ? o.l2 : 0)), first};
    }
    double& n = (*state)[0];
    double& z = (*state)[1];
    double& before = (*state)[2];
    n += g * g;
    const double now = q(n);
    z += g - (now - before) * *p;
    before = now;
    *p = std::abs(z) <= o.l1 ? 0 : -(z - SignOf(z) * o.l1) / (now + o.l2);
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
      {"ada_delta", "ada_delta {}", 1, AdaDelta(0.9, 1e-6), 1, 0.2},
      {"ada_delta_options", "ada_delta { decay: 0.95 epsilon: 1e-4 }", 0.5, AdaDelta(0.95, 1e-4), 1,
       0.02},
      {"ada_delta_weight_decay", "ada_delta {} weight_decay: 0.05", 2,
       WithL2(0.05, AdaDelta(0.9, 1e-6)), 1, 0.2},
      {"ams_grad", "ams_grad {}", 0.01, AmsGrad(0.9, 0.999, 1e-8), 0.02, 0.01},
      {"ams_grad_options", "ams_grad { beta1: 0.8 beta2: 0.99 epsilon: 1e-4 }", 0.03,
       AmsGrad(0.8, 0.99, 1e-4), 0.02, 0.01},
      {"ams_grad_weight_decay", "ams_grad {} weight_decay: 0.05", 0.01,
       WithL2(0.05, AmsGrad(0.9, 0.999, 1e-8)), 0.02, 0.01},
      {"ams_grad_decoupled_weight_decay",
       "ams_grad {} weight_decay: 0.05 weight_decay_mode: WEIGHT_DECAY_MODE_DECOUPLED", 0.02,
       WithDecoupledDecay(0.05, AmsGrad(0.9, 0.999, 1e-8)), 0.02, 0.01},
      {"adam_w", "adam_w {}", 0.01, WithDecoupledDecay(0.01, Adam(0.9, 0.999, 1e-8)), 0.02, 0.01},
      {"adam_w_options", "adam_w { beta1: 0.8 beta2: 0.99 epsilon: 1e-4 } weight_decay: 0.1", 0.03,
       WithDecoupledDecay(0.1, Adam(0.8, 0.99, 1e-4)), 0.02, 0.01},
      {"adam_w_without_weight_decay", "adam_w {} weight_decay: 0", 0.02, Adam(0.9, 0.999, 1e-8),
       0.02, 0.01},
      {"ada_max", "ada_max {}", 0.01, AdaMax(0.9, 0.999, 1e-8), 0.02, 0.01},
      {"ada_max_options", "ada_max { beta1: 0.8 beta2: 0.99 epsilon: 1e-4 }", 0.03,
       AdaMax(0.8, 0.99, 1e-4), 0.02, 0.005},
      {"ada_max_weight_decay", "ada_max {} weight_decay: 0.05", 0.02,
       WithL2(0.05, AdaMax(0.9, 0.999, 1e-8)), 0.02, 0.01},
      {"ada_max_w", "ada_max_w {}", 0.02, WithDecoupledDecay(0.01, AdaMax(0.9, 0.999, 1e-8)), 0.02,
       0.01},
      {"ada_max_w_options", "ada_max_w { beta1: 0.8 beta2: 0.99 epsilon: 1e-4 } weight_decay: 0.05",
       0.01, WithDecoupledDecay(0.05, AdaMax(0.8, 0.99, 1e-4)), 0.02, 0.005},
      {"n_adam", "n_adam {}", 0.01, NAdam(0.9, 0.999, 1e-8, 4e-3), 0.02, 0.01},
      {"n_adam_options", "n_adam { beta1: 0.8 beta2: 0.99 epsilon: 1e-4 momentum_decay: 0.1 }",
       0.02, NAdam(0.8, 0.99, 1e-4, 0.1), 0.02, 0.005},
      {"n_adam_weight_decay", "n_adam {} weight_decay: 0.05", 0.01,
       WithL2(0.05, NAdam(0.9, 0.999, 1e-8, 4e-3)), 0.02, 0.01},
      {"n_adam_w", "n_adam_w {}", 0.01, WithDecoupledDecay(0.01, NAdam(0.9, 0.999, 1e-8, 4e-3)),
       0.02, 0.01},
      {"n_adam_w_options",
       "n_adam_w { beta1: 0.8 beta2: 0.99 epsilon: 1e-4 momentum_decay: 0 } weight_decay: 0.05",
       0.02, WithDecoupledDecay(0.05, NAdam(0.8, 0.99, 1e-4, 0)), 0.02, 0.005},
      {"r_adam", "r_adam {}", 0.01, RAdam(0.9, 0.999, 1e-8), 0.02, 0.0005},
      {"r_adam_options", "r_adam { beta1: 0.8 beta2: 0.99 epsilon: 1e-4 }", 0.02,
       RAdam(0.8, 0.99, 1e-4), 0.02, 0.005},
      {"r_adam_never_rectified", "r_adam { beta2: 0.6 }", 0.05, RAdam(0.9, 0.6, 1e-8), 0.02, 0.001},
      {"r_adam_decoupled_weight_decay", "r_adam {} weight_decay: 0.05", 0.01,
       WithDecoupledDecay(0.05, RAdam(0.9, 0.999, 1e-8)), 0.02, 0.0005},
      {"r_adam_weight_decay",
       "r_adam {} weight_decay: 0.05 weight_decay_mode: WEIGHT_DECAY_MODE_COUPLED", 0.01,
       WithL2(0.05, RAdam(0.9, 0.999, 1e-8)), 0.02, 0.0005},
      {"ada_belief", "ada_belief {}", 0.01, AdaBelief(0.9, 0.999, 1e-16), 0.02, 0.001},
      {"ada_belief_options", "ada_belief { beta1: 0.8 beta2: 0.99 epsilon: 1e-6 }", 0.005,
       AdaBelief(0.8, 0.99, 1e-6), 0.01, 0.001},
      {"yogi", "yogi {}", 0.01, Yogi(0.9, 0.999, 1e-3, 1e-6), 0.02, 0.01},
      {"yogi_options", "yogi { beta1: 0.8 beta2: 0.99 epsilon: 1e-4 initial_accumulator: 0.1 }",
       0.02, Yogi(0.8, 0.99, 1e-4, 0.1), 0.02, 0.005},
      {"adan", "adan {}", 0.01, Adan(0.02, 0.08, 0.01, 1e-8), 0.02, 0.005},
      {"adan_options",
       "adan { beta1: 0.9 beta2: 0.8 beta3: 0.999 epsilon: 1e-4 } weight_decay: 0.05", 0.01,
       Adan(0.1, 0.2, 0.001, 1e-4, 0.05), 0.02, 0.005},
      {"adopt", "adopt {}", 0.01, Adopt(0.9, 0.9999, 1e-6, true), 0.02, 0.005},
      {"adopt_options", "adopt { beta1: 0.8 beta2: 0.99 epsilon: 1e-4 unclipped: true }", 0.005,
       Adopt(0.8, 0.99, 1e-4, false), 0.01, 0.001},
      {"ad_ema_mix", "ad_ema_mix {}", 0.005, AdEmaMix({}), 0.005, 0.001},
      {"ad_ema_mix_options",
       "ad_ema_mix { beta1: 0.8 beta2: 0.99 epsilon: 1e-4 beta3: 0.99 alpha: 2 alpha_warmup_steps: "
       "500 beta3_warmup_steps: 700 } weight_decay: 0.05",
       0.005, WithDecoupledDecay(0.05, AdEmaMix({0.8, 0.99, 1e-4, 0.99, 2, 500, 700})), 0.005,
       0.001},
      {"ac_prop", "ac_prop {}", 0.01, AcProp(0.9, 0.999, 1e-16), 0.02, 0.001},
      {"ac_prop_options", "ac_prop { beta1: 0.8 beta2: 0.99 epsilon: 1e-6 }", 0.005,
       AcProp(0.8, 0.99, 1e-6), 0.01, 0.001},
      {"optimistic_adam", "optimistic_adam {}", 0.01, OptimisticAdam(0.9, 0.999, 1e-8, 1), 0.02,
       0.005},
      {"optimistic_adam_options",
       "optimistic_adam { beta1: 0.8 beta2: 0.99 epsilon: 1e-4 optimism: 0.3 }", 0.01,
       OptimisticAdam(0.8, 0.99, 1e-4, 0.3), 0.02, 0.005},
      // As sign_sgd.
      {"lion", "lion {}", 0.0078125, Lion(0.9, 0.99), 0.001, 0.0001, true},
      {"lion_options", "lion { beta1: 0.8 beta2: 0.95 } weight_decay: 0.5", 0.03125,
       WithDecoupledDecay(0.5, Lion(0.8, 0.95)), 0.001, 0.0001, true},
      {"madgrad", "madgrad {}", 0.05, Madgrad(0.9, 1e-6), 0.1, 0.01},
      {"madgrad_options", "madgrad { momentum: 0 epsilon: 1e-3 }", 0.02, Madgrad(0, 1e-3), 0.1,
       0.001},
      {"ftrl", "ftrl {}", 0.1, Ftrl({}), 1, 0.5},
      {"ftrl_options", "ftrl { l2: 0.02 beta: 0.5 initial_accumulator: 0.1 }", 0.2,
       Ftrl({0.5, 0, 0.02, 0.5, 0.1}), 1, 0.5},
      {"ftrl_sparse", "ftrl { l1: 0.01 }", 0.2, Ftrl({0.5, 0.01, 0, 1, 0}), 1, 0.5},
      {"ftrl_power", "ftrl { learning_rate_power: -0.3 l1: 0.01 l2: 0.01 }", 0.2,
       Ftrl({0.3, 0.01, 0.01, 1, 0}), 1, 0.1},
      {"ftrl_constant_rate", "ftrl { learning_rate_power: 0 beta: 0 }", 0.05, Ftrl({0, 0, 0, 0, 0}),
       0.1, 0.001},
  };
}

std::vector<OptimizerCase> AdaptiveDecayTable() {
  std::vector<OptimizerCase> rows;
  const auto add = [&rows](const std::string& kind, const std::string& fields,
                           const Reference& reference) {
    rows.push_back(DecayRow(kind + " { " + fields + " }", reference));
  };
  for (const double decay : DecaysAndDefault(0.99)) {
    const std::string fields = absl::StrFormat("decay: %g", decay);
    add("rms_prop", fields, RmsProp(decay, 1e-8, 0, false));
    add("rms_prop", fields + " centered: true", CenteredRmsProp(decay, 1e-8));
    add("rms_prop", fields + " momentum: 0.001", RmsProp(decay, 1e-8, 0.001, false));
  }
  for (const double decay : DecaysAndDefault(0.9)) {
    add("ada_delta", absl::StrFormat("decay: %g", decay), AdaDelta(decay, 1e-6));
    add("madgrad", absl::StrFormat("momentum: %g", decay), Madgrad(decay, 1e-6));
  }
  for (const double beta1 : DecaysAndDefault(0.9)) {
    for (const double beta2 : DecaysAndDefault(0.999)) {
      const std::string betas = absl::StrFormat("beta1: %g beta2: %g", beta1, beta2);
      add("adam", betas, Adam(beta1, beta2, 1e-8));
      add("adam_w", betas, WithDecoupledDecay(0.01, Adam(beta1, beta2, 1e-8)));
      add("ams_grad", betas, AmsGrad(beta1, beta2, 1e-8));
      add("ada_max", betas, AdaMax(beta1, beta2, 1e-8));
      add("ada_max_w", betas, WithDecoupledDecay(0.01, AdaMax(beta1, beta2, 1e-8)));
      add("n_adam", betas, NAdam(beta1, beta2, 1e-8, 4e-3));
      add("n_adam_w", betas, WithDecoupledDecay(0.01, NAdam(beta1, beta2, 1e-8, 4e-3)));
      add("r_adam", betas, RAdam(beta1, beta2, 1e-8));
      add("ada_belief", betas, AdaBelief(beta1, beta2, 1e-16));
      add("ac_prop", betas, AcProp(beta1, beta2, 1e-16));
      add("yogi", betas, Yogi(beta1, beta2, 1e-3, 1e-6));
      add("adopt", betas, Adopt(beta1, beta2, 1e-6, true));
      add("adopt", betas + " unclipped: true", Adopt(beta1, beta2, 1e-6, false));
      add("optimistic_adam", betas, OptimisticAdam(beta1, beta2, 1e-8, 1));
      add("lion", betas, Lion(beta1, beta2));
      for (const double beta3 : DecaysAndDefault(0.99)) {
        const std::string all = absl::StrFormat("%s beta3: %g", betas, beta3);
        add("adan", all, Adan(1 - beta1, 1 - beta2, 1 - beta3, 1e-8));
        if (beta3 > 0 && beta3 >= beta1) {
          add("ad_ema_mix", all, AdEmaMix({beta1, beta2, 1e-8, beta3, 5, 0, 0}));
        }
      }
    }
  }
  return rows;
}

}  // namespace gradd
