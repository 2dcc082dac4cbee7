#ifndef GRADD_CORE_OPTIM_OPTIMIZER_FACTORY_H_
#define GRADD_CORE_OPTIM_OPTIMIZER_FACTORY_H_

#include <memory>

#include "absl/status/statusor.h"
#include "core/optim/optimizer.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// Builds the optimizer that `spec` describes, defaults filled in.
// INVALID_ARGUMENT names the field, its value and its range, for example
// `optimizer.adam.beta1: 1.5 is outside [0, 1)`; a missing kind is refused too.
absl::StatusOr<std::unique_ptr<Optimizer>> MakeOptimizer(const v1::Optimizer& spec);

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_OPTIMIZER_FACTORY_H_
