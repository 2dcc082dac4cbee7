#include "core/optim/optimizer_factory.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/optim/hyper_parameters.h"
#include "core/optim/look_ahead.h"
#include "core/optim/optimizer_families.h"
#include "core/optim/parameter_average.h"

namespace gradd {
namespace {

using OptimizerOr = absl::StatusOr<std::unique_ptr<Optimizer>>;

// "sgd, momentum, ...": the kinds there are.
std::string Kinds() {
  std::string kinds;
  const auto* const kind = v1::Optimizer::descriptor()->FindOneofByName("kind");
  for (int i = 0; i < kind->field_count(); ++i) {
    absl::StrAppend(&kinds, i == 0 ? "" : ", ", kind->field(i)->name());
  }
  return kinds;
}

OptimizerOr MakeKind(const v1::Optimizer& spec) {
  for (const auto make :
       {MakeFirstOrder, MakeAdaptive, MakeRateFree, MakeTensorNorm, MakeWholeTensor}) {
    auto optimizer = make(spec);
    if (!optimizer.ok() || *optimizer != nullptr) return optimizer;
  }
  return InvalidArgument("OPTIMIZER_MISSING",
                         absl::StrCat("optimizer: no kind is set, expected one of ", Kinds()));
}

OptimizerOr AddLookAhead(const v1::LookAhead& spec, std::unique_ptr<Optimizer> optimizer) {
  HyperParameters read("optimizer.look_ahead");
  const double interval = GRADD_HYPER_PARAMETER(&read, spec, interval, 5, (Range{1, 1e6}));
  const double alpha = GRADD_HYPER_PARAMETER(&read, spec, alpha, 0.5, kAboveZeroToOne);
  GRADD_RETURN_IF_ERROR(read.status());
  return std::make_unique<LookAheadOptimizer>(std::move(optimizer), static_cast<int>(interval),
                                              alpha);
}

OptimizerOr AddAverage(const v1::ParameterAverage& spec, std::unique_ptr<Optimizer> optimizer) {
  HyperParameters read("optimizer.parameter_average");
  const double decay = GRADD_HYPER_PARAMETER(&read, spec, decay, 0.999, kFromZeroBelowOne);
  for (const SlotSpec& slot : optimizer->slots()) {
    if (slot.name == kAverageSlot)
      read.Refuse("decay", "the optimizer keeps an average of its own");
  }
  GRADD_RETURN_IF_ERROR(read.status());
  return std::make_unique<ParameterAverageOptimizer>(std::move(optimizer), decay);
}

// How many pushes make a step is not the optimizer's matter; see WindowOf().
absl::Status CheckAccumulation(const v1::Optimizer& spec) {
  HyperParameters read("optimizer");
  static_cast<void>(GRADD_HYPER_PARAMETER(&read, spec, accumulation_steps, 1, (Range{1, 1e4})));
  return read.status();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Optimizer>> MakeOptimizer(const v1::Optimizer& spec) {
  OptimizerOr optimizer = MakeKind(spec);
  if (optimizer.ok() && spec.has_look_ahead()) {
    optimizer = AddLookAhead(spec.look_ahead(), *std::move(optimizer));
  }
  if (optimizer.ok() && spec.has_parameter_average()) {
    optimizer = AddAverage(spec.parameter_average(), *std::move(optimizer));
  }
  if (optimizer.ok()) GRADD_RETURN_IF_ERROR(CheckAccumulation(spec));
  return optimizer;
}

}  // namespace gradd
