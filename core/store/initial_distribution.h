#ifndef GRADD_CORE_STORE_INITIAL_DISTRIBUTION_H_
#define GRADD_CORE_STORE_INITIAL_DISTRIBUTION_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gradd/v1/layout.pb.h"

namespace gradd {

// What an initializer comes to for a tensor of a certain shape: a distribution with its numbers.
struct InitialDistribution {
  enum class Kind { kConstant, kUniform, kNormal, kTruncatedNormal, kOrthogonal };

  Kind kind = Kind::kConstant;
  float constant = 0;
  // kUniform: in [low, high). kTruncatedNormal: in [low, high].
  float low = 0;
  float high = 0;
  // kNormal; kTruncatedNormal: before it is cut.
  double mean = 0;
  double deviation = 1;
  // kOrthogonal: a matrix, row by row, with orthogonal rows or columns of that length.
  int64_t rows = 0;
  int64_t columns = 0;
  double gain = 1;
};

// The distribution of a tensor whose initializer is valid.
InitialDistribution DistributionOf(const v1::Tensor& tensor);

// No value of it has a larger magnitude.
float LargestValueOf(const InitialDistribution& distribution);

// INVALID_ARGUMENT names the field, what was found and what was expected. `where` names the tensor,
// each of whose dimensions is at least 1.
absl::Status CheckInitializer(absl::string_view where, const v1::Tensor& tensor);

}  // namespace gradd

#endif  // GRADD_CORE_STORE_INITIAL_DISTRIBUTION_H_
