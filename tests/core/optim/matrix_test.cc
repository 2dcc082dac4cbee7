// The products and eigenvectors that optimizers of whole tensors are made of.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "core/optim/matrix_product.h"
#include "core/optim/scratch_pool.h"
#include "core/optim/symmetric_eigen.h"

namespace gradd {
namespace {

template <typename Scalar>
std::vector<Scalar> Random(int64_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<Scalar> normal;
  std::vector<Scalar> values(static_cast<size_t>(size));
  for (Scalar& value : values) value = normal(random);
  return values;
}

template <typename Scalar>
class MatrixProductTest : public testing::Test {
 protected:
  MatrixProductTest() : memory_(1, Bytes()) { memory_.Allocate(); }

  static int64_t Bytes() {
    Scratch count;
    MatrixProduct<Scalar> product(&count);
    return count.bytes();
  }

  ScratchPool memory_;
};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(MatrixProductTest, Scalars);

TYPED_TEST(MatrixProductTest, IsTheProductForAnySides) {
  using View = MatrixView<TypeParam>;
  const ScratchPool::Loan loan(&this->memory_);
  Scratch scratch(loan.memory());
  const MatrixProduct<TypeParam> product(&scratch);
  // Below and above what kernels and copies hold, and one more than a multiple of it.
  for (const int64_t rows : {1, 5, 97, 200}) {
    for (const int64_t columns : {1, 17, 33, 513}) {
      for (const int64_t depth : {1, 7, 256, 300}) {
        const auto left = Random<TypeParam>(rows * depth, 1);
        const auto right = Random<TypeParam>(depth * columns, 2);
        std::vector<TypeParam> turned(right.size());
        Transpose(right.data(), depth, columns, turned.data());
        std::vector<TypeParam> out(static_cast<size_t>(rows * columns) + 1, -1);
        std::vector<TypeParam> same = out;
        product.Multiply(View::Of(left.data(), rows, depth), View::Of(right.data(), depth, columns),
                         out.data());
        product.Multiply(View::Of(left.data(), rows, depth),
                         View::Of(turned.data(), columns, depth).Transposed(), same.data());
        ASSERT_EQ(out, same);
        ASSERT_EQ(out.back(), -1) << "written past the end";
        for (int64_t i = 0; i < rows * columns; i += 1 + rows * columns / 50) {
          double expected = 0;
          for (int64_t k = 0; k < depth; ++k) {
            expected += static_cast<double>(left[static_cast<size_t>(i / columns * depth + k)]) *
                        static_cast<double>(right[static_cast<size_t>(k * columns + i % columns)]);
          }
          const double bound = 30.0 * std::numeric_limits<TypeParam>::epsilon() *
                               std::sqrt(static_cast<double>(depth));
          ASSERT_NEAR(out[static_cast<size_t>(i)], expected, bound)
              << rows << " " << columns << " " << depth;
        }
      }
    }
  }
}

TYPED_TEST(MatrixProductTest, SymmetricOnesAreTheSameBits) {
  using View = MatrixView<TypeParam>;
  const ScratchPool::Loan loan(&this->memory_);
  Scratch scratch(loan.memory());
  const MatrixProduct<TypeParam> product(&scratch);
  for (const int64_t side : {1, 13, 100, 600}) {
    const int64_t depth = 301;
    const auto left = Random<TypeParam>(side * depth, 3);
    const View view = View::Of(left.data(), side, depth);
    std::vector<TypeParam> whole(static_cast<size_t>(side * side));
    std::vector<TypeParam> half(whole.size());
    product.Multiply(view, view.Transposed(), whole.data());
    product.MultiplySymmetric(view, view.Transposed(), half.data());
    ASSERT_EQ(whole, half) << side;
  }
}

class SymmetricEigenTest : public testing::TestWithParam<int64_t> {};

TEST_P(SymmetricEigenTest, TakesAMatrixApart) {
  const int64_t n = GetParam();
  const auto side = static_cast<size_t>(n);
  Scratch count;
  SymmetricEigen(n, &count);
  ScratchPool pool(1, count.bytes());
  pool.Allocate();
  const ScratchPool::Loan loan(&pool);
  for (const bool full : {true, false}) {
    // G G^T with as many columns as rows, or with so few that most eigenvalues are 0.
    const size_t columns = full ? side : (side + 3) / 4;
    const auto g = Random<double>(static_cast<int64_t>(side * columns), 5);
    std::vector<double> matrix(side * side);
    for (size_t i = 0; i < side; ++i) {
      for (size_t j = 0; j < side; ++j) {
        for (size_t k = 0; k < columns; ++k) {
          matrix[i * side + j] += g[i * columns + k] * g[j * columns + k];
        }
      }
    }
    Scratch scratch(loan.memory());
    SymmetricEigen eigen(n, &scratch);
    std::vector<double> vectors = matrix;
    eigen.Compute(vectors.data());
    double largest = 1e-300;
    for (size_t i = 0; i < side; ++i) largest = std::max(largest, eigen.values()[i]);
    for (size_t i = 0; i < side; ++i) {
      for (size_t j = 0; j < side; ++j) {
        double of_matrix = 0;
        double of_identity = 0;
        for (size_t k = 0; k < side; ++k) {
          of_matrix += eigen.values()[k] * vectors[k * side + i] * vectors[k * side + j];
          of_identity += vectors[i * side + k] * vectors[j * side + k];
        }
        ASSERT_NEAR(of_matrix, matrix[i * side + j], 1e-13 * largest * std::sqrt(n));
        ASSERT_NEAR(of_identity, i == j ? 1 : 0, 1e-13 * std::sqrt(n));
      }
    }
  }
}

TEST_P(SymmetricEigenTest, EndsForWhatIsNotFinite) {
  const int64_t n = GetParam();
  Scratch count;
  SymmetricEigen(n, &count);
  ScratchPool pool(1, count.bytes());
  pool.Allocate();
  const ScratchPool::Loan loan(&pool);
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(), 1e200}) {
    Scratch scratch(loan.memory());
    SymmetricEigen eigen(n, &scratch);
    std::vector<double> matrix(static_cast<size_t>(n * n), bad);
    eigen.Compute(matrix.data());
  }
}

INSTANTIATE_TEST_SUITE_P(Sides, SymmetricEigenTest, testing::Values(1, 2, 3, 4, 7, 50, 130));

}  // namespace
}  // namespace gradd
