#include "core/optim/tensor_work.h"

#include <algorithm>
#include <utility>

namespace gradd {

TensorWork::TensorWork(TensorShape shape, std::vector<const TensorTransform*> transforms)
    : shape_(std::move(shape)), transforms_(std::move(transforms)) {
  for (const TensorTransform* const transform : transforms_) {
    needs_parameters_ = needs_parameters_ || transform->needs_parameters();
    for (TensorStateSpec& spec : transform->State(shape_)) state_.push_back({std::move(spec), {}});
  }
}

int64_t TensorWork::bytes() const {
  int64_t elements = (needs_parameters_ ? 3 : 2) * shape_.elements();
  for (const State& state : state_) elements += state.spec.length;
  return elements * static_cast<int64_t>(sizeof(float));
}

void TensorWork::Allocate() {
  const auto elements = static_cast<size_t>(shape_.elements());
  gradient_.resize(elements);
  other_.resize(elements);
  if (needs_parameters_) parameters_.resize(elements);
  for (State& state : state_) {
    state.values.assign(static_cast<size_t>(state.spec.length), state.spec.initial_value);
  }
}

const TensorWork::State* TensorWork::Find(const TensorStateSpec& spec) const {
  const auto found = std::find_if(state_.begin(), state_.end(), [&](const State& state) {
    return state.spec.name == spec.name && state.spec.length == spec.length;
  });
  return found == state_.end() ? nullptr : &*found;
}

bool TensorWork::ContinuesAll(const TensorWork& before) const {
  return std::all_of(state_.begin(), state_.end(),
                     [&](const State& state) { return before.Find(state.spec) != nullptr; });
}

void TensorWork::Continue(const TensorWork& before) {
  for (State& state : state_) {
    const State* const same = before.Find(state.spec);
    if (same != nullptr) state.values = same->values;
  }
}

void TensorWork::Transform(const StepInput& input) {
  float* from = gradient_.data();
  float* to = other_.data();
  size_t next = 0;
  for (const TensorTransform* const transform : transforms_) {
    TensorTransform::Vectors vectors;
    vectors.gradient = from;
    vectors.parameters = needs_parameters_ ? parameters_.data() : nullptr;
    vectors.result = to;
    const size_t count = transform->State(shape_).size();
    for (size_t i = 0; i < count; ++i) vectors.state.push_back(state_[next + i].values.data());
    next += count;
    transform->Transform(input, shape_, vectors);
    std::swap(from, to);
  }
  result_ = from;
}

}  // namespace gradd
