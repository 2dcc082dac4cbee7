#include "core/optim/muon.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "core/base/norms.h"
#include "core/optim/adam.h"
#include "core/optim/element_math.h"
#include "core/optim/matrix_product.h"
#include "core/optim/scratch.h"

namespace gradd {
namespace {

using FloatView = MatrixView<float>;

// Of a matrix with no more rows than columns: a tall one is turned on its side, which makes the
// products of its rows smaller.
struct MuonRoom {
  MuonRoom(const TensorShape& shape, Scratch* scratch)
      : rows(std::min(shape.rows(), shape.columns())),
        columns(std::max(shape.rows(), shape.columns())),
        x(scratch->Take<float>(rows * columns)),
        next_x(scratch->Take<float>(rows * columns)),
        a(scratch->Take<float>(rows * rows)),
        b(scratch->Take<float>(rows * rows)),
        product(scratch) {}

  const int64_t rows;
  const int64_t columns;
  float* x;
  float* next_x;
  float* const a;
  float* const b;
  const MatrixProduct<float> product;
};

// Makes of room->x the nearest matrix whose singular values are all about 1.
void Orthogonalize(int steps, double epsilon, MuonRoom* room) {
  constexpr float kA = 3.4445F;
  constexpr float kB = -4.7750F;
  constexpr float kC = 2.0315F;
  const int64_t rows = room->rows;
  const int64_t size = rows * room->columns;
  const double norm = std::sqrt(SquaredNormInDouble(room->x, size));
  const auto divisor = static_cast<float>(norm + epsilon);
  for (int64_t i = 0; i < size; ++i) room->x[i] /= divisor;
  for (int step = 0; step < steps; ++step) {
    const FloatView x = FloatView::Of(room->x, rows, room->columns);
    const FloatView a = FloatView::Of(room->a, rows, rows);
    room->product.MultiplySymmetric(x, x.Transposed(), room->a);
    room->product.MultiplySymmetric(a, a, room->b);
    for (int64_t i = 0; i < rows * rows; ++i) room->b[i] = kB * room->a[i] + kC * room->b[i];
    room->product.Multiply(FloatView::Of(room->b, rows, rows), x, room->next_x);
    for (int64_t i = 0; i < size; ++i) room->next_x[i] += kA * room->x[i];
    std::swap(room->x, room->next_x);
  }
}

}  // namespace

Muon Muon::Read(const v1::Muon& in, HyperParameters* read) {
  constexpr int kMaxSteps = 20;
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

int64_t Muon::ScratchBytes(const TensorShape& shape) const {
  Scratch scratch;
  if (shape.is_matrix()) MuonRoom(shape, &scratch);
  return scratch.bytes();
}

void Muon::Transform(const StepInput& input, const TensorShape& shape,
                     const Vectors& vectors) const {
  double rate = input.learning_rate;
  if (shape.is_matrix()) {
    TransformMatrix(input, shape, vectors);
  } else {
    StepInput of_adam = input;
    of_adam.learning_rate *= adam_learning_rate_factor_;
    TransformOther(of_adam, shape, vectors);
    rate = of_adam.learning_rate;
  }
  if (decoupled_ == 0) return;
  const auto decay = static_cast<float>(rate * decoupled_);
  for (int64_t i = 0; i < shape.elements(); ++i) {
    vectors.result[i] += decay * vectors.parameters[i];
  }
}

void Muon::TakeDecay(WeightDecay* decay) {
  if (adam_learning_rate_factor_ != 1) decoupled_ = std::exchange(decay->decoupled, 0);
}

void Muon::TransformMatrix(const StepInput& input, const TensorShape& shape,
                           const Vectors& vectors) const {
  const int64_t rows = shape.rows();
  const int64_t columns = shape.columns();
  const Fading fading = Fading::Keeping(momentum_);
  float* const m = vectors.state[0];
  Scratch scratch(vectors.scratch);
  MuonRoom room(shape, &scratch);
  const bool tall = rows > columns;
  float* const u = tall ? vectors.result : room.x;
  for (int64_t i = 0; i < rows * columns; ++i) {
    const float g = vectors.gradient[i];
    m[i] = Averaged(fading, m[i], g);
    u[i] = nesterov_ ? Averaged(fading, m[i], g) : m[i];
  }
  if (tall) Transpose(u, rows, columns, room.x);
  Orthogonalize(newton_schulz_steps_, epsilon_, &room);
  const auto tallness = static_cast<double>(rows) / static_cast<double>(columns);
  const double scale = match_adamw_ ? 0.2 * std::sqrt(static_cast<double>(std::max(rows, columns)))
                                    : std::sqrt(std::max(1.0, tallness));
  const auto factor = static_cast<float>(input.learning_rate * scale);
  if (tall) {
    Transpose(room.x, columns, rows, vectors.result);
  } else {
    std::copy_n(room.x, rows * columns, vectors.result);
  }
  for (int64_t i = 0; i < rows * columns; ++i) vectors.result[i] *= factor;
}

void Muon::TransformOther(const StepInput& input, const TensorShape& shape,
                          const Vectors& vectors) const {
  AdamRule adam;
  adam.beta1 = adam_beta1_;
  adam.beta2 = adam_beta2_;
  adam.epsilon = adam_epsilon_;
  const AdamRule::Scalars scalars = adam.Prepare(input);
  for (int64_t i = 0; i < shape.elements(); ++i) {
    std::array<float, AdamRule::kSlots> slots = {vectors.state[0][i], vectors.state[1][i]};
    vectors.result[i] = -AdamRule::Apply(scalars, 0, vectors.gradient[i], slots);
    vectors.state[0][i] = slots[0];
    vectors.state[1][i] = slots[1];
  }
}

}  // namespace gradd
