#include "tests/core/run/pairs/comparison.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "tests/core/run/pairs/tiny_model.h"

namespace gradd {
namespace {

// Some rules find their rate from how far all parameters have gone, which at first is so little
// that most of its digits are lost where parameters are rounded; the table's own test begins at 0.
// Others divide by gradients of earlier steps alone: where such a mean is small, its roundings are
// not.
bool LosesDigits(const OptimizerCase& row) {
  switch (OptimizerOf(row).kind_case()) {
    case v1::Optimizer::kDAdaptAdam:
    case v1::Optimizer::kProdigy:
    case v1::Optimizer::kDog:
    case v1::Optimizer::kDowg:
    case v1::Optimizer::kAdopt:
    case v1::Optimizer::kAcProp:
      return true;
    default:
      return false;
  }
}

}  // namespace

void Comparison::ExpectNear(const std::string& what, double found, double expected, double bound) {
  const double difference = std::abs(found - expected);
  if (difference <= bound) return;
  Fail(absl::StrCat(what, ": ", found, ", expected ", expected, ", ", difference / bound,
                    " times what may be"));
}

void Comparison::NoteRow(const OptimizerCase& row) {
  error_bound_ = std::max(error_bound_, row.error_bound);
  roundings_grow_ = roundings_grow_ || row.roundings_grow || LosesDigits(row);
}

void Comparison::ExpectVector(const std::string& what, const std::vector<float>& found,
                              const ReferenceOptimizer& exact, const ReferenceOptimizer& rounded,
                              VectorOf of) {
  if (!ok()) return;
  const std::vector<double> expected = (exact.*of)();
  std::vector<double> grown = (rounded.*of)();
  for (size_t i = 0; i < expected.size(); ++i) grown[i] = std::abs(grown[i] - expected[i]);
  if (roundings_grow_) {
    std::fill(grown.begin(), grown.end(), *std::max_element(grown.begin(), grown.end()));
  }
  for (const size_t tensor : {kLeft, kMiddle, kBias, kRight, kStill}) {
    const TinyTensor& each = TinyTensors()[tensor];
    for (size_t i = each.begin; i < each.begin + each.size(); ++i) {
      const double largest = std::max(exact.largest()[i], 0.1);
      const double bound = tensor == kStill ? 0 : std::max(error_bound_ * largest, 10 * grown[i]);
      const auto value = static_cast<double>(found[i]);
      if (std::abs(value - expected[i]) <= bound) continue;
      return ExpectNear(absl::StrCat(what, ", ", each.name, "[", i - each.begin, "]"), value,
                        expected[i], bound);
    }
  }
}

}  // namespace gradd
