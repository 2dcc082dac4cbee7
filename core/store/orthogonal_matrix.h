#ifndef GRADD_CORE_STORE_ORTHOGONAL_MATRIX_H_
#define GRADD_CORE_STORE_ORTHOGONAL_MATRIX_H_

#include <cstdint>

#include "core/base/executor.h"

namespace gradd {

// A random matrix with orthonormal rows, or, where it has fewer columns, columns: the Q of the QR
// decomposition of a matrix of normally distributed values, or of its transpose, with the signs
// that make the diagonal of R positive. So it is any such matrix with the same probability
// (Mezzadri 2007, "How to generate random matrices from the classical compact groups").
//
// By Householder's reflections in double. Every column goes through the reflections on its own, in
// their order, and every sum has one order of additions: the bits depend neither on the threads nor
// on the processor.
class OrthogonalMatrix {
 public:
  static constexpr int64_t kMaxElements = int64_t{1} << 24;

  // The doubles that a matrix is made in.
  static int64_t ScratchSize(int64_t rows, int64_t columns) {
    return rows * columns + (rows < columns ? rows : columns);
  }

  // Makes it on the pool, in pieces of milliseconds. `scratch` outlives it.
  OrthogonalMatrix(int64_t rows, int64_t columns, uint64_t key, double* scratch, Executor* pool);

  // Writes elements [begin, begin + size) of the matrix, row by row and times `gain`, to `values`.
  // Thread safe.
  void Write(int64_t begin, int64_t size, double gain, float* values) const;

 private:
  // Column by column, of a matrix that has no more columns than rows: transposed where it had.
  double* column(int64_t index) const { return matrix_ + index * height_; }
  void Draw(uint64_t key, Executor* pool) const;
  // Puts the vectors of the reflections below the diagonal, the factors into scales_ and the
  // diagonal of R onto it.
  void Decompose(Executor* pool) const;
  // Makes Q of them, in their place.
  void Compose(Executor* pool) const;
  // Lets columns [begin, end) go through the reflections [from, to).
  void Reflect(int64_t from, int64_t to, bool backwards, int64_t begin, int64_t end,
               Executor* pool) const;
  void ReflectColumn(int64_t reflection, int64_t column) const;
  // So many reflections are in the cache while columns go through them.
  int64_t Panel() const;

  const bool transposed_;
  const int64_t height_;
  const int64_t width_;  // At most height_.
  double* const matrix_;
  double* const scales_;
};

}  // namespace gradd

#endif  // GRADD_CORE_STORE_ORTHOGONAL_MATRIX_H_
