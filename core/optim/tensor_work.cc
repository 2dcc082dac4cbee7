#include "core/optim/tensor_work.h"

#include <algorithm>
#include <utility>

namespace gradd {

TensorWork::TensorWork(TensorShape shape, const std::vector<const TensorTransform*>& stages,
                       const GradientClip& clip,
                       const std::vector<const TensorTransform*>& transforms)
    : shape_(std::move(shape)),
      clip_(clip),
      stages_(StepsOf(stages)),
      transforms_(StepsOf(transforms)) {}

std::vector<TensorWork::Step> TensorWork::StepsOf(
    const std::vector<const TensorTransform*>& transforms) {
  std::vector<Step> steps;
  for (const TensorTransform* const transform : transforms) {
    steps.push_back({transform, state_.size()});
    needs_parameters_ = needs_parameters_ || transform->needs_parameters();
    transform_bytes_ = std::max(transform_bytes_, transform->ScratchBytes(shape_));
    for (TensorStateSpec& spec : transform->State(shape_)) state_.push_back({std::move(spec), {}});
  }
  return steps;
}

int64_t TensorWork::bytes() const {
  int64_t elements = shape_.elements();
  for (const State& state : state_) elements += state.spec.length;
  return elements * static_cast<int64_t>(sizeof(float));
}

void TensorWork::Allocate() {
  result_.resize(static_cast<size_t>(shape_.elements()));
  state_values_.reserve(state_.size());
  while (state_values_.size() < state_.size()) {
    State& state = state_[state_values_.size()];
    state.values.assign(static_cast<size_t>(state.spec.length), state.spec.initial_value);
    state_values_.push_back(state.values.data());
  }
}

TensorWork::Room::Room(const TensorWork& work, Scratch scratch) {
  const int64_t elements = work.shape_.elements();
  gradient = scratch.Take<float>(elements);
  parameters = work.needs_parameters_ ? scratch.Take<float>(elements) : nullptr;
  other = std::max(work.stages_.size(), work.transforms_.size()) > 1 ? scratch.Take<float>(elements)
                                                                     : nullptr;
  of_transform = scratch.Take<std::byte>(work.transform_bytes_);
  bytes = scratch.bytes();
}

int64_t TensorWork::scratch_bytes() const { return Room(*this, Scratch()).bytes; }

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

void TensorWork::Run(const std::vector<Step>& steps, const StepInput& input, const Room& room) {
  const float* from = room.gradient;
  for (const Step& step : steps) {
    TensorTransform::Vectors vectors;
    vectors.gradient = from;
    vectors.parameters = room.parameters;
    vectors.result = &step == &steps.back() ? result_.data()
                     : from == room.other   ? room.gradient
                                            : room.other;
    vectors.state = state_values_.data() + step.state;
    vectors.scratch = room.of_transform;
    step.transform->Transform(input, shape_, vectors);
    from = vectors.result;
  }
  if (steps.empty()) std::copy_n(room.gradient, result_.size(), result_.begin());
}

void TensorWork::Transform(const StepInput& input, const Room& room) {
  if (stages_.empty() && !clip_.any()) return Run(transforms_, input, room);
  Run(stages_, input, room);
  if (transforms_.empty()) return;
  if (!waits_for_factor()) return Finish(input, 1, room);
  squared_norm_ = clip_.SquaredNorm(result_.data(), shape_.elements());
}

void TensorWork::Finish(const StepInput& input, float factor, const Room& room) {
  clip_.Apply(factor, result_.data(), shape_.elements(), room.gradient);
  Run(transforms_, input, room);
}

}  // namespace gradd
