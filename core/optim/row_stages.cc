#include "core/optim/row_stages.h"

#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "core/base/norms.h"
#include "core/optim/hyper_parameters.h"

namespace gradd {
namespace {

double Norm(const float* values, int64_t size) { return std::sqrt(LongSquaredNorm(values, size)); }

}  // namespace

void CentralizeGradient::Transform(const StepInput& /*input*/, const TensorShape& shape,
                                   const Vectors& vectors) const {
  const int64_t columns = shape.columns();
  for (int64_t row = 0; row < shape.rows(); ++row) {
    const float* const g = vectors.gradient + row * columns;
    const double mean = shape.is_matrix() ? Sum(g, columns) / static_cast<double>(columns) : 0;
    const auto rounded = static_cast<float>(mean);
    float* const result = vectors.result + row * columns;
    for (int64_t i = 0; i < columns; ++i) result[i] = g[i] - rounded;
  }
}

absl::StatusOr<std::vector<std::unique_ptr<TensorTransform>>> MakeRowStages(
    const v1::Optimizer& spec) {
  HyperParameters read("optimizer");
  const double clipping =
      GRADD_HYPER_PARAMETER(&read, spec, adaptive_clipping, 0, kAboveZeroUpToMillion);
  GRADD_RETURN_IF_ERROR(read.status());
  std::vector<std::unique_ptr<TensorTransform>> stages;
  if (spec.centralize_gradient()) stages.push_back(std::make_unique<CentralizeGradient>());
  if (clipping > 0) stages.push_back(std::make_unique<AdaptiveClipping>(clipping));
  return stages;
}

void AdaptiveClipping::Transform(const StepInput& /*input*/, const TensorShape& shape,
                                 const Vectors& vectors) const {
  const int64_t columns = shape.columns();
  for (int64_t row = 0; row < shape.rows(); ++row) {
    const float* const g = vectors.gradient + row * columns;
    const double most =
        clipping_ * std::max(Norm(vectors.parameters + row * columns, columns), kEpsilon);
    const double norm = Norm(g, columns);
    const auto factor = static_cast<float>(norm > most ? most / norm : 1);
    float* const result = vectors.result + row * columns;
    for (int64_t i = 0; i < columns; ++i) result[i] = factor * g[i];
  }
}

}  // namespace gradd
