#ifndef GRADD_TESTS_CORE_OPTIM_WORK_IN_PLACE_H_
#define GRADD_TESTS_CORE_OPTIM_WORK_IN_PLACE_H_

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "core/optim/scratch_pool.h"
#include "core/optim/tensor_work.h"

namespace gradd {

// The work on one tensor, with memory of its own to work in.
class WorkInPlace {
 public:
  WorkInPlace(TensorShape shape, const std::vector<const TensorTransform*>& transforms)
      : work_(std::move(shape), {}, {}, transforms), scratch_(1, work_.scratch_bytes()) {
    work_.Allocate();
    scratch_.Allocate();
  }

  void Transform(const StepInput& input, const std::vector<float>& gradient,
                 const std::vector<float>& parameters) {
    const ScratchPool::Loan loan(&scratch_);
    // What was there before must not matter.
    std::fill_n(loan.memory(), work_.scratch_bytes(), std::byte{0xff});
    const TensorWork::Room room(work_, loan.memory());
    std::copy(gradient.begin(), gradient.end(), room.gradient);
    if (work_.needs_parameters()) {
      std::copy(parameters.begin(), parameters.end(), room.parameters);
    }
    work_.Transform(input, room);
  }
  const float* result() const { return work_.result(); }
  TensorWork& work() { return work_; }

 private:
  TensorWork work_;
  ScratchPool scratch_;
};

}  // namespace gradd

#endif  // GRADD_TESTS_CORE_OPTIM_WORK_IN_PLACE_H_
