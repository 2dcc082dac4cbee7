#include "worker/models/model_factory.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/base/number_text.h"
#include "worker/models/dense_network.h"
#include "worker/models/landscape_model.h"

namespace gradd {
namespace {

// Far above what a worker could train; keeps products of sizes within int64_t.
constexpr int64_t kMaxWidth = 1'000'000;
constexpr size_t kMaxLayers = 100;
constexpr int64_t kMaxFeatures = 1'000'000'000;

}  // namespace

absl::StatusOr<std::unique_ptr<Model<float>>> CreateModel(const ModelOptions& options,
                                                          int64_t features, int64_t classes,
                                                          ThreadPool* pool) {
  if (features < 1 || features > kMaxFeatures) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the data has ", features, " features, between 1 and ", kMaxFeatures, " expected"));
  }
  if (options.kind == ModelKind::kMlp) {
    if (options.hidden.empty() || options.hidden.size() > kMaxLayers) {
      return absl::InvalidArgumentError(absl::StrCat("model mlp: ", options.hidden.size(),
                                                     " hidden layers, between 1 and ", kMaxLayers,
                                                     " expected"));
    }
    for (const int64_t width : options.hidden) {
      if (width < 1 || width > kMaxWidth) {
        return absl::InvalidArgumentError(absl::StrCat("model mlp: a hidden layer of width ", width,
                                                       ", between 1 and ", kMaxWidth, " expected"));
      }
    }
  } else if (!options.hidden.empty()) {
    return absl::InvalidArgumentError(
        "hidden layers were given for a model that has none; they need model mlp");
  }
  if (options.kind == ModelKind::kLandscape) {
    const Point start = options.start.value_or(InfoOf(options.landscape).start);
    if (!std::isfinite(start[0]) || !std::isfinite(start[1])) {
      return absl::InvalidArgumentError(absl::StrCat("model landscape: start ", start[0], ",",
                                                     start[1], ", finite numbers expected"));
    }
    return std::make_unique<LandscapeModel>(options.landscape, start);
  }
  if (options.kind == ModelKind::kLinear) {
    if (classes != 0) {
      return absl::InvalidArgumentError(absl::StrCat("model linear: the data has ",
                                                     CountText(classes, "class", "classes"),
                                                     ", numeric targets expected"));
    }
    return std::make_unique<DenseNetwork<float>>(features, options.hidden, 1, Loss::kSquaredError,
                                                 pool);
  }
  if (classes < 2 || classes > kMaxWidth) {
    return absl::InvalidArgumentError(absl::StrCat("the model classifies, and the data has ",
                                                   CountText(classes, "class", "classes"),
                                                   ", between 2 and ", kMaxWidth, " expected"));
  }
  return std::make_unique<DenseNetwork<float>>(features, options.hidden, classes,
                                               Loss::kSoftmaxCrossEntropy, pool);
}

}  // namespace gradd
