#ifndef GRADD_CORE_OPTIM_TENSOR_WORK_H_
#define GRADD_CORE_OPTIM_TENSOR_WORK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "core/optim/tensor_transform.h"

namespace gradd {

// One tensor whose gradient is transformed as a whole: what its transforms keep, and room to work
// in. Not thread safe; different ones are independent.
class TensorWork {
 public:
  // `transforms` are at least one and outlive this.
  TensorWork(TensorShape shape, std::vector<const TensorTransform*> transforms);

  // Bytes that Allocate() takes.
  int64_t bytes() const;
  // Takes what it needs, once, and starts the state. Throws std::bad_alloc if there is no memory.
  void Allocate();

  // Takes over what `before` keeps under the same name and of the same length. Both are allocated.
  void Continue(const TensorWork& before);
  // Whether all that this keeps was there in `before`.
  bool ContinuesAll(const TensorWork& before) const;

  // Where the gradient, and where the parameters belong before Transform().
  float* gradient() { return gradient_.data(); }
  bool needs_parameters() const { return needs_parameters_; }
  float* parameters() { return parameters_.data(); }

  void Transform(const StepInput& input);
  // Of the last Transform().
  const float* result() const { return result_; }

  struct State {
    TensorStateSpec spec;
    std::vector<float> values;
  };
  const std::vector<State>& state() const { return state_; }
  // Values may be changed, lengths not.
  std::vector<State>& state() { return state_; }

 private:
  const State* Find(const TensorStateSpec& spec) const;

  const TensorShape shape_;
  const std::vector<const TensorTransform*> transforms_;
  bool needs_parameters_ = false;
  std::vector<State> state_;  // Of all transforms, one after the other.
  std::vector<float> gradient_;
  std::vector<float> other_;
  std::vector<float> parameters_;
  const float* result_ = nullptr;
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_TENSOR_WORK_H_
