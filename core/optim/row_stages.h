#ifndef GRADD_CORE_OPTIM_ROW_STAGES_H_
#define GRADD_CORE_OPTIM_ROW_STAGES_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "core/optim/tensor_transform.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// Gradient centralization (Yong, Huang, Hua and Zhang 2020, "Gradient Centralization: A New
// Optimization Technique for Deep Neural Networks", equation 1): each row of a matrix, which is the
// gradient of one output's weights, loses its mean. Other tensors stay as they are.
class CentralizeGradient final : public TensorTransform {
 public:
  std::vector<TensorStateSpec> State(const TensorShape& /*shape*/) const override { return {}; }
  void Transform(const StepInput& input, const TensorShape& shape,
                 const Vectors& vectors) const override;
};

// Adaptive gradient clipping (Brock, De, Smith and Simonyan 2021, "High-Performance Large-Scale
// Image Recognition Without Normalization", equation 3): the gradient of a row of a matrix, or of
// another tensor as a whole, has at most `clipping` times the norm of its parameters, taken as at
// least `epsilon`.
class AdaptiveClipping final : public TensorTransform {
 public:
  explicit AdaptiveClipping(double clipping) : clipping_(clipping) {}
  std::vector<TensorStateSpec> State(const TensorShape& /*shape*/) const override { return {}; }
  bool needs_parameters() const override { return true; }
  void Transform(const StepInput& input, const TensorShape& shape,
                 const Vectors& vectors) const override;

 private:
  static constexpr double kEpsilon = 1e-3;
  const double clipping_;
};

// The stages that `spec` names, in the order in which they are applied. INVALID_ARGUMENT names
// field, value and range.
absl::StatusOr<std::vector<std::unique_ptr<TensorTransform>>> MakeRowStages(
    const v1::Optimizer& spec);

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_ROW_STAGES_H_
