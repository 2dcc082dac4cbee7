#include <algorithm>
#include <cmath>
#include <numeric>

#include "absl/strings/str_format.h"
#include "tests/core/optim/optimizer_table.h"

namespace gradd {
namespace {

using Vector = std::vector<double>;
using Rows = std::vector<Vector>;
using State = std::vector<Vector>;

// Small matrices in double, written out.
Rows ToRows(const Vector& values) {
  const TensorShape shape = TestShape(values.size());
  Rows rows(static_cast<size_t>(shape.rows()));
  const auto columns = static_cast<size_t>(shape.columns());
  for (size_t r = 0; r < rows.size(); ++r) {
    rows[r].assign(values.begin() + static_cast<int64_t>(r * columns),
                   values.begin() + static_cast<int64_t>((r + 1) * columns));
  }
  return rows;
}

Vector Flat(const Rows& rows) {
  Vector flat;
  for (const Vector& row : rows) flat.insert(flat.end(), row.begin(), row.end());
  return flat;
}

Rows Transposed(const Rows& a) {
  Rows t(a[0].size(), Vector(a.size()));
  for (size_t i = 0; i < a.size(); ++i) {
    for (size_t j = 0; j < a[0].size(); ++j) t[j][i] = a[i][j];
  }
  return t;
}

Rows Product(const Rows& a, const Rows& b) {
  Rows c(a.size(), Vector(b[0].size()));
  for (size_t i = 0; i < a.size(); ++i) {
    for (size_t j = 0; j < b[0].size(); ++j) {
      for (size_t k = 0; k < b.size(); ++k) c[i][j] += a[i][k] * b[k][j];
    }
  }
  return c;
}

double SquareSum(const Vector& v) { return std::inner_product(v.begin(), v.end(), v.begin(), 0.0); }

double Rms(const Vector& v) { return std::sqrt(SquareSum(v) / static_cast<double>(v.size())); }

bool IsMatrix(const Vector& v) { return TestShape(v.size()).is_matrix(); }

TensorReferenceRule Adafactor(double decay, double epsilon1, double epsilon2, double threshold) {
  return [=](int64_t t, double lr, double, const Vector& g, Vector* p, State* state) {
    const double b = 1 - std::pow(static_cast<double>(t), decay);
    Vector v(g.size());
    if (IsMatrix(g)) {
      const Rows rows = ToRows(g);
      const size_t n = rows.size();
      const size_t m = rows[0].size();
      state->resize(2);
      (*state)[0].resize(n);
      (*state)[1].resize(m);
      for (size_t i = 0; i < n; ++i) {
        double mean = 0;
        for (size_t j = 0; j < m; ++j) mean += rows[i][j] * rows[i][j] / static_cast<double>(m);
        (*state)[0][i] = b * (*state)[0][i] + (1 - b) * mean;
      }
      for (size_t j = 0; j < m; ++j) {
        double mean = 0;
        for (size_t i = 0; i < n; ++i) mean += rows[i][j] * rows[i][j] / static_cast<double>(n);
        (*state)[1][j] = b * (*state)[1][j] + (1 - b) * mean;
      }
      const Vector& r = (*state)[0];
      const double mean_row =
          std::max(std::accumulate(r.begin(), r.end(), 0.0) / static_cast<double>(n), epsilon1);
      for (size_t i = 0; i < n; ++i) {
        for (size_t j = 0; j < m; ++j) v[i * m + j] = r[i] * (*state)[1][j] / mean_row;
      }
    } else {
      state->resize(1, Vector(g.size()));
      for (size_t i = 0; i < g.size(); ++i) {
        (*state)[0][i] = b * (*state)[0][i] + (1 - b) * g[i] * g[i];
      }
      v = (*state)[0];
    }
    Vector u(g.size());
    for (size_t i = 0; i < g.size(); ++i) u[i] = g[i] / std::sqrt(std::max(v[i], epsilon1));
    const double rate = std::max(epsilon2, Rms(*p)) * std::min(lr, 1 / std::sqrt(t));
    const double clip = std::max(1.0, Rms(u) / threshold);
    for (size_t i = 0; i < g.size(); ++i) (*p)[i] -= rate * u[i] / clip;
  };
}

TensorReferenceRule Sm3(double momentum) {
  return [=](int64_t, double lr, double, const Vector& g, Vector* p, State* state) {
    const TensorShape shape = TestShape(g.size());
    const auto m = static_cast<size_t>(shape.columns());
    state->resize(3);
    (*state)[0].resize(g.size());
    (*state)[1].resize(static_cast<size_t>(shape.rows()));
    (*state)[2].resize(m);
    Vector row((*state)[1].size());
    Vector column(m);
    for (size_t i = 0; i < g.size(); ++i) {
      const double along_rows = shape.is_matrix() ? (*state)[1][i / m] : (*state)[2][i % m];
      const double v = std::min(along_rows, (*state)[2][i % m]) + g[i] * g[i];
      row[i / m] = std::max(row[i / m], v);
      column[i % m] = std::max(column[i % m], v);
      double& average = (*state)[0][i];
      average = momentum * average + (1 - momentum) * (v > 0 ? g[i] / std::sqrt(v) : 0);
      (*p)[i] -= lr * average;
    }
    (*state)[1] = row;
    (*state)[2] = column;
  };
}

struct Betas {
  double first = 0.9;
  double second = 0.999;
};

void AdamStep(int64_t t, double lr, const Betas& beta, const Vector& g, Vector* p, State* state) {
  state->resize(2);
  for (Vector& moment : *state) moment.resize(g.size());
  for (size_t i = 0; i < g.size(); ++i) {
    double& m = (*state)[0][i];
    double& v = (*state)[1][i];
    m = beta.first * m + (1 - beta.first) * g[i];
    v = beta.second * v + (1 - beta.second) * g[i] * g[i];
    const auto steps = static_cast<double>(t);
    (*p)[i] -= lr * (m / (1 - std::pow(beta.first, steps))) /
               (std::sqrt(v / (1 - std::pow(beta.second, steps))) + 1e-8);
  }
}

TensorReferenceRule Muon(double mu, bool nesterov, bool match, double adam_factor,
                         const Betas& beta = {}) {
  return [=](int64_t t, double lr, double, const Vector& g, Vector* p, State* state) {
    if (!IsMatrix(g)) return AdamStep(t, lr * adam_factor, beta, g, p, state);
    state->resize(1, Vector(g.size()));
    Vector u(g.size());
    for (size_t i = 0; i < g.size(); ++i) {
      double& m = (*state)[0][i];
      m = mu * m + (1 - mu) * g[i];
      u[i] = nesterov ? mu * m + (1 - mu) * g[i] : m;
    }
    Rows x = ToRows(u);
    const auto rows = static_cast<double>(x.size());
    const auto columns = static_cast<double>(x[0].size());
    const double norm = std::sqrt(SquareSum(u)) + 1e-7;
    for (Vector& row : x) {
      for (double& value : row) value /= norm;
    }
    // The paper works on the transpose of a tall matrix only to save time.
    for (int i = 0; i < 5; ++i) {
      const Rows a = Product(x, Transposed(x));
      const Rows ax = Product(a, x);
      const Rows aax = Product(a, ax);
      for (size_t r = 0; r < x.size(); ++r) {
        for (size_t c = 0; c < x[0].size(); ++c) {
          x[r][c] = 3.4445 * x[r][c] - 4.7750 * ax[r][c] + 2.0315 * aax[r][c];
        }
      }
    }
    const double scale =
        match ? 0.2 * std::sqrt(std::max(rows, columns)) : std::sqrt(std::max(1.0, rows / columns));
    const Vector flat = Flat(x);
    for (size_t i = 0; i < g.size(); ++i) (*p)[i] -= lr * scale * flat[i];
  };
}

// Of a symmetric matrix with eigenvalues above 0, by Denman and Beavers' iteration (1976).
struct Roots {
  Rows root;
  Rows inverse;
};
Rows Inverse(Rows a) {
  const size_t n = a.size();
  Rows inverse(n, Vector(n));
  for (size_t i = 0; i < n; ++i) inverse[i][i] = 1;
  for (size_t i = 0; i < n; ++i) {
    const double pivot = a[i][i];
    for (size_t j = 0; j < n; ++j) {
      a[i][j] /= pivot;
      inverse[i][j] /= pivot;
    }
    for (size_t k = 0; k < n; ++k) {
      if (k == i) continue;
      const double factor = a[k][i];
      for (size_t j = 0; j < n; ++j) {
        a[k][j] -= factor * a[i][j];
        inverse[k][j] -= factor * inverse[i][j];
      }
    }
  }
  return inverse;
}
Roots SquareRoots(const Rows& a) {
  Roots y;
  y.root = a;
  y.inverse.assign(a.size(), Vector(a.size()));
  for (size_t i = 0; i < a.size(); ++i) y.inverse[i][i] = 1;
  for (int step = 0; step < 60; ++step) {
    const Rows root_inverse = Inverse(y.root);
    const Rows inverse_inverse = Inverse(y.inverse);
    for (size_t i = 0; i < a.size(); ++i) {
      for (size_t j = 0; j < a.size(); ++j) {
        y.root[i][j] = (y.root[i][j] + inverse_inverse[i][j]) / 2;
        y.inverse[i][j] = (y.inverse[i][j] + root_inverse[i][j]) / 2;
      }
    }
  }
  return y;
}

TensorReferenceRule Shampoo(double epsilon, double decay, double momentum, int interval,
                            size_t max_dimension) {
  return [=](int64_t t, double lr, double, const Vector& g, Vector* p, State* state) {
    state->resize(6);
    Rows step = ToRows(g);
    const bool left = IsMatrix(g) && step.size() <= max_dimension;
    const bool right = IsMatrix(g) && step[0].size() <= max_dimension;
    const bool both = left && right;
    const auto root = [&](const Rows& square, Vector* statistics, Vector* kept) {
      const size_t n = square.size();
      statistics->resize(n * n);
      Rows sum(n, Vector(n));
      for (size_t i = 0; i < n * n; ++i) {
        (*statistics)[i] = decay * (*statistics)[i] + square[i / n][i % n];
        sum[i / n][i % n] = (*statistics)[i] + (i / n == i % n ? epsilon : 0);
      }
      if ((t - 1) % interval == 0) {
        const Roots half = SquareRoots(sum);
        *kept = Flat(both ? SquareRoots(half.root).inverse : half.inverse);
      }
      Rows power(n, Vector(n));
      for (size_t i = 0; i < n * n; ++i) power[i / n][i % n] = (*kept)[i];
      return power;
    };
    const Rows gradient = step;
    if (left) {
      step =
          Product(root(Product(gradient, Transposed(gradient)), &(*state)[0], &(*state)[1]), step);
    }
    if (right) {
      step =
          Product(step, root(Product(Transposed(gradient), gradient), &(*state)[2], &(*state)[3]));
    }
    Vector flat = Flat(step);
    (*state)[4].resize(g.size());
    (*state)[5].resize(g.size());
    for (size_t i = 0; i < g.size(); ++i) {
      if (!left && !right) {
        (*state)[4][i] = decay * (*state)[4][i] + g[i] * g[i];
        flat[i] = g[i] / std::sqrt((*state)[4][i] + epsilon);
      }
      (*state)[5][i] = momentum * (*state)[5][i] + flat[i];
      (*p)[i] -= lr * (*state)[5][i];
    }
  };
}

}  // namespace

std::vector<OptimizerCase> WholeTensorTable() {
  return {
      {"adafactor", "adafactor {}", 0.01, Adafactor(-0.8, 1e-30, 1e-3, 1), 0.02, 0.01},
      {"adafactor_options",
       "adafactor { beta2_decay: -0.5 epsilon1: 1e-8 epsilon2: 0.1 clip_threshold: 0.5 }", 0.02,
       Adafactor(-0.5, 1e-8, 0.1, 0.5), 0.02, 0.01},
      {"sm3", "sm3 {}", 0.1, Sm3(0.9), 0.5, 0.1},
      {"sm3_without_momentum", "sm3 { momentum: 0 }", 0.1, Sm3(0), 0.5, 0.1},
      {"muon", "muon {}", 0.002, Muon(0.95, true, false, 1), 0.01, 0.002, false, 1e-5, -1, false,
       2e-5},
      {"muon_options",
       "muon { momentum: 0.8 nesterov: false match_adamw: true adam_learning_rate_factor: 0.5 }",
       0.002, Muon(0.8, false, true, 0.5), 0.01, 0.005, false, 1e-5, -1, false, 2e-5},
      // With so small an epsilon, the root of the few gradients' statistics is ill-conditioned: a
      // rounding of a parameter comes back several times as large.
      {"shampoo", "shampoo {}", 0.1, Shampoo(1e-4, 1, 0, 10, 512), 0.5, 0.2, false, 1e-5},
      {"shampoo_options",
       "shampoo { epsilon: 0.01 decay: 0.9 momentum: 0.5 refresh_interval: 1 max_dimension: 2 }",
       0.01, Shampoo(0.01, 0.9, 0.5, 1, 2), 0.005, 0.002},
  };
}

std::vector<OptimizerCase> WholeTensorDecayTable() {
  std::vector<OptimizerCase> rows;
  // Products of matrices in float32 have an error that depends on their largest elements.
  const auto add_matrix = [&rows](const std::string& spec, const Reference& reference) {
    rows.push_back(DecayRow(spec, reference));
    rows.back().step_error = 1e-3;
  };
  for (const double decay : DecaysAndDefault(0.9)) {
    const std::string momentum = absl::StrFormat("momentum: %g", decay);
    rows.push_back(DecayRow("sm3 { " + momentum + " }", Sm3(decay)));
    add_matrix("muon { nesterov: false " + momentum + " }", Muon(decay, false, false, 1));
    if (decay > 0) add_matrix("muon { " + momentum + " }", Muon(decay, true, false, 1));
    for (const double beta2 : DecaysAndDefault(0.999)) {
      add_matrix(absl::StrFormat("muon { adam_beta1: %g adam_beta2: %g }", decay, beta2),
                 Muon(0.95, true, false, 1, {decay, beta2}));
    }
    if (decay > 0) {
      // With less, what huge gradients leave behind has no root in double.
      add_matrix(absl::StrFormat("shampoo { epsilon: 100 refresh_interval: 1 decay: %g }", decay),
                 Shampoo(100, decay, 0, 1, 512));
    }
  }
  // Its decay is 1 - t^power, which stays at 0 for a power of 0.
  for (const double power : {-1e-6, -1e-3, -0.1, -0.8}) {
    rows.push_back(DecayRow(absl::StrFormat("adafactor { beta2_decay: %g }", power),
                            Adafactor(power, 1e-30, 1e-3, 1)));
  }
  return rows;
}

}  // namespace gradd
