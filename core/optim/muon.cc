#include "core/optim/muon.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "core/optim/adam.h"
#include "core/optim/matrix.h"

namespace gradd {
namespace {

using Matrix = RowMajorMatrix<float>;

// x * x^T, at half the cost of a product: it is symmetric.
Matrix TimesItsTranspose(const Matrix& x) {
  Matrix product = Matrix::Zero(x.rows(), x.rows());
  product.selfadjointView<Eigen::Lower>().rankUpdate(x);
  product.triangularView<Eigen::StrictlyUpper>() = product.transpose();
  return product;
}

// The nearest matrix whose singular values are all about 1, with as few rows as possible.
Matrix Orthogonalized(Matrix x, int steps, double epsilon) {
  constexpr float kA = 3.4445F;
  constexpr float kB = -4.7750F;
  constexpr float kC = 2.0315F;
  const bool tall = x.rows() > x.cols();
  if (tall) x.transposeInPlace();
  x /= static_cast<float>(x.cast<double>().norm() + epsilon);
  for (int step = 0; step < steps; ++step) {
    const Matrix a = TimesItsTranspose(x);
    const Matrix b = kB * a + kC * TimesItsTranspose(a);
    x = (kA * x + b * x).eval();
  }
  if (tall) x.transposeInPlace();
  return x;
}

}  // namespace

Muon Muon::Read(const v1::Muon& in, HyperParameters* read) {
  constexpr int kMaxSteps = 20;
  FixOrderOfProducts();
  Muon rule;
  rule.momentum_ = GRADD_HYPER_PARAMETER(read, in, momentum, rule.momentum_, kFromZeroBelowOne);
  rule.nesterov_ = in.has_nesterov() ? in.nesterov() : rule.momentum_ > 0;
  if (in.has_nesterov() && in.nesterov() && rule.momentum_ == 0) {
    read->Refuse("nesterov", "true with a momentum of 0, a momentum above 0 expected");
  }
  rule.newton_schulz_steps_ = static_cast<int>(
      GRADD_HYPER_PARAMETER(read, in, newton_schulz_steps, 5, (Range{1, kMaxSteps})));
  rule.epsilon_ = GRADD_HYPER_PARAMETER(read, in, epsilon, rule.epsilon_, kAboveZeroToOne);
  rule.match_adamw_ = in.match_adamw();
  rule.adam_beta1_ =
      GRADD_HYPER_PARAMETER(read, in, adam_beta1, rule.adam_beta1_, kFromZeroBelowOne);
  rule.adam_beta2_ =
      GRADD_HYPER_PARAMETER(read, in, adam_beta2, rule.adam_beta2_, kFromZeroBelowOne);
  rule.adam_epsilon_ =
      GRADD_HYPER_PARAMETER(read, in, adam_epsilon, rule.adam_epsilon_, kAboveZeroToOne);
  rule.adam_learning_rate_factor_ = GRADD_HYPER_PARAMETER(
      read, in, adam_learning_rate_factor, rule.adam_learning_rate_factor_, kUpToMillion);
  return rule;
}

std::vector<TensorStateSpec> Muon::State(const TensorShape& shape) const {
  if (shape.is_matrix()) return {{"momentum_average", shape.elements()}};
  return {{"first_moment", shape.elements()}, {"second_moment", shape.elements()}};
}

void Muon::Transform(const StepInput& input, const TensorShape& shape,
                     const Vectors& vectors) const {
  if (shape.is_matrix()) {
    TransformMatrix(input, shape, vectors);
  } else {
    TransformOther(input, shape, vectors);
  }
}

void Muon::TransformMatrix(const StepInput& input, const TensorShape& shape,
                           const Vectors& vectors) const {
  const int64_t rows = shape.rows();
  const int64_t columns = shape.columns();
  const auto take = static_cast<float>(1 - momentum_);
  float* const m = vectors.state[0];
  Matrix u(rows, columns);
  for (int64_t i = 0; i < rows * columns; ++i) {
    const float g = vectors.gradient[i];
    m[i] = m[i] + take * (g - m[i]);
    u.data()[i] = nesterov_ ? m[i] + take * (g - m[i]) : m[i];
  }
  const Matrix x = Orthogonalized(std::move(u), newton_schulz_steps_, epsilon_);
  const auto tallness = static_cast<double>(rows) / static_cast<double>(columns);
  const double scale = match_adamw_ ? 0.2 * std::sqrt(static_cast<double>(std::max(rows, columns)))
                                    : std::sqrt(std::max(1.0, tallness));
  const auto factor = static_cast<float>(input.learning_rate * scale);
  for (int64_t i = 0; i < rows * columns; ++i) vectors.result[i] = factor * x.data()[i];
}

void Muon::TransformOther(const StepInput& input, const TensorShape& shape,
                          const Vectors& vectors) const {
  AdamRule adam;
  adam.beta1 = adam_beta1_;
  adam.beta2 = adam_beta2_;
  adam.epsilon = adam_epsilon_;
  StepInput scaled = input;
  scaled.learning_rate *= adam_learning_rate_factor_;
  const AdamRule::Scalars scalars = adam.Prepare(scaled);
  for (int64_t i = 0; i < shape.elements(); ++i) {
    std::array<float, AdamRule::kSlots> slots = {vectors.state[0][i], vectors.state[1][i]};
    vectors.result[i] = -AdamRule::Apply(scalars, 0, vectors.gradient[i], slots);
    vectors.state[0][i] = slots[0];
    vectors.state[1][i] = slots[1];
  }
}

}  // namespace gradd
