#ifndef GRADD_CORE_OPTIM_MATRIX_H_
#define GRADD_CORE_OPTIM_MATRIX_H_

#include <Eigen/Core>

namespace gradd {

template <typename Scalar>
using RowMajorMatrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// Eigen cuts products into pieces that fit the caches, and so adds in an order that depends on the
// machine's. To be called before any product: from then on, the order is the same everywhere.
void FixOrderOfProducts();

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_MATRIX_H_
