#include "tests/core/run/pairs/kind_change.h"

#include <cstddef>

namespace gradd {
namespace {

using Kind = v1::Optimizer::KindCase;

// Averages of the gradient and of its square from 0 on: what Adam and AMSGrad need, whose maximum
// may start at any step.
bool HasMomentsOfAdam(Kind kind) {
  switch (kind) {
    case Kind::kAdam:
    case Kind::kAdamW:
    case Kind::kAmsGrad:
    case Kind::kRAdam:
    case Kind::kYogi:
    case Kind::kOptimisticAdam:
    case Kind::kAdEmaMix:
    case Kind::kLamb:
      return true;
    default:
      return false;
  }
}

// Within a kind, options can ask for more.
bool OptionsGoOn(const v1::Optimizer& before, const v1::Optimizer& next) {
  switch (next.kind_case()) {
    case Kind::kRmsProp:
      // The centered one keeps an average of squares about the mean instead of squares.
      return before.rms_prop().centered() == next.rms_prop().centered() &&
             (next.rms_prop().momentum() == 0 || before.rms_prop().momentum() > 0);
    case Kind::kFtrl:
      return next.ftrl().l1() == 0 || before.ftrl().l1() > 0;
    case Kind::kShampoo:
      // The sides that are preconditioned have statistics, others have not.
      return before.shampoo().max_dimension() == next.shampoo().max_dimension() &&
             (next.shampoo().momentum() == 0 || before.shampoo().momentum() > 0);
    default:
      return true;
  }
}

}  // namespace

bool GoesOn(const v1::Optimizer& before, const v1::Optimizer& next) {
  if (before.kind_case() == next.kind_case()) return OptionsGoOn(before, next);
  const bool to_adam = next.has_adam() || next.has_ams_grad();
  return to_adam && HasMomentsOfAdam(before.kind_case());
}

std::vector<std::vector<double>> StateFor(Kind before, Kind next,
                                          const std::vector<std::vector<double>>& state) {
  if (before == next || state.empty()) return state;
  std::vector<std::vector<double>> moments;
  if (before == Kind::kLamb) {  // A moment of all elements, then the other.
    for (size_t i = 0; i < state[0].size(); ++i) moments.push_back({state[0][i], state[1][i]});
    return moments;
  }
  for (const std::vector<double>& element : state) {
    if (element.empty()) {
      moments.emplace_back();
    } else if (before == Kind::kAdEmaMix) {  // The slow moment lies between them.
      moments.push_back({element[0], element[2]});
    } else {
      moments.push_back({element[0], element[1]});
    }
  }
  return moments;
}

}  // namespace gradd
