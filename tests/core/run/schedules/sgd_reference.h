#ifndef GRADD_TESTS_CORE_RUN_SGD_REFERENCE_H_
#define GRADD_TESTS_CORE_RUN_SGD_REFERENCE_H_

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace gradd {

// A push as whoever sent it knows it.
struct SentPush {
  int64_t sequence = 0;
  int64_t base_step = 0;
  int64_t examples = 1;
  uint64_t timeline = 0;  // That it is of.
  double factor = 1;      // What its gradient is multiplied with.
  // Null where the push is malformed in a way that leaves none.
  std::shared_ptr<const std::vector<float>> gradient;
  bool malformed = false;
  bool non_finite = false;
  bool huge = false;
  // Of a data set; where there is none, empty. `odd`: they may be refused.
  std::vector<int64_t> batches;
  bool odd = false;
};

// Gradient descent in float64, for some of the elements, and how far float32 may be from it.
class SgdReference {
 public:
  explicit SgdReference(int64_t elements) {
    constexpr int64_t kElements = 16;
    for (int64_t i = 0; i < std::min(kElements, elements); ++i) {
      positions_.push_back(
          static_cast<size_t>(elements <= kElements ? i : i * (elements - 1) / (kElements - 1)));
    }
    values_.resize(positions_.size());
    bounds_.resize(positions_.size());
  }

  // Goes on from there.
  void Set(const std::vector<float>& parameters) {
    for (size_t i = 0; i < positions_.size(); ++i) {
      values_[i] = static_cast<double>(parameters[positions_[i]]);
      bounds_[i] = 0;
    }
  }

  // p = p - rate * mean, where the mean is that of all examples.
  void Step(double rate, const std::vector<SentPush>& pushes) {
    constexpr double kRounding = 1e-6;  // 16 roundings of a float32.
    double examples = 0;
    for (const SentPush& push : pushes) examples += static_cast<double>(push.examples);
    for (size_t i = 0; i < positions_.size(); ++i) {
      double mean = 0;
      double magnitude = 0;
      for (const SentPush& push : pushes) {
        const double term = push.factor * static_cast<double>(push.examples) / examples *
                            static_cast<double>((*push.gradient)[positions_[i]]);
        mean += term;
        magnitude += std::abs(term);
      }
      values_[i] -= rate * mean;
      bounds_[i] += kRounding * (std::abs(values_[i]) + rate * magnitude);
    }
  }

  // Empty, or what differs.
  std::string Compare(const std::vector<float>& parameters) const {
    for (size_t i = 0; i < positions_.size(); ++i) {
      const auto found = static_cast<double>(parameters[positions_[i]]);
      if (std::abs(found - values_[i]) <= bounds_[i]) continue;
      return absl::StrCat("parameter ", positions_[i], " is ", found, ", and not ", values_[i],
                          " within ", bounds_[i]);
    }
    return "";
  }

 private:
  std::vector<size_t> positions_;
  std::vector<double> values_;
  std::vector<double> bounds_;
};

}  // namespace gradd

#endif  // GRADD_TESTS_CORE_RUN_SGD_REFERENCE_H_
