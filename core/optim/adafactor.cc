#include "core/optim/adafactor.h"

#include <algorithm>
#include <cmath>

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

void Average(double value, double take, float* average) {
  *average += static_cast<float>(take * (value - static_cast<double>(*average)));
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
  return {{"row_second_moment", shape.rows()}, {"column_second_moment", shape.columns()}};
}

void Adafactor::Transform(const StepInput& input, const TensorShape& shape,
                          const Vectors& vectors) const {
  const auto t = static_cast<double>(input.step + 1);
  const double take = std::pow(t, beta2_decay_);
  const int64_t rows = shape.rows();
  const int64_t columns = shape.columns();
  const int64_t elements = rows * columns;
  const float* const g = vectors.gradient;
  float* const u = vectors.result;
  const auto divide = [&](int64_t i, double second_moment) {
    const double root = std::sqrt(std::max(second_moment, epsilon1_));
    u[i] = static_cast<float>(static_cast<double>(g[i]) / root);
  };
  if (shape.is_matrix()) {
    float* const row = vectors.state[0];
    float* const column = vectors.state[1];
    std::vector<double> column_sums(static_cast<size_t>(columns));
    double mean = 0;
    for (int64_t r = 0; r < rows; ++r) {
      const float* const of_row = g + r * columns;
      for (int64_t c = 0; c < columns; ++c) {
        const auto value = static_cast<double>(of_row[c]);
        column_sums[static_cast<size_t>(c)] += value * value;
      }
      Average(SumOfSquares(of_row, columns) / static_cast<double>(columns), take, &row[r]);
      mean += static_cast<double>(row[r]) / static_cast<double>(rows);
    }
    for (int64_t c = 0; c < columns; ++c) {
      Average(column_sums[static_cast<size_t>(c)] / static_cast<double>(rows), take, &column[c]);
    }
    mean = std::max(mean, epsilon1_);
    for (int64_t r = 0; r < rows; ++r) {
      const double of_row = static_cast<double>(row[r]) / mean;
      for (int64_t c = 0; c < columns; ++c) {
        divide(r * columns + c, of_row * static_cast<double>(column[c]));
      }
    }
  } else {
    float* const v = vectors.state[0];
    for (int64_t i = 0; i < elements; ++i) {
      Average(static_cast<double>(g[i]) * static_cast<double>(g[i]), take, &v[i]);
      divide(i, static_cast<double>(v[i]));
    }
  }
  const double scale = std::max(epsilon2_, RootMeanSquare(vectors.parameters, elements));
  const double rate = scale * std::min(input.learning_rate, 1 / std::sqrt(t));
  const double clip = std::max(1.0, RootMeanSquare(u, elements) / clip_threshold_);
  const auto factor = static_cast<float>(rate / clip);
  for (int64_t i = 0; i < elements; ++i) u[i] *= factor;
}

}  // namespace gradd
