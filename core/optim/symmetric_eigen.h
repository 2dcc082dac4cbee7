#ifndef GRADD_CORE_OPTIM_SYMMETRIC_EIGEN_H_
#define GRADD_CORE_OPTIM_SYMMETRIC_EIGEN_H_

#include <cstdint>

#include "core/optim/scratch.h"

namespace gradd {

// Eigenvalues and eigenvectors of a symmetric matrix, with the same bits on every machine:
// Householder's reduction to a tridiagonal matrix, then QL steps with implicit shifts (Bowdler,
// Martin, Reinsch and Wilkinson 1968, "The QR and QL algorithms for symmetric matrices"; Golub and
// Van Loan, "Matrix Computations", sections 8.3.1 and 8.3.3).
class SymmetricEigen {
 public:
  // For matrices of so many rows.
  SymmetricEigen(int64_t side, Scratch* scratch);

  // `matrix`, row by row, is overwritten: row i becomes the eigenvector of values()[i], of length
  // 1. Where values are not finite, so is the result.
  void Compute(double* matrix);
  const double* values() const { return diagonal_; }
  // Room for a matrix that Compute() uses, and nobody between its calls.
  double* spare() { return other_; }

 private:
  void Reduce(double* matrix);
  void Diagonalize(double* vectors);

  const int64_t side_;
  double* const diagonal_;
  double* const beside_;  // Elements beside the diagonal; the last one is 0.
  double* const betas_;   // Of the reflections I - beta v v^T.
  double* const row_;
  double* const other_;
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_SYMMETRIC_EIGEN_H_
