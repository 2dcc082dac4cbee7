#ifndef GRADD_WORKER_MODELS_LANDSCAPE_MODEL_H_
#define GRADD_WORKER_MODELS_LANDSCAPE_MODEL_H_

#include "worker/models/landscape.h"
#include "worker/models/model.h"

namespace gradd {

// A landscape as something to train: its two parameters are the point, in scalar tensors `x` and
// `y` that start where the path begins. An example has two features, which are noise: its loss is
// value + features * point, so that its gradient is the landscape's plus the noise. Without noise,
// all examples are the same. Value and gradient are computed in double and rounded once.
class LandscapeModel final : public Model<float> {
 public:
  LandscapeModel(Landscape landscape, const Point& start);

  double AddGradient(absl::Span<const float> parameters, const BatchView<float>& batch, float scale,
                     absl::Span<float> gradient) override;
  EvaluationSums Evaluate(absl::Span<const float> parameters,
                          const BatchView<float>& batch) override;

 private:
  const Landscape landscape_;
};

}  // namespace gradd

#endif  // GRADD_WORKER_MODELS_LANDSCAPE_MODEL_H_
