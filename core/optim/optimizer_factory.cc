#include "core/optim/optimizer_factory.h"

#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/optim/ada_grad.h"
#include "core/optim/adam.h"
#include "core/optim/momentum.h"
#include "core/optim/nesterov.h"
#include "core/optim/rms_prop.h"
#include "core/optim/sgd.h"
#include "core/optim/weight_decay.h"

namespace gradd {
namespace {

using OptimizerPtr = std::unique_ptr<Optimizer>;

// A range of real numbers, printed as [0, 1).
struct Range {
  double low;
  double high;
  bool low_open = false;
  bool high_open = false;

  bool Contains(double value) const {
    return (low_open ? value > low : value >= low) && (high_open ? value < high : value <= high);
  }
};

constexpr Range kFromZeroBelowOne = {0, 1, false, true};
constexpr Range kZeroToOne = {0, 1};
constexpr Range kAboveZeroToOne = {0, 1, true, false};
constexpr Range kAboveZeroBelowOne = {0, 1, true, true};
constexpr Range kUpToMillion = {0, 1e6};

// Reads hyper-parameters and remembers the first that is wrong.
class Reader {
 public:
  explicit Reader(std::string path) : path_(std::move(path)) {}

  double Get(const char* field, bool is_set, double value, double default_value,
             const Range& range) {
    if (!is_set) return default_value;
    if (status_.ok() && !range.Contains(value)) {
      status_ =
          Error(absl::StatusCode::kInvalidArgument, "OUT_OF_RANGE",
                absl::StrCat(path_, field, ": ", value, " is outside ", range.low_open ? "(" : "[",
                             range.low, ", ", range.high, range.high_open ? ")" : "]"));
    }
    return value;
  }
  const absl::Status& status() const { return status_; }

