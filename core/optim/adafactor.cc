#include "core/optim/adafactor.h"

#include <algorithm>
#include <cmath>

#include "core/base/portable_math.h"
#include "core/optim/element_math.h"
#include "core/optim/scratch.h"

namespace gradd {
namespace {

double SumOfSquares(const float* values, int64_t size) {
  double sum = 0;
  for (int64_t i = 0; i < size; ++i) {
    sum += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  }
  return sum;
}

double RootMeanSquare(const float* values, int64_t size) {
  return std::sqrt(SumOfSquares(values, size) / static_cast<double>(size));
}

// The matrices of a tensor.
int64_t Rows(const TensorShape& shape) { return shape.dimensions[shape.dimensions.size() - 2]; }
int64_t Columns(const TensorShape& shape) { return shape.dimensions.back(); }

void Average(double value, double keep, float* average) {
  auto in_double = static_cast<double>(*average);
  AddToAverage(keep, value, &in_double);
  *average = static_cast<float>(in_double);
}

}  // namespace

Adafactor Adafactor::Read(const v1::Adafactor& in, HyperParameters* read) {
  Adafactor rule;
  rule.beta2_decay_ =
      GRADD_HYPER_PARAMETER(read, in, beta2_decay, rule.beta2_decay_, (Range{-1, 0, false, true}));
  rule.epsilon1_ = GRADD_HYPER_PARAMETER(read, in, epsilon1, rule.epsilon1_, kAboveZeroToOne);
  rule.epsilon2_ = GRADD_HYPER_PARAMETER(read, in, epsilon2, rule.epsilon2_, kZeroToOne);
  rule.clip_threshold_ =
      GRADD_HYPER_PARAMETER(read, in, clip_threshold, rule.clip_threshold_, kAboveZeroUpToMillion);
  return rule;
}

std::vector<TensorStateSpec> Adafactor::State(const TensorShape& shape) const {
  if (!shape.is_matrix()) return {{"second_moment", shape.elements()}};
  return {{"row_second_moment", shape.elements() / Columns(shape)},
          {"column_second_moment", shape.elements() / Rows(shape)}};
}

int64_t Adafactor::ScratchBytes(const TensorShape& shape) const {
  Scratch scratch;
  if (shape.is_matrix()) scratch.Take<double>(Columns(shape));
  return scratch.bytes();
}

void Adafactor::DivideMatrix(double keep, int64_t rows, int64_t columns, const float* gradient,
                             float* row, float* column, double* column_sums, float* result) const {
  std::fill_n(column_sums, columns, 0.0);
  double mean = 0;
  for (int64_t r = 0; r < rows; ++r) {
    const float* const of_row = gradient + r * columns;
    for (int64_t c = 0; c < columns; ++c) {
      const auto value = static_cast<double>(of_row[c]);
      column_sums[c] += value * value;
    }
    Average(SumOfSquares(of_row, columns) / static_cast<double>(columns), keep, &row[r]);
    mean += static_cast<double>(row[r]) / static_cast<double>(rows);
  }
  for (int64_t c = 0; c < columns; ++c) {
    Average(column_sums[c] / static_cast<double>(rows), keep, &column[c]);
  }
  mean = std::max(mean, epsilon1_);
  for (int64_t r = 0; r < rows; ++r) {
    const double of_row = static_cast<double>(row[r]) / mean;
    for (int64_t c = 0; c < columns; ++c) {
      const double second_moment = of_row * static_cast<double>(column[c]);
      result[r * columns + c] = static_cast<float>(static_cast<double>(gradient[r * columns + c]) /
                                                   std::sqrt(std::max(second_moment, epsilon1_)));
    }
  }
}

void Adafactor::Transform(const StepInput& input, const TensorShape& shape,
                          const Vectors& vectors) const {
  const auto t = static_cast<double>(input.step + 1);
  const double keep = 1 - Power(t, beta2_decay_);
  const int64_t elements = shape.elements();
  const float* const g = vectors.gradient;
  float* const u = vectors.result;
  if (shape.is_matrix()) {
    const int64_t rows = Rows(shape);
    const int64_t columns = Columns(shape);
    Scratch scratch(vectors.scratch);
    double* const column_sums = scratch.Take<double>(columns);
    for (int64_t i = 0; i < elements / (rows * columns); ++i) {
      DivideMatrix(keep, rows, columns, g + i * rows * columns, vectors.state[0] + i * rows,
                   vectors.state[1] + i * columns, column_sums, u + i * rows * columns);
    }
  } else {
    float* const v = vectors.state[0];
    for (int64_t i = 0; i < elements; ++i) {
      const auto value = static_cast<double>(g[i]);
      Average(value * value, keep, &v[i]);
      u[i] = static_cast<float>(value / std::sqrt(std::max(static_cast<double>(v[i]), epsilon1_)));
    }
  }
  const double scale = std::max(epsilon2_, RootMeanSquare(vectors.parameters, elements));
  const double rate = scale * std::min(input.learning_rate, 1 / std::sqrt(t));
  const double clip = std::max(1.0, RootMeanSquare(u, elements) / clip_threshold_);
  const auto factor = static_cast<float>(rate / clip);
  for (int64_t i = 0; i < elements; ++i) u[i] *= factor;
}

}  // namespace gradd
