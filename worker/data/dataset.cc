#include "worker/data/dataset.h"

#include <cmath>
#include <utility>

namespace gradd {
namespace {

// Mean and reciprocal standard deviation of one feature, or of all.
void AddMoments(double count, double sum, double squares, FeatureScaling* scaling) {
  const double mean = sum / count;
  const double variance = squares / count - mean * mean;
  // Cancellation leaves a variance of about 1e-16 of the squares where there is none.
  const bool varies = variance > 1e-12 * (squares / count);
  scaling->offset.push_back(static_cast<float>(mean));
  scaling->scale.push_back(varies ? static_cast<float>(1 / std::sqrt(variance)) : 1.0F);
}

template <typename Number>
FeatureScaling Moments(const std::vector<Number>& numbers, size_t features, bool per_feature) {
  std::vector<double> sums(features);
  std::vector<double> squares(features);
  int64_t rows = 0;
  for (size_t i = 0; i < numbers.size(); i += features) {
    ++rows;
    for (size_t j = 0; j < features; ++j) {
      const double number = static_cast<double>(numbers[i + j]);
      sums[j] += number;
      squares[j] += number * number;
    }
  }
  FeatureScaling scaling{{}, {}};
  if (per_feature) {
    for (size_t j = 0; j < features; ++j) {
      AddMoments(static_cast<double>(rows), sums[j], squares[j], &scaling);
    }
    return scaling;
  }
  double sum = 0;
  double square = 0;
  for (size_t j = 0; j < features; ++j) {
    sum += sums[j];
    square += squares[j];
  }
  AddMoments(static_cast<double>(numbers.size()), sum, square, &scaling);
  return scaling;
}

template <typename Number>
void Scale(const Number* from, size_t features, const FeatureScaling& scaling, float* to) {
  if (scaling.offset.size() == 1) {
    const float offset = scaling.offset[0];
    const float scale = scaling.scale[0];
    for (size_t i = 0; i < features; ++i) to[i] = (static_cast<float>(from[i]) - offset) * scale;
    return;
  }
  const float* offset = scaling.offset.data();
  const float* scale = scaling.scale.data();
  for (size_t i = 0; i < features; ++i) {
    to[i] = (static_cast<float>(from[i]) - offset[i]) * scale[i];
  }
}

}  // namespace

Dataset Dataset::OfBytes(int64_t features, std::vector<uint8_t> numbers,
                         std::vector<int32_t> labels, int64_t classes) {
  Dataset dataset;
  dataset.features_ = features;
  dataset.classes_ = classes;
  dataset.examples_ = static_cast<int64_t>(labels.size());
  dataset.bytes_ = std::move(numbers);
  dataset.labels_ = std::move(labels);
  return dataset;
}

Dataset Dataset::OfFloats(int64_t features, std::vector<float> numbers, std::vector<int32_t> labels,
                          int64_t classes) {
  Dataset dataset;
  dataset.features_ = features;
  dataset.classes_ = classes;
  dataset.examples_ = static_cast<int64_t>(labels.size());
  dataset.floats_ = std::move(numbers);
  dataset.labels_ = std::move(labels);
  return dataset;
}

Dataset Dataset::OfFloats(int64_t features, std::vector<float> numbers,
                          std::vector<float> targets) {
  Dataset dataset;
  dataset.features_ = features;
  dataset.examples_ = static_cast<int64_t>(targets.size());
  dataset.floats_ = std::move(numbers);
  dataset.targets_ = std::move(targets);
  return dataset;
}

FeatureScaling Dataset::ScalingFor(Standardization standardization) const {
  if (standardization == Standardization::kNone || examples_ == 0) {
    return bytes_.empty() ? FeatureScaling() : FeatureScaling{{0}, {1.0F / 255}};
  }
  const bool per_feature = standardization == Standardization::kFeature;
  const size_t features = static_cast<size_t>(features_);
  return bytes_.empty() ? Moments(floats_, features, per_feature)
                        : Moments(bytes_, features, per_feature);
}

void Dataset::set_scaling(FeatureScaling scaling) { scaling_ = std::move(scaling); }

void Dataset::Resize(int64_t examples, Batch* batch) const {
  const size_t count = static_cast<size_t>(examples);
  batch->examples = examples;
  batch->features.resize(count * static_cast<size_t>(features_));
  batch->labels.resize(labels_.empty() ? 0 : count);
  batch->targets.resize(targets_.empty() ? 0 : count);
}

void Dataset::Copy(int64_t from, int64_t to, Batch* batch) const {
  const size_t features = static_cast<size_t>(features_);
  const size_t source = static_cast<size_t>(from);
  const size_t target = static_cast<size_t>(to);
  float* numbers = batch->features.data() + target * features;
  if (bytes_.empty()) {
    Scale(floats_.data() + source * features, features, scaling_, numbers);
  } else {
    Scale(bytes_.data() + source * features, features, scaling_, numbers);
  }
  if (!labels_.empty()) batch->labels[target] = labels_[source];
  if (!targets_.empty()) batch->targets[target] = targets_[source];
}

void Dataset::Gather(absl::Span<const uint32_t> indices, Batch* batch) const {
  const int64_t count = static_cast<int64_t>(indices.size());
  Resize(count, batch);
  for (int64_t i = 0; i < count; ++i) Copy(indices[static_cast<size_t>(i)], i, batch);
}

void Dataset::GatherRange(int64_t begin, int64_t count, Batch* batch) const {
  Resize(count, batch);
  for (int64_t i = 0; i < count; ++i) Copy(begin + i, i, batch);
}

}  // namespace gradd
