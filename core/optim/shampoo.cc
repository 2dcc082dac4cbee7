#include "core/optim/shampoo.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/optim/matrix_product.h"
#include "core/optim/scratch.h"
#include "core/optim/symmetric_eigen.h"

namespace gradd {
namespace {

using DoubleView = MatrixView<double>;

// A double as two floats: in float32 alone, the rounding of the largest eigenvalue hides the
// smallest ones, which the root is about.
double Joined(float upper, float rest) {
  return static_cast<double>(upper) + static_cast<double>(rest);
}
void Split(double value, float* upper, float* rest) {
  *upper = static_cast<float>(value);
  *rest = static_cast<float>(value - static_cast<double>(*upper));
}

}  // namespace

// Of a matrix whose longest preconditioned side is `side`.
struct Shampoo::Room {
  Room(const TensorShape& shape, int64_t side, Scratch* scratch)
      : gradient(scratch->Take<double>(shape.elements())),
        conditioned(scratch->Take<double>(shape.elements())),
        square(scratch->Take<double>(side * side)),
        root(scratch->Take<double>(side * side)),
        product(scratch),
        eigen(*scratch) {
    SymmetricEigen(side, scratch);
  }

  double* gradient;
  double* conditioned;
  double* const square;
  double* const root;
  const MatrixProduct<double> product;
  const Scratch eigen;  // Room for the SymmetricEigen of either side.
};

Shampoo Shampoo::Read(const v1::Shampoo& in, HyperParameters* read) {
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

int64_t Shampoo::LongestSide(const TensorShape& shape) const {
  int64_t longest = 0;
  for (const int64_t side : {shape.rows(), shape.columns()}) {
    if (Preconditions(shape, side)) longest = std::max(longest, side);
  }
  return longest;
}

int64_t Shampoo::ScratchBytes(const TensorShape& shape) const {
  Scratch scratch;
  const int64_t side = LongestSide(shape);
  if (side > 0) Room(shape, side, &scratch);
  return scratch.bytes();
}

void Shampoo::TakeRoot(const StepInput& input, int64_t side, double exponent, float* const* state,
                       Room* room) const {
  float* const upper = state[0];
  float* const rest = state[1];
  float* const root = state[2];
  float* const root_rest = state[3];
  const int64_t size = side * side;
  for (int64_t i = 0; i < size; ++i) {
    room->square[i] += decay_ * Joined(upper[i], rest[i]);
    Split(room->square[i], &upper[i], &rest[i]);
  }
  if (input.step % refresh_interval_ == 0) {
    // (statistics + epsilon I)^exponent = V^T diag((values + epsilon)^exponent) V.
    Scratch memory = room->eigen;
    SymmetricEigen eigen(side, &memory);
    eigen.Compute(room->square);
    double* const scaled = eigen.spare();
    for (int64_t r = 0; r < side; ++r) {
      const double half = std::sqrt(std::max(eigen.values()[r], 0.0) + epsilon_);
      const double power = 1 / (exponent == -0.5 ? half : std::sqrt(half));
      for (int64_t i = r * side; i < (r + 1) * side; ++i) scaled[i] = power * room->square[i];
    }
    room->product.MultiplySymmetric(DoubleView::Of(room->square, side, side).Transposed(),
                                    DoubleView::Of(scaled, side, side), room->root);
    for (int64_t i = 0; i < size; ++i) Split(room->root[i], &root[i], &root_rest[i]);
  }
  for (int64_t i = 0; i < size; ++i) room->root[i] = Joined(root[i], root_rest[i]);
}

size_t Shampoo::Precondition(const StepInput& input, const TensorShape& shape,
                             const Vectors& vectors) const {
  const int64_t rows = shape.rows();
  const int64_t columns = shape.columns();
  const bool left = Preconditions(shape, rows);
  const bool right = Preconditions(shape, columns);
  const double exponent = left && right ? -0.25 : -0.5;
  Scratch scratch(vectors.scratch);
  Room room(shape, LongestSide(shape), &scratch);
  for (int64_t i = 0; i < shape.elements(); ++i) {
    room.gradient[i] = static_cast<double>(vectors.gradient[i]);
  }
  const DoubleView g = DoubleView::Of(room.gradient, rows, columns);
  double* conditioned = room.gradient;
  size_t next = 0;
  if (left) {
    room.product.MultiplySymmetric(g, g.Transposed(), room.square);
    TakeRoot(input, rows, exponent, vectors.state, &room);
    room.product.Multiply(DoubleView::Of(room.root, rows, rows), g, room.conditioned);
    conditioned = room.conditioned;
    next += kStatePerSide;
  }
  if (right) {
    room.product.MultiplySymmetric(g.Transposed(), g, room.square);
    TakeRoot(input, columns, exponent, vectors.state + next, &room);
    double* const to = left ? room.gradient : room.conditioned;
    room.product.Multiply(DoubleView::Of(conditioned, rows, columns),
                          DoubleView::Of(room.root, columns, columns), to);
    conditioned = to;
    next += kStatePerSide;
  }
  for (int64_t i = 0; i < shape.elements(); ++i) {
    vectors.result[i] = static_cast<float>(conditioned[i]);
  }
  return next;
}

void Shampoo::Transform(const StepInput& input, const TensorShape& shape,
                        const Vectors& vectors) const {
  const int64_t elements = shape.elements();
  float* const step = vectors.result;
  size_t next = 0;
  if (LongestSide(shape) > 0) {
    next = Precondition(input, shape, vectors);
  } else {
    float* const sum = vectors.state[next++];
    const auto decay = static_cast<float>(decay_);
    const auto epsilon = static_cast<float>(epsilon_);
    for (int64_t i = 0; i < elements; ++i) {
      const float value = vectors.gradient[i];
      sum[i] = decay * sum[i] + value * value;
      step[i] = value / std::sqrt(sum[i] + epsilon);
    }
  }
  if (momentum_ > 0) {
    float* const momentum = vectors.state[next];
    const auto keep = static_cast<float>(momentum_);
    for (int64_t i = 0; i < elements; ++i) step[i] = momentum[i] = keep * momentum[i] + step[i];
  }
  const auto rate = static_cast<float>(input.learning_rate);
  for (int64_t i = 0; i < elements; ++i) step[i] *= rate;
}

}  // namespace gradd
