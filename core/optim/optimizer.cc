#include "core/optim/optimizer.h"

namespace gradd {

const std::vector<ScalarSpec>& Optimizer::scalars() const {
  static const auto& none = *new std::vector<ScalarSpec>();
  return none;
}

std::vector<const TensorTransform*> Optimizer::transforms() const { return {}; }

void Optimizer::SumTile(const Tile& /*tile*/, double* /*sums*/) const {}

void Optimizer::EndSums(absl::Span<const double> /*sums*/, absl::Span<double> /*scalars*/) {}

}  // namespace gradd
