#ifndef GRADD_CORE_OPTIM_MAKE_ELEMENTWISE_H_
#define GRADD_CORE_OPTIM_MAKE_ELEMENTWISE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/optim/elementwise_optimizer.h"
#include "core/optim/hyper_parameters.h"
#include "core/optim/weight_decay.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// "optimizer.adam": the field of `spec` that is set.
inline std::string KindPath(const v1::Optimizer& spec) {
  const auto* const oneof = v1::Optimizer::descriptor()->FindOneofByName("kind");
  return absl::StrCat("optimizer.",
                      spec.GetReflection()->GetOneofFieldDescriptor(spec, oneof)->name());
}

// The optimizer of a rule for one element, whose hyper-parameters are in `kind`, the field of
// `spec` that is set. INVALID_ARGUMENT names field, value and range.
template <typename Rule, typename Kind>
absl::StatusOr<std::unique_ptr<Optimizer>> MakeElementwise(const v1::Optimizer& spec,
                                                           const Kind& kind) {
  HyperParameters read(KindPath(spec));
  Rule rule = Rule::Read(kind, &read);
  GRADD_RETURN_IF_ERROR(read.status());
  absl::StatusOr<WeightDecay> decay = ReadWeightDecay(spec);
  GRADD_RETURN_IF_ERROR(decay.status());
  rule.TakeDecay(&*decay);
  return std::make_unique<ElementwiseOptimizer<Rule>>(rule, *decay);
}

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_MAKE_ELEMENTWISE_H_