 private:
  const std::string path_;
  absl::Status status_;
};

#define GRADD_HYPER_PARAMETER(reader, spec, field, default_value, range) \
  (reader).Get(#field, (spec).has_##field(), (spec).field(), default_value, range)

template <typename Rule>
absl::StatusOr<OptimizerPtr> Build(const v1::Optimizer& spec, const Rule& rule,
                                   const absl::Status& valid) {
  GRADD_RETURN_IF_ERROR(valid);
  Reader reader("optimizer.");
  const double decay = GRADD_HYPER_PARAMETER(reader, spec, weight_decay, 0, kUpToMillion);
  GRADD_RETURN_IF_ERROR(reader.status());
  if (!v1::WeightDecayMode_IsValid(spec.weight_decay_mode())) {
    return Error(
        absl::StatusCode::kInvalidArgument, "OUT_OF_RANGE",
        absl::StrCat("optimizer.weight_decay_mode: ", static_cast<int>(spec.weight_decay_mode()),
                     " is no WeightDecayMode"));
  }
  OptimizerPtr optimizer;
  if (decay == 0) {
    optimizer = std::make_unique<ElementwiseOptimizer<Rule>>(rule);
  } else if (spec.weight_decay_mode() == v1::WEIGHT_DECAY_MODE_DECOUPLED) {
    using Decayed = DecoupledWeightDecay<Rule>;
    optimizer = std::make_unique<ElementwiseOptimizer<Decayed>>(Decayed(rule, decay));
  } else {
    using Decayed = CoupledWeightDecay<Rule>;
    optimizer = std::make_unique<ElementwiseOptimizer<Decayed>>(Decayed(rule, decay));
  }
  return optimizer;
}

absl::StatusOr<OptimizerPtr> BuildMomentum(const v1::Optimizer& spec) {
  const v1::Momentum& in = spec.momentum();
  Reader reader("optimizer.momentum.");
  MomentumRule rule;
  rule.momentum = GRADD_HYPER_PARAMETER(reader, in, momentum, rule.momentum, kFromZeroBelowOne);
  rule.dampening = GRADD_HYPER_PARAMETER(reader, in, dampening, rule.dampening, kZeroToOne);
  return Build(spec, rule, reader.status());
}

absl::StatusOr<OptimizerPtr> BuildNesterov(const v1::Optimizer& spec) {
  const v1::Nesterov& in = spec.nesterov();
  Reader reader("optimizer.nesterov.");
  const double momentum = GRADD_HYPER_PARAMETER(reader, in, momentum, 0.9, kAboveZeroBelowOne);
  switch (in.form()) {
    case v1::Nesterov::FORM_UNSPECIFIED:
    case v1::Nesterov::FORM_REFORMULATED: {
      NesterovReformulatedRule rule;
      rule.momentum = momentum;
      return Build(spec, rule, reader.status());
    }
    case v1::Nesterov::FORM_LOOK_AHEAD: {
      NesterovLookAheadRule rule;
      rule.momentum = momentum;
      return Build(spec, rule, reader.status());
    }
    default:
      return Error(absl::StatusCode::kInvalidArgument, "OUT_OF_RANGE",
                   absl::StrCat("optimizer.nesterov.form: ", static_cast<int>(in.form()),
                                " is no Nesterov.Form"));
  }
}

absl::StatusOr<OptimizerPtr> BuildAdaGrad(const v1::Optimizer& spec) {
  const v1::AdaGrad& in = spec.ada_grad();
  Reader reader("optimizer.ada_grad.");
  AdaGradRule rule;
  rule.epsilon = GRADD_HYPER_PARAMETER(reader, in, epsilon, rule.epsilon, kZeroToOne);
  rule.initial_accumulator =
      GRADD_HYPER_PARAMETER(reader, in, initial_accumulator, 0, kUpToMillion);
  rule.learning_rate_decay =
      GRADD_HYPER_PARAMETER(reader, in, learning_rate_decay, 0, kUpToMillion);
  return Build(spec, rule, reader.status());
}

template <bool kCentered, bool kMomentum>
absl::StatusOr<OptimizerPtr> BuildRmsPropVariant(const v1::Optimizer& spec) {
  const v1::RmsProp& in = spec.rms_prop();
  Reader reader("optimizer.rms_prop.");
  RmsPropRule<kCentered, kMomentum> rule;
  rule.decay = GRADD_HYPER_PARAMETER(reader, in, decay, rule.decay, kFromZeroBelowOne);
  rule.epsilon = GRADD_HYPER_PARAMETER(reader, in, epsilon, rule.epsilon, kAboveZeroToOne);
  rule.momentum = GRADD_HYPER_PARAMETER(reader, in, momentum, 0, kFromZeroBelowOne);
  return Build(spec, rule, reader.status());
}

absl::StatusOr<OptimizerPtr> BuildRmsProp(const v1::Optimizer& spec) {
  const bool momentum = spec.rms_prop().momentum() != 0;
  if (spec.rms_prop().centered()) {
    return momentum ? BuildRmsPropVariant<true, true>(spec)
                    : BuildRmsPropVariant<true, false>(spec);
  }
  return momentum ? BuildRmsPropVariant<false, true>(spec)
                  : BuildRmsPropVariant<false, false>(spec);
}

absl::StatusOr<OptimizerPtr> BuildAdam(const v1::Optimizer& spec) {
  const v1::Adam& in = spec.adam();
  Reader reader("optimizer.adam.");
  AdamRule rule;
  rule.beta1 = GRADD_HYPER_PARAMETER(reader, in, beta1, rule.beta1, kFromZeroBelowOne);
  rule.beta2 = GRADD_HYPER_PARAMETER(reader, in, beta2, rule.beta2, kFromZeroBelowOne);
  rule.epsilon = GRADD_HYPER_PARAMETER(reader, in, epsilon, rule.epsilon, kAboveZeroToOne);
  return Build(spec, rule, reader.status());
}

#undef GRADD_HYPER_PARAMETER

}  // namespace

absl::StatusOr<std::unique_ptr<Optimizer>> MakeOptimizer(const v1::Optimizer& spec) {
  switch (spec.kind_case()) {
    case v1::Optimizer::kSgd:
      return Build(spec, SgdRule(), absl::OkStatus());
    case v1::Optimizer::kMomentum:
      return BuildMomentum(spec);
    case v1::Optimizer::kNesterov:
      return BuildNesterov(spec);
    case v1::Optimizer::kAdaGrad:
      return BuildAdaGrad(spec);
    case v1::Optimizer::kRmsProp:
      return BuildRmsProp(spec);
    case v1::Optimizer::kAdam:
      return BuildAdam(spec);
    case v1::Optimizer::KIND_NOT_SET:
      break;
  }
  return Error(absl::StatusCode::kInvalidArgument, "OPTIMIZER_MISSING",
               "optimizer: no kind is set, expected one of sgd, momentum, nesterov, ada_grad, "
               "rms_prop, adam");
}

}  // namespace gradd
