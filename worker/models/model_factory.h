#ifndef GRADD_WORKER_MODELS_MODEL_FACTORY_H_
#define GRADD_WORKER_MODELS_MODEL_FACTORY_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/thread_pool.h"
#include "worker/models/landscape.h"
#include "worker/models/model.h"

namespace gradd {

// The models of the reference worker.
enum class ModelKind {
  kSoftmax,    // Softmax regression.
  kMlp,        // Multi-layer perceptron with ReLU and softmax cross-entropy.
  kLinear,     // Linear regression with the mean squared error.
  kLandscape,  // A function of two parameters.
};

// Which model.
struct ModelOptions {
  ModelKind kind = ModelKind::kSoftmax;
  std::vector<int64_t> hidden;             // Widths of the hidden layers; kMlp only, at least one.
  Landscape landscape = Landscape::kBowl;  // kLandscape only, and so is
  std::optional<Point> start = std::nullopt;  // where its path begins; unset: at its own start.
};

// Builds the model for examples of `features` numbers in `classes` classes (0 for
// regression). INVALID_ARGUMENT where options and data do not fit. `pool` is as for
// DenseNetwork.
absl::StatusOr<std::unique_ptr<Model<float>>> CreateModel(const ModelOptions& options,
                                                          int64_t features, int64_t classes,
                                                          ThreadPool* pool = nullptr);

}  // namespace gradd

#endif  // GRADD_WORKER_MODELS_MODEL_FACTORY_H_
