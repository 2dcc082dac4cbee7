#include "worker/models/landscape_model.h"

namespace gradd {
namespace {

constexpr size_t kDimensions = 2;

v1::Layout LayoutAt(const Point& start) {
  v1::Layout layout;
  for (size_t i = 0; i < kDimensions; ++i) {
    v1::Tensor& tensor = *layout.add_tensors();
    tensor.set_name(i == 0 ? "x" : "y");
    tensor.mutable_initializer()->set_constant(static_cast<float>(start[i]));
  }
  return layout;
}

Point PointOf(absl::Span<const float> parameters) {
  return {static_cast<double>(parameters[0]), static_cast<double>(parameters[1])};
}

// The sum of the examples' noise.
Point NoiseOf(const BatchView<float>& batch) {
  Point sum = {0, 0};
  for (size_t i = 0; i < batch.features.size(); ++i) {
    sum[i % kDimensions] += static_cast<double>(batch.features[i]);
  }
  return sum;
}

}  // namespace

LandscapeModel::LandscapeModel(Landscape landscape, const Point& start)
    : Model(LayoutAt(start), kDimensions), landscape_(landscape) {}

double LandscapeModel::AddGradient(absl::Span<const float> parameters,
                                   const BatchView<float>& batch, float scale,
                                   absl::Span<float> gradient) {
  const Point point = PointOf(parameters);
  const Slope slope = SlopeAt(landscape_, point);
  const Point noise = NoiseOf(batch);
  const auto examples = static_cast<double>(batch.examples);
  double loss = examples * slope.value;
  for (size_t i = 0; i < kDimensions; ++i) {
    const double sum = examples * slope.gradient[i] + noise[i];
    gradient[i] += static_cast<float>(static_cast<double>(scale) * sum);
    loss += noise[i] * point[i];
  }
  return loss;
}

EvaluationSums LandscapeModel::Evaluate(absl::Span<const float> parameters,
                                        const BatchView<float>& batch) {
  const Point point = PointOf(parameters);
  const Point noise = NoiseOf(batch);
  EvaluationSums sums;
  sums.examples = batch.examples;
  sums.loss = static_cast<double>(batch.examples) * SlopeAt(landscape_, point).value +
              noise[0] * point[0] + noise[1] * point[1];
  return sums;
}

}  // namespace gradd
