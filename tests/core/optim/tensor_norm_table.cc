#include <cmath>

#include "absl/strings/str_format.h"
#include "tests/core/optim/optimizer_table.h"

namespace gradd {
namespace {

using Numbers = std::vector<double>;
using State = std::vector<Numbers>;

double Norm(const Numbers& x) {
  double sum = 0;
  for (const double value : x) sum += value * value;
  return std::sqrt(sum);
}

// |x| / |y|, 1 where one of them is 0.
double Ratio(const Numbers& x, const Numbers& y) {
  return Norm(x) > 0 && Norm(y) > 0 ? Norm(x) / Norm(y) : 1;
}

TensorReferenceRule Coupled(double decay, const TensorReferenceRule& rule) {
  return [=](int64_t t, double lr, double loss, const Numbers& g, Numbers* p, State* state) {
    Numbers decayed = g;
    for (size_t i = 0; i < g.size(); ++i) decayed[i] += decay * (*p)[i];
    rule(t, lr, loss, decayed, p, state);
  };
}

TensorReferenceRule Decoupled(double decay, const TensorReferenceRule& rule) {
  return [=](int64_t t, double lr, double loss, const Numbers& g, Numbers* p, State* state) {
    for (double& value : *p) value -= lr * decay * value;
    rule(t, lr, loss, g, p, state);
  };
}

TensorReferenceRule Lars(double mu, double trust, double epsilon, double beta) {
  return [=](int64_t, double lr, double, const Numbers& g, Numbers* p, State* state) {
    if (state->empty()) *state = {Numbers(g.size())};
    Numbers& v = (*state)[0];
    const double w = Norm(*p);
    const double local = w > 0 && Norm(g) > 0 ? trust * w / (Norm(g) + beta * w + epsilon) : 1;
    for (size_t i = 0; i < g.size(); ++i) {
      v[i] = mu * v[i] + lr * local * (g[i] + beta * (*p)[i]);
      (*p)[i] -= v[i];
    }
  };
}

TensorReferenceRule Lamb(double beta1, double beta2, double epsilon, double lambda) {
  return [=](int64_t t, double lr, double, const Numbers& g, Numbers* p, State* state) {
    if (state->empty()) *state = {Numbers(g.size()), Numbers(g.size())};
    Numbers u(g.size());
    for (size_t i = 0; i < g.size(); ++i) {
      double& m = (*state)[0][i];
      double& v = (*state)[1][i];
      m = beta1 * m + (1 - beta1) * g[i];
      v = beta2 * v + (1 - beta2) * g[i] * g[i];
      const double m_hat = m / (1 - std::pow(beta1, static_cast<double>(t)));
      const double v_hat = v / (1 - std::pow(beta2, static_cast<double>(t)));
      u[i] = m_hat / (std::sqrt(v_hat) + epsilon) + lambda * (*p)[i];
    }
    const double trust = Ratio(*p, u);
    for (size_t i = 0; i < g.size(); ++i) (*p)[i] -= lr * trust * u[i];
  };
}

TensorReferenceRule NovoGrad(double beta1, double beta2, double epsilon, double decay) {
  return [=](int64_t t, double lr, double, const Numbers& g, Numbers* p, State* state) {
    if (state->empty()) *state = {{0}, Numbers(g.size())};
    double& v = (*state)[0][0];
    const double square = Norm(g) * Norm(g);
    v = t == 1 ? square : beta2 * v + (1 - beta2) * square;
    for (size_t i = 0; i < g.size(); ++i) {
      double& m = (*state)[1][i];
      m = beta1 * m + g[i] / (std::sqrt(v) + epsilon) + decay * (*p)[i];
      (*p)[i] -= lr * m;
    }
  };
}

TensorReferenceRule Fromage(double decay = 0) {
  return [=](int64_t, double lr, double, const Numbers& g, Numbers* p, State*) {
    const double scale = Ratio(*p, g);
    for (size_t i = 0; i < g.size(); ++i) {
      (*p)[i] = ((*p)[i] - lr * decay * (*p)[i] - lr * scale * g[i]) / std::sqrt(1 + lr * lr);
    }
  };
}

}  // namespace

std::vector<OptimizerCase> TensorNormTable() {
  const std::string decoupled =
      " weight_decay: 0.05 weight_decay_mode: WEIGHT_DECAY_MODE_DECOUPLED";
  const std::string coupled = " weight_decay_mode: WEIGHT_DECAY_MODE_COUPLED";
  return {
      {"lars", "lars {}", 1, Lars(0.9, 0.001, 0, 0), 1, 0.1},
      {"lars_options", "lars { momentum: 0.5 trust_coefficient: 0.02 epsilon: 0.1 }", 0.2,
       Lars(0.5, 0.02, 0.1, 0), 0.1, 0.01},
      {"lars_weight_decay", "lars {} weight_decay: 0.05", 1, Lars(0.9, 0.001, 0, 0.05), 1, 0.1},
      {"lars_decoupled_weight_decay", "lars { trust_coefficient: 1 }" + decoupled, 0.01,
       Decoupled(0.05, Lars(0.9, 1, 0, 0)), 0.001, 0.0001},
      {"lamb", "lamb {}", 0.01, Lamb(0.9, 0.999, 1e-6, 0), 0.002, 0.001},
      {"lamb_options", "lamb { beta1: 0.8 beta2: 0.99 epsilon: 1e-3 }", 0.01,
       Lamb(0.8, 0.99, 1e-3, 0), 0.002, 0.001},
      {"lamb_weight_decay", "lamb {} weight_decay: 0.05" + coupled, 0.01,
       Coupled(0.05, Lamb(0.9, 0.999, 1e-6, 0)), 0.002, 0.001},
      {"lamb_decoupled_weight_decay", "lamb {}" + decoupled, 0.01, Lamb(0.9, 0.999, 1e-6, 0.05),
       0.002, 0.001},
      {"novo_grad", "novo_grad {}", 0.01, NovoGrad(0.95, 0.98, 1e-8, 0), 0.001, 0.0002},
      {"novo_grad_options", "novo_grad { beta1: 0.8 beta2: 0.9 epsilon: 0.1 }", 0.02,
       NovoGrad(0.8, 0.9, 0.1, 0), 0.002, 0.0005},
      {"novo_grad_weight_decay", "novo_grad {} weight_decay: 0.05" + coupled, 0.01,
       Coupled(0.05, NovoGrad(0.95, 0.98, 1e-8, 0)), 0.001, 0.0002},
      {"novo_grad_decoupled_weight_decay", "novo_grad {}" + decoupled, 0.01,
       NovoGrad(0.95, 0.98, 1e-8, 0.05), 0.001, 0.0002},
      {"fromage", "fromage {}", 0.01, Fromage(), 0.001, 0.0005},
      {"fromage_weight_decay", "fromage {} weight_decay: 0.05", 0.002, Coupled(0.05, Fromage()),
       0.001, 0.0005},
      {"fromage_decoupled_weight_decay", "fromage {}" + decoupled, 0.002, Fromage(0.05), 0.001,
       0.0005},
  };
}

std::vector<OptimizerCase> TensorNormDecayTable() {
  std::vector<OptimizerCase> rows;
  for (const double beta1 : DecaysAndDefault(0.9)) {
    rows.push_back(
        DecayRow(absl::StrFormat("lars { momentum: %g }", beta1), Lars(beta1, 0.001, 0, 0)));
    for (const double beta2 : DecaysAndDefault(0.999)) {
      const std::string betas = absl::StrFormat("{ beta1: %g beta2: %g }", beta1, beta2);
      rows.push_back(DecayRow("lamb " + betas, Lamb(beta1, beta2, 1e-6, 0)));
      rows.push_back(DecayRow("novo_grad " + betas, NovoGrad(beta1, beta2, 1e-8, 0)));
    }
  }
  return rows;
}

}  // namespace gradd
