#include "core/optim/shampoo.h"

#include <Eigen/Eigenvalues>
#include <cmath>
#include <string>

#include "core/optim/matrix.h"

namespace gradd {
namespace {

using Matrix = RowMajorMatrix<double>;
using View = Eigen::Map<RowMajorMatrix<float>>;
using ConstView = Eigen::Map<const RowMajorMatrix<float>>;

// (statistics + epsilon I)^exponent of a symmetric matrix without negative eigenvalues.
Matrix Power(const Matrix& statistics, double epsilon, double exponent) {
  const Eigen::SelfAdjointEigenSolver<Matrix> solver(statistics);
  const Eigen::VectorXd powers =
      (solver.eigenvalues().array().max(0.0) + epsilon).pow(exponent).matrix();
  return solver.eigenvectors() * powers.asDiagonal() * solver.eigenvectors().transpose();
}

// Doubles as two floats each: in float32 alone, the rounding of the largest eigenvalue hides the
// smallest ones, which the root is about.
Matrix Joined(const View& upper, const View& rest) {
  return upper.cast<double>() + rest.cast<double>();
}
void Split(const Matrix& values, View* upper, View* rest) {
  *upper = values.cast<float>();
  *rest = (values - upper->cast<double>()).cast<float>();
}

}  // namespace

Shampoo Shampoo::Read(const v1::Shampoo& in, HyperParameters* read) {
  FixOrderOfProducts();
  Shampoo rule;
  rule.epsilon_ = GRADD_HYPER_PARAMETER(read, in, epsilon, rule.epsilon_, kAboveZeroUpToMillion);
  rule.decay_ = GRADD_HYPER_PARAMETER(read, in, decay, rule.decay_, kAboveZeroToOne);
  rule.momentum_ = GRADD_HYPER_PARAMETER(read, in, momentum, rule.momentum_, kFromZeroBelowOne);
  rule.refresh_interval_ =
      static_cast<int64_t>(GRADD_HYPER_PARAMETER(read, in, refresh_interval, 10, (Range{1, 1e6})));
  rule.max_dimension_ =
      static_cast<int64_t>(GRADD_HYPER_PARAMETER(read, in, max_dimension, 512, (Range{1, 2048})));
  return rule;
}

std::vector<TensorStateSpec> Shampoo::State(const TensorShape& shape) const {
  std::vector<TensorStateSpec> state;
  const auto add_side = [&](const std::string& name, int64_t side) {
    if (!Preconditions(shape, side)) return;
    for (const char* what : {"_statistics", "_statistics_rest", "_root", "_root_rest"}) {
      state.push_back({name + what, side * side});
    }
  };
  add_side("left", shape.rows());
  add_side("right", shape.columns());
  if (state.empty()) state.push_back({"sum", shape.elements()});
  if (momentum_ > 0) state.push_back({"momentum", shape.elements()});
  return state;
}

void Shampoo::Transform(const StepInput& input, const TensorShape& shape,
                        const Vectors& vectors) const {
  const int64_t rows = shape.rows();
  const int64_t columns = shape.columns();
  const bool left = Preconditions(shape, rows);
  const bool right = Preconditions(shape, columns);
  const Matrix g = ConstView(vectors.gradient, rows, columns).cast<double>();
  const double exponent = left && right ? -0.25 : -0.5;
  const bool refresh = input.step % refresh_interval_ == 0;
  size_t next = 0;
  const auto root = [&](int64_t side, const Matrix& square) {
    View upper(vectors.state[next++], side, side);
    View rest(vectors.state[next++], side, side);
    View root_upper(vectors.state[next++], side, side);
    View root_rest(vectors.state[next++], side, side);
    const Matrix statistics = decay_ * Joined(upper, rest) + square;
    Split(statistics, &upper, &rest);
    if (refresh) Split(Power(statistics, epsilon_, exponent), &root_upper, &root_rest);
    return Joined(root_upper, root_rest);
  };
  Matrix conditioned = g;
  if (left) conditioned = (root(rows, g * g.transpose()) * conditioned).eval();
  if (right) conditioned = (conditioned * root(columns, g.transpose() * g)).eval();
  View step(vectors.result, rows, columns);
  step = conditioned.cast<float>();
  if (!left && !right) {
    float* const sum = vectors.state[next++];
    const auto decay = static_cast<float>(decay_);
    for (int64_t i = 0; i < rows * columns; ++i) {
      const float value = vectors.gradient[i];
      sum[i] = decay * sum[i] + value * value;
      vectors.result[i] = value / std::sqrt(sum[i] + static_cast<float>(epsilon_));
    }
  }
  if (momentum_ > 0) {
    View momentum(vectors.state[next], rows, columns);
    momentum = static_cast<float>(momentum_) * momentum + step;
    step = momentum;
  }
  step *= static_cast<float>(input.learning_rate);
}

}  // namespace gradd
