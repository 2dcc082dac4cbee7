#ifndef GRADD_CORE_OPTIM_SM3_H_
#define GRADD_CORE_OPTIM_SM3_H_

#include <cstdint>
#include <vector>

#include "core/optim/hyper_parameters.h"
#include "core/optim/tensor_transform.h"
#include "gradd/v1/optimizer_whole_tensor.pb.h"

namespace gradd {

// SM3-II (Anil, Gupta, Koren and Singer 2019, "Memory-Efficient Adaptive Optimization", algorithm
// SM3-II), with the slices along each dimension as its cover. For element i and the accumulators
// mu of its slices:
//   v = min over slices of mu + g^2;  mu of each slice = max of v over its elements
//   m = momentum * m + (1 - momentum) * g / sqrt(v);  p = p - lr * m,
// where g / sqrt(v) is 0 as long as v is.
class Sm3 final : public TensorTransform {
 public:
  static Sm3 Read(const v1::Sm3& in, HyperParameters* read);

  std::vector<TensorStateSpec> State(const TensorShape& shape) const override;
  int64_t ScratchBytes(const TensorShape& shape) const override;
  void Transform(const StepInput& input, const TensorShape& shape,
                 const Vectors& vectors) const override;

 private:
  double momentum_ = 0.9;
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_SM3_H_
