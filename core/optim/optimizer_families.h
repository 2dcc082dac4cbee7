#ifndef GRADD_CORE_OPTIM_OPTIMIZER_FAMILIES_H_
#define GRADD_CORE_OPTIM_OPTIMIZER_FAMILIES_H_

#include <memory>

#include "absl/status/statusor.h"
#include "core/optim/optimizer.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// Each makes the optimizers of one family, those of proto/gradd/v1/optimizer_{family}.proto; null
// where the kind of `spec` is of another one. Errors as MakeOptimizer().
absl::StatusOr<std::unique_ptr<Optimizer>> MakeFirstOrder(const v1::Optimizer& spec);
absl::StatusOr<std::unique_ptr<Optimizer>> MakeAdaptive(const v1::Optimizer& spec);
absl::StatusOr<std::unique_ptr<Optimizer>> MakeWholeTensor(const v1::Optimizer& spec);
absl::StatusOr<std::unique_ptr<Optimizer>> MakeRateFree(const v1::Optimizer& spec);
absl::StatusOr<std::unique_ptr<Optimizer>> MakeTensorNorm(const v1::Optimizer& spec);

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_OPTIMIZER_FAMILIES_H_
