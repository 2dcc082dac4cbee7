#include "core/optim/sm3.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "core/optim/element_math.h"
#include "core/optim/scratch.h"

namespace gradd {
namespace {

// As many accumulators as there are dimensions; a scalar has one.
size_t CoverSize(const TensorShape& shape) { return std::max<size_t>(shape.dimensions.size(), 1); }
int64_t LengthOf(const TensorShape& shape, size_t slice) {
  return shape.dimensions.empty() ? 1 : shape.dimensions[slice];
}

struct Sm3Room {
  Sm3Room(const TensorShape& shape, Scratch* scratch)
      : at(scratch->Take<int64_t>(static_cast<int64_t>(CoverSize(shape)))),
        next(scratch->Take<float*>(static_cast<int64_t>(CoverSize(shape)))) {
    for (size_t d = 0; d < CoverSize(shape); ++d) {
      const int64_t length = LengthOf(shape, d);
      float* const accumulator = scratch->Take<float>(length);
      if (accumulator == nullptr) continue;
      std::fill_n(accumulator, length, 0.0F);
      next[d] = accumulator;
      at[d] = 0;
    }
  }

  int64_t* const at;   // The element's place in each dimension.
  float** const next;  // What the accumulators will be.
};

}  // namespace

Sm3 Sm3::Read(const v1::Sm3& in, HyperParameters* read) {
  Sm3 rule;
  rule.momentum_ = GRADD_HYPER_PARAMETER(read, in, momentum, rule.momentum_, kFromZeroBelowOne);
  return rule;
}

std::vector<TensorStateSpec> Sm3::State(const TensorShape& shape) const {
  std::vector<TensorStateSpec> state = {{"first_moment", shape.elements()}};
  for (size_t d = 0; d < CoverSize(shape); ++d) {
    state.push_back({absl::StrCat("slice_sum_", d), LengthOf(shape, d)});
  }
  return state;
}

int64_t Sm3::ScratchBytes(const TensorShape& shape) const {
  Scratch scratch;
  Sm3Room(shape, &scratch);
  return scratch.bytes();
}

void Sm3::Transform(const StepInput& input, const TensorShape& shape,
                    const Vectors& vectors) const {
  const size_t dimensions = CoverSize(shape);
  Scratch scratch(vectors.scratch);
  const Sm3Room room(shape, &scratch);
  const Fading fading = Fading::Keeping(momentum_);
  const auto rate = static_cast<float>(input.learning_rate);
  float* const m = vectors.state[0];
  const int64_t elements = shape.elements();
  for (int64_t i = 0; i < elements; ++i) {
    const float g = vectors.gradient[i];
    float v = std::numeric_limits<float>::max();
    for (size_t d = 0; d < dimensions; ++d) v = std::min(v, vectors.state[1 + d][room.at[d]]);
    v += g * g;
    for (size_t d = 0; d < dimensions; ++d) {
      float& next = room.next[d][room.at[d]];
      next = std::max(next, v);
    }
    const float scaled = v > 0 ? g / std::sqrt(v) : 0;
    m[i] = Averaged(fading, m[i], scaled);
    vectors.result[i] = rate * m[i];
    for (size_t d = dimensions; d-- > 0;) {
      if (++room.at[d] < LengthOf(shape, d)) break;
      room.at[d] = 0;
    }
  }
  for (size_t d = 0; d < dimensions; ++d) {
    std::copy_n(room.next[d], LengthOf(shape, d), vectors.state[1 + d]);
  }
}

}  // namespace gradd
