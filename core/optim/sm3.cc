#include "core/optim/sm3.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"

namespace gradd {
namespace {

// As many accumulators as there are dimensions; a scalar has one.
std::vector<int64_t> CoverOf(const TensorShape& shape) {
  return shape.dimensions.empty() ? std::vector<int64_t>{1} : shape.dimensions;
}

}  // namespace

Sm3 Sm3::Read(const v1::Sm3& in, HyperParameters* read) {
  Sm3 rule;
  rule.momentum_ = GRADD_HYPER_PARAMETER(read, in, momentum, rule.momentum_, kFromZeroBelowOne);
  return rule;
}

std::vector<TensorStateSpec> Sm3::State(const TensorShape& shape) const {
  std::vector<TensorStateSpec> state = {{"first_moment", shape.elements()}};
  for (const int64_t length : CoverOf(shape)) {
    state.push_back({absl::StrCat("slice_sum_", state.size() - 1), length});
  }
  return state;
}

void Sm3::Transform(const StepInput& input, const TensorShape& shape,
                    const Vectors& vectors) const {
  const std::vector<int64_t> lengths = CoverOf(shape);
  const size_t dimensions = lengths.size();
  std::vector<std::vector<float>> next(dimensions);
  for (size_t d = 0; d < dimensions; ++d) next[d].resize(static_cast<size_t>(lengths[d]));
  const auto momentum = static_cast<float>(momentum_);
  const auto take = static_cast<float>(1 - momentum_);
  const auto rate = static_cast<float>(input.learning_rate);
  float* const m = vectors.state[0];
  std::vector<size_t> at(dimensions);  // The element's place in each dimension.
  for (int64_t i = 0; i < shape.elements(); ++i) {
    const float g = vectors.gradient[i];
    float v = std::numeric_limits<float>::max();
    for (size_t d = 0; d < dimensions; ++d) v = std::min(v, vectors.state[1 + d][at[d]]);
    v += g * g;
    for (size_t d = 0; d < dimensions; ++d) next[d][at[d]] = std::max(next[d][at[d]], v);
    const float scaled = v > 0 ? g / std::sqrt(v) : 0;
    m[i] = momentum * m[i] + take * scaled;
    vectors.result[i] = rate * m[i];
    for (size_t d = dimensions; d-- > 0;) {
      if (++at[d] < static_cast<size_t>(lengths[d])) break;
      at[d] = 0;
    }
  }
  for (size_t d = 0; d < dimensions; ++d) {
    std::copy(next[d].begin(), next[d].end(), vectors.state[1 + d]);
  }
}

}  // namespace gradd
