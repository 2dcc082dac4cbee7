#ifndef GRADD_WORKER_DATA_DATASET_H_
#define GRADD_WORKER_DATA_DATASET_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "worker/models/model.h"

namespace gradd {

// Examples copied out of a data set, ready for a model. Its memory is kept from one
// use to the next.
struct Batch {
  int64_t examples = 0;
  std::vector<float> features;
  std::vector<int32_t> labels;
  std::vector<float> targets;

  BatchView<float> View() const { return {examples, features, labels, targets}; }
};

// How the numbers of a data set become features: (number - offset) * scale. Both have
// one entry for all features or one for each.
struct FeatureScaling {
  std::vector<float> offset = {0};
  std::vector<float> scale = {1};
};

// Which mean and standard deviation are taken out of the features.
enum class Standardization {
  kNone,
  kGlobal,   // Those of all numbers together: for pixels.
  kFeature,  // Those of each feature: for columns of different units.
};

// Examples in memory. Pixels stay bytes until they are gathered, a quarter of the
// memory. Reading is thread safe.
class Dataset {
 public:
  Dataset() = default;

  // Classification: labels in [0, classes), as many as there are examples.
  static Dataset OfBytes(int64_t features, std::vector<uint8_t> numbers,
                         std::vector<int32_t> labels, int64_t classes);
  static Dataset OfFloats(int64_t features, std::vector<float> numbers, std::vector<int32_t> labels,
                          int64_t classes);
  // Regression.
  static Dataset OfFloats(int64_t features, std::vector<float> numbers, std::vector<float> targets);

  int64_t examples() const { return examples_; }
  int64_t features() const { return features_; }
  int64_t classes() const { return classes_; }  // 0: regression.

  // The scaling that gives this data set the mean 0 and the standard deviation 1. What
  // does not vary at all keeps its scale. kNone: bytes become [0, 1], other numbers stay.
  FeatureScaling ScalingFor(Standardization standardization) const;
  // `scaling` has one entry or features() of them.
  void set_scaling(FeatureScaling scaling);

  // Copies the examples with these indices into `batch`.
  void Gather(absl::Span<const uint32_t> indices, Batch* batch) const;
  // Copies examples [begin, begin + count) into `batch`.
  void GatherRange(int64_t begin, int64_t count, Batch* batch) const;

 private:
  void Resize(int64_t examples, Batch* batch) const;
  void Copy(int64_t from, int64_t to, Batch* batch) const;

  int64_t examples_ = 0;
  int64_t features_ = 0;
  int64_t classes_ = 0;
  // One of the two is empty.
  std::vector<uint8_t> bytes_;
  std::vector<float> floats_;
  std::vector<int32_t> labels_;
  std::vector<float> targets_;
  FeatureScaling scaling_;
};

}  // namespace gradd

#endif  // GRADD_WORKER_DATA_DATASET_H_
