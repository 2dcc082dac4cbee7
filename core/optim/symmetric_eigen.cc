#include "core/optim/symmetric_eigen.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/base/multiversion.h"
#include "core/base/norms.h"
#include "core/base/thread_pool.h"
#include "core/optim/matrix_product.h"

namespace gradd {
namespace {

// y += factor * x.
GRADD_MULTIVERSION_WIDE void Add(double factor, const double* x, int64_t size, double* y) {
  for (int64_t i = 0; i < size; ++i) y[i] += factor * x[i];
}

// row -= a * v + b * w.
GRADD_MULTIVERSION_WIDE void TakeOff(double a, const double* v, double b, const double* w,
                                     int64_t size, double* row) {
  for (int64_t i = 0; i < size; ++i) row[i] -= a * v[i] + b * w[i];
}

// Turns two rows by an angle.
GRADD_MULTIVERSION_WIDE void Rotate(double cosine, double sine, int64_t size, double* upper,
                                    double* lower) {
  for (int64_t i = 0; i < size; ++i) {
    const double a = upper[i];
    const double b = lower[i];
    upper[i] = cosine * a - sine * b;
    lower[i] = sine * a + cosine * b;
  }
}

// In the order of Sum(), which is fixed.
double InnerProduct(const double* a, const double* b, int64_t size) {
  constexpr int64_t kRun = 256;
  double sum = 0;
  for (int64_t begin = 0; begin < size; begin += kRun) {
    const int64_t count = std::min(kRun, size - begin);
    double products[kRun];
    for (int64_t i = 0; i < count; ++i) products[i] = a[begin + i] * b[begin + i];
    sum += Sum(products, count);
  }
  return sum;
}

// sqrt(a^2 + b^2) without overflow. The C library's differs from machine to machine.
double Hypotenuse(double a, double b) {
  const double large = std::max(std::abs(a), std::abs(b));
  const double small = std::min(std::abs(a), std::abs(b));
  if (large == 0) return 0;
  const double ratio = small / large;
  return large * std::sqrt(1 + ratio * ratio);
}

}  // namespace

SymmetricEigen::SymmetricEigen(int64_t side, Scratch* scratch)
    : side_(side),
      diagonal_(scratch->Take<double>(side)),
      beside_(scratch->Take<double>(side)),
      betas_(scratch->Take<double>(side)),
      row_(scratch->Take<double>(side)),
      other_(scratch->Take<double>(side * side)) {}

void SymmetricEigen::Compute(double* matrix) {
  Reduce(matrix);
  Diagonalize(matrix);
}

// matrix = Q T Q^T with T tridiagonal; leaves Q^T in `matrix`.
void SymmetricEigen::Reduce(double* matrix) {
  const int64_t n = side_;
  for (int64_t k = 0; k + 2 < n; ++k) {
    // The reflection that leaves of row k nothing right of the element beside the diagonal. Its
    // vector takes the row's place.
    double* const v = matrix + k * n + k + 1;
    const int64_t size = n - k - 1;
    diagonal_[k] = matrix[k * n + k];
    double largest = 0;
    for (int64_t i = 0; i < size; ++i) largest = std::max(largest, std::abs(v[i]));
    if (largest == 0) {
      beside_[k] = 0;
      betas_[k] = 0;
      continue;
    }
    for (int64_t i = 0; i < size; ++i) v[i] /= largest;
    const double norm = std::copysign(std::sqrt(InnerProduct(v, v, size)), v[0]);
    v[0] += norm;
    beside_[k] = -norm * largest;
    const double beta = 1 / (norm * v[0]);  // 2 / |v|^2.
    betas_[k] = beta;
    // A - v w^T - w v^T for the rest of the matrix, with w = beta A v - (beta^2 v^T A v / 2) v.
    double* const w = row_;
    std::fill_n(w, size, 0.0);
    for (int64_t i = 0; i < size; ++i) {
      Add(beta * v[i], matrix + (k + 1 + i) * n + k + 1, size, w);
    }
    Add(-beta * InnerProduct(v, w, size) / 2, v, size, w);
    ThreadPool::Yield();
    for (int64_t i = 0; i < size; ++i) {
      TakeOff(v[i], w, w[i], v, size, matrix + (k + 1 + i) * n + k + 1);
    }
  }
  for (int64_t k = std::max<int64_t>(n - 2, 0); k < n; ++k) {
    diagonal_[k] = matrix[k * n + k];
    beside_[k] = k + 1 < n ? matrix[k * n + k + 1] : 0;
  }
  // Q is the product of the reflections; from the last one on, each touches only what is below it
  // and right of it.
  double* const q = other_;
  std::fill_n(q, n * n, 0.0);
  for (int64_t i = 0; i < n; ++i) q[i * n + i] = 1;
  for (int64_t k = n - 3; k >= 0; --k) {
    if (betas_[k] == 0) continue;
    const double* const v = matrix + k * n + k + 1;
    const int64_t size = n - k - 1;
    std::fill_n(row_, size, 0.0);
    for (int64_t i = 0; i < size; ++i) Add(v[i], q + (k + 1 + i) * n + k + 1, size, row_);
    for (int64_t i = 0; i < size; ++i) {
      Add(-betas_[k] * v[i], row_, size, q + (k + 1 + i) * n + k + 1);
    }
  }
  Transpose(q, n, n, matrix);
}

// The rows of `vectors`, Q^T, are turned as T becomes diagonal.
void SymmetricEigen::Diagonalize(double* vectors) {
  constexpr int kMostSteps = 60;  // Per eigenvalue; two or three do, unless values are not finite.
  constexpr double kEpsilon = std::numeric_limits<double>::epsilon();
  const int64_t n = side_;
  double* const d = diagonal_;
  double* const e = beside_;
  for (int64_t first = 0; first < n; ++first) {
    for (int step = 0; step < kMostSteps; ++step) {
      // The block from `first` on that has not come apart.
      int64_t last = first;
      while (last + 1 < n &&
             std::abs(e[last]) > kEpsilon * (std::abs(d[last]) + std::abs(d[last + 1]))) {
        ++last;
      }
      if (last == first) break;
      ThreadPool::Yield();  // Each such step goes over all rows once.
      const double half = (d[first + 1] - d[first]) / (2 * e[first]);
      const double root = std::copysign(Hypotenuse(half, 1), half);
      double g = d[last] - d[first] + e[first] / (half + root);
      double sine = 1;
      double cosine = 1;
      double shift = 0;
      bool split = false;
      for (int64_t i = last - 1; i >= first; --i) {
        const double f = sine * e[i];
        const double b = cosine * e[i];
        const double r = Hypotenuse(f, g);
        e[i + 1] = r;
        if (r == 0) {  // It comes apart within.
          d[i + 1] -= shift;
          e[last] = 0;
          split = true;
          break;
        }
        sine = f / r;
        cosine = g / r;
        const double before = d[i + 1] - shift;
        const double turn = (d[i] - before) * sine + 2 * cosine * b;
        shift = sine * turn;
        d[i + 1] = before + shift;
        g = cosine * turn - b;
        Rotate(cosine, sine, n, vectors + i * n, vectors + (i + 1) * n);
      }
      if (split) continue;
      d[first] -= shift;
      e[first] = g;
      e[last] = 0;
    }
  }
}

}  // namespace gradd
