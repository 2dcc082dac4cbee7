#ifndef GRADD_CORE_OPTIM_TENSOR_WORK_H_
#define GRADD_CORE_OPTIM_TENSOR_WORK_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/optim/gradient_clip.h"
#include "core/optim/scratch.h"
#include "core/optim/tensor_transform.h"

namespace gradd {

// One tensor whose gradient is transformed as a whole: what its transforms keep, and the result.
// Not thread safe; different ones are independent.
//
//   std::byte* memory = ...;  // scratch_bytes() of them, aligned to Scratch::kAlignment.
//   const TensorWork::Room room(work, memory);
//   std::copy_n(gradient, elements, room.gradient);
//   work.Transform(input, room);
//   if (work.waits_for_factor()) work.Finish(input, factor, room);
//   ... work.result() ...
class TensorWork {
 public:
  // First come the `stages`, then the bounds of `clip`, then the optimizer's `transforms`. Without
  // these, `clip` is left to whom the result goes. The transforms outlive this.
  TensorWork(TensorShape shape, const std::vector<const TensorTransform*>& stages,
             const GradientClip& clip, const std::vector<const TensorTransform*>& transforms);

  // Bytes that Allocate() takes.
  int64_t bytes() const;
  // Takes what it needs and starts the state. To be called until it does not throw std::bad_alloc,
  // which it does if there is no memory; calls after that do nothing.
  void Allocate();

  // Takes over what `before` keeps under the same name and of the same length. Both are allocated.
  void Continue(const TensorWork& before);
  // Whether all that this keeps was there in `before`.
  bool ContinuesAll(const TensorWork& before) const;

  // Memory in which a transform works; nothing of it is needed from one call to the next.
  int64_t scratch_bytes() const;
  bool needs_parameters() const { return needs_parameters_; }
  struct Room {
    Room(const TensorWork& work, std::byte* memory) : Room(work, Scratch(memory)) {}

    float* gradient;    // Here they belong before Transform().
    float* parameters;  // Null if they are not needed.

    // The work's own.
    float* other;
    std::byte* of_transform;
    int64_t bytes;

   private:
    friend class TensorWork;
    Room(const TensorWork& work, Scratch scratch);
  };

  void Transform(const StepInput& input, const Room& room);
  // Whether norms of other tensors decide what the gradient is multiplied with: Transform() then
  // ends with its bounds, and Finish(), with the parameters in `room` again, makes the result.
  bool waits_for_factor() const { return !transforms_.empty() && clip_.by_norm(); }
  // Of the gradient in between, which its bound in each element has seen.
  double squared_norm() const { return squared_norm_; }
  void Finish(const StepInput& input, float factor, const Room& room);

  const float* result() const { return result_.data(); }

  struct State {
    TensorStateSpec spec;
    std::vector<float> values;
  };
  const std::vector<State>& state() const { return state_; }
  // Values may be changed, lengths not.
  std::vector<State>& state() { return state_; }

 private:
  const State* Find(const TensorStateSpec& spec) const;

  // One of stages_ or transforms_, and where its state begins.
  struct Step {
    const TensorTransform* transform;
    size_t state;
  };
  std::vector<Step> StepsOf(const std::vector<const TensorTransform*>& transforms);
  // From room.gradient to result_.
  void Run(const std::vector<Step>& steps, const StepInput& input, const Room& room);

  const TensorShape shape_;
  const GradientClip clip_;
  std::vector<State> state_;  // Of all transforms, one after the other.
  bool needs_parameters_ = false;
  int64_t transform_bytes_ = 0;  // The most that one of them works in.
  const std::vector<Step> stages_;
  const std::vector<Step> transforms_;
  std::vector<float*> state_values_;
  std::vector<float> result_;
  double squared_norm_ = 0;
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_TENSOR_WORK_H_
