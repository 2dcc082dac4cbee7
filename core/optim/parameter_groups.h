#ifndef GRADD_CORE_OPTIM_PARAMETER_GROUPS_H_
#define GRADD_CORE_OPTIM_PARAMETER_GROUPS_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "core/optim/gradient_clip.h"
#include "core/optim/optimizer.h"
#include "core/optim/tensor_transform.h"
#include "core/store/layout.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// Tensors that are updated in the same way.
struct ParameterGroup {
  std::unique_ptr<Optimizer> optimizer;  // Null: frozen.
  double learning_rate_factor = 1;
  bool warms_up = true;  // Otherwise the optimizer has a rate of its own, see OwnRate().
  std::vector<std::unique_ptr<TensorTransform>> stages;  // Before the optimizer.
  GradientClip clip;
  // With the default group: the norm that `clip` bounds globally; and the sums over all elements
  // that the optimizer takes, with its scalars and its count of steps.
  bool shares_norm = false;
  bool shares_sums = false;
};

// Which tensor is in which group.
struct ParameterGroups {
  std::vector<ParameterGroup> groups;  // First those of the spec, then the default group.
  std::vector<size_t> of_tensor;       // For each tensor of the layout.
};

// The groups that `groups` describe for the tensors of `layout`; tensors of none are in the default
// group, which `optimizer` updates. INVALID_ARGUMENT names field, value and range; a pattern that
// matches no tensor is refused too.
absl::StatusOr<ParameterGroups> MakeParameterGroups(
    const Layout& layout, const v1::Optimizer& optimizer,
    const google::protobuf::RepeatedPtrField<v1::ParameterGroup>& groups);

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_PARAMETER_GROUPS_H_
