#ifndef GRADD_CORE_OPTIM_MATRIX_PRODUCT_H_
#define GRADD_CORE_OPTIM_MATRIX_PRODUCT_H_

#include <cstdint>

#include "core/optim/scratch.h"

namespace gradd {

// A matrix to read: element (r, c) is data[r * row_stride + c * column_stride].
template <typename Scalar>
struct MatrixView {
  const Scalar* data;
  int64_t rows;
  int64_t columns;
  int64_t row_stride;
  int64_t column_stride;

  // Row by row, without gaps.
  static MatrixView Of(const Scalar* data, int64_t rows, int64_t columns) {
    return {data, rows, columns, columns, 1};
  }
  MatrixView Transposed() const { return {data, columns, rows, column_stride, row_stride}; }
};

// Products of matrices of float or double, with the same bits on every processor: each element adds
// its products in the order of the inner index, 256 of them from zero and then those sums, each
// product rounded before it is added. Vectors are as wide as the processor's; they hold elements of
// the result, and never parts of one sum.
//
// Why not Eigen or a BLAS: both pick instructions, fused or not, and the order of additions for the
// processor they find.
template <typename Scalar>
class MatrixProduct {
 public:
  // Its memory for copies of what it multiplies, in the order in which it reads them.
  explicit MatrixProduct(Scratch* scratch)
      : left_(scratch->Take<Scalar>(kLeftRows * kDepth)),
        right_(scratch->Take<Scalar>(kDepth * kRightColumns)) {}

  // out = left * right, row by row without gaps. It overlaps neither.
  void Multiply(const MatrixView<Scalar>& left, const MatrixView<Scalar>& right,
                Scalar* out) const {
    Run(left, right, /*symmetric=*/false, out);
  }
  // The same at half the cost where the result is known to be symmetric, as left * left^T is.
  void MultiplySymmetric(const MatrixView<Scalar>& left, const MatrixView<Scalar>& right,
                         Scalar* out) const {
    Run(left, right, /*symmetric=*/true, out);
  }

 private:
  // What is copied at a time: together they stay in the second-level cache.
  static constexpr int64_t kDepth = 256;
  static constexpr int64_t kLeftRows = 96;       // A multiple of every kernel's rows,
  static constexpr int64_t kRightColumns = 512;  // and this of its columns.

  template <typename>
  friend struct ProductLoops;

  void Run(const MatrixView<Scalar>& left, const MatrixView<Scalar>& right, bool symmetric,
           Scalar* out) const;

  Scalar* const left_;
  Scalar* const right_;
};

extern template class MatrixProduct<float>;
extern template class MatrixProduct<double>;

// to = from^T; `from` has `rows` rows without gaps. They do not overlap.
template <typename Scalar>
void Transpose(const Scalar* from, int64_t rows, int64_t columns, Scalar* to);

extern template void Transpose(const float*, int64_t, int64_t, float*);
extern template void Transpose(const double*, int64_t, int64_t, double*);

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_MATRIX_PRODUCT_H_
