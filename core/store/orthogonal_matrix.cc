#include "core/store/orthogonal_matrix.h"

#include <algorithm>
#include <cmath>

#include "core/base/multiversion.h"
#include "core/base/norms.h"
#include "core/base/thread_pool.h"
#include "core/store/random_value.h"

namespace gradd {
namespace {

GRADD_MULTIVERSION_WIDE double InnerProduct(const double* a, const double* b, int64_t size) {
  using Lanes = SumLanes<double, 16>;
  Lanes lanes;
  const int64_t whole = size / Lanes::kLanes * Lanes::kLanes;
  for (int64_t i = 0; i < whole; i += Lanes::kLanes) {
    for (int64_t lane = 0; lane < Lanes::kLanes; ++lane) {
      lanes.Add(lane, a[i + lane] * b[i + lane]);
    }
  }
  for (int64_t i = whole; i < size; ++i) lanes.Add(i - whole, a[i] * b[i]);
  return lanes.Sum();
}

GRADD_MULTIVERSION_WIDE void Subtract(double factor, const double* from, int64_t size,
                                      double* values) {
  for (int64_t i = 0; i < size; ++i) values[i] -= factor * from[i];
}

GRADD_MULTIVERSION_WIDE void Scale(double factor, int64_t size, double* values) {
  for (int64_t i = 0; i < size; ++i) values[i] *= factor;
}

// Makes of x (at least one element) the reflection that takes it to a multiple of the first unit
// vector: 1 - scale * v * v^T, where v begins with 1 and goes on with what is in x then. That
// multiple is x's first element then. Returns the scale.
double MakeReflection(double* x, int64_t size) {
  const double squares = InnerProduct(x + 1, x + 1, size - 1);
  if (squares == 0) return 0;
  const double first = x[0];
  const double norm = std::sqrt(first * first + squares);
  x[0] = first > 0 ? -norm : norm;  // So that the difference loses nothing.
  Scale(1 / (first - x[0]), size - 1, x + 1);
  return (x[0] - first) / x[0];
}

}  // namespace

OrthogonalMatrix::OrthogonalMatrix(int64_t rows, int64_t columns, uint64_t key, double* scratch,
                                   Executor* pool)
    : transposed_(rows < columns),
      height_(std::max(rows, columns)),
      width_(std::min(rows, columns)),
      matrix_(scratch),
      scales_(scratch + rows * columns) {
  Draw(key, pool);
  Decompose(pool);
  Compose(pool);
}

void OrthogonalMatrix::Draw(uint64_t key, Executor* pool) const {
  constexpr int64_t kPiece = int64_t{1} << 16;
  const int64_t size = height_ * width_;
  pool->ParallelFor((size + kPiece - 1) / kPiece, [&](int64_t piece) {
    const int64_t end = std::min((piece + 1) * kPiece, size);
    for (int64_t i = piece * kPiece; i < end; ++i) {
      // The number of an element is that of its index in the tensor.
      const int64_t index = transposed_ ? i : i % height_ * width_ + i / height_;
      matrix_[i] = NormalValue(key, index);
    }
  });
}

int64_t OrthogonalMatrix::Panel() const {
  constexpr int64_t kElements = int64_t{1} << 17;  // A megabyte.
  constexpr int64_t kMost = 32;
  return std::clamp<int64_t>(kElements / height_, 1, kMost);
}

void OrthogonalMatrix::ReflectColumn(int64_t reflection, int64_t index) const {
  const double scale = scales_[reflection];
  if (scale == 0) return;
  const double* const vector = column(reflection) + reflection + 1;
  double* const values = column(index) + reflection;
  const int64_t rest = height_ - reflection - 1;
  const double factor = scale * (values[0] + InnerProduct(vector, values + 1, rest));
  values[0] -= factor;
  Subtract(factor, vector, rest, values + 1);
}

void OrthogonalMatrix::Reflect(int64_t from, int64_t to, bool backwards, int64_t begin, int64_t end,
                               Executor* pool) const {
  if (begin >= end) return;
  constexpr int64_t kPieceElements = int64_t{1} << 16;
  const int64_t piece_columns = std::max<int64_t>(kPieceElements / height_, 1);
  pool->ParallelFor((end - begin + piece_columns - 1) / piece_columns, [&](int64_t piece) {
    const int64_t first = begin + piece * piece_columns;
    const int64_t last = std::min(first + piece_columns, end);
    for (int64_t c = first; c < last; ++c) {
      for (int64_t i = from; i < to; ++i) ReflectColumn(backwards ? from + to - 1 - i : i, c);
    }
  });
}

void OrthogonalMatrix::Decompose(Executor* pool) const {
  const int64_t panel = Panel();
  for (int64_t from = 0; from < width_; from += panel) {
    const int64_t to = std::min(from + panel, width_);
    for (int64_t i = from; i < to; ++i) {
      scales_[i] = MakeReflection(column(i) + i, height_ - i);
      for (int64_t c = i + 1; c < to; ++c) ReflectColumn(i, c);
      ThreadPool::Yield();
    }
    Reflect(from, to, /*backwards=*/false, to, width_, pool);
  }
}

void OrthogonalMatrix::Compose(Executor* pool) const {
  const int64_t panel = Panel();
  for (int64_t from = (width_ - 1) / panel * panel; from >= 0; from -= panel) {
    const int64_t to = std::min(from + panel, width_);
    Reflect(from, to, /*backwards=*/true, to, width_, pool);
    for (int64_t i = to - 1; i >= from; --i) {
      for (int64_t c = i + 1; c < to; ++c) ReflectColumn(i, c);
      // The reflection of a unit vector, in the place of the reflection itself.
      double* const values = column(i);
      const double sign = values[i] < 0 ? -1 : 1;
      Scale(-sign * scales_[i], height_ - i - 1, values + i + 1);
      values[i] = sign * (1 - scales_[i]);
      std::fill_n(values, i, 0.0);
      ThreadPool::Yield();
    }
  }
}

void OrthogonalMatrix::Write(int64_t begin, int64_t size, double gain, float* values) const {
  for (int64_t i = begin; i < begin + size; ++i) {
    const double value = transposed_ ? matrix_[i] : matrix_[i % width_ * height_ + i / width_];
    values[i - begin] = static_cast<float>(gain * value);
  }
}

}  // namespace gradd
