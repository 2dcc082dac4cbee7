#include "core/step/asynchronous_policy.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"

namespace gradd {
namespace {

double FactorOf(v1::StalenessCorrection correction, int64_t staleness) {
  if (correction != v1::STALENESS_CORRECTION_LEARNING_RATE) return 1;
  return 1 / (1 + static_cast<double>(staleness));  // Zhang et al. 2016.
}

}  // namespace

absl::Status ValidateAsynchronous(const v1::Asynchronous& spec) {
  if (spec.has_max_staleness() && spec.max_staleness() < 0) {
    return InvalidArgument(
        "POLICY_INVALID",
        absl::StrCat("policy.asynchronous.max_staleness: ", spec.max_staleness(), " is negative"));
  }
  if (!v1::StalenessCorrection_IsValid(spec.correction())) {
    return InvalidArgument("POLICY_INVALID", absl::StrCat("policy.asynchronous.correction: ",
                                                          static_cast<int>(spec.correction()),
                                                          " is no StalenessCorrection"));
  }
  return absl::OkStatus();
}

AsynchronousPolicy::AsynchronousPolicy(const v1::Asynchronous& spec)
    : max_staleness_(spec.has_max_staleness() ? std::optional(spec.max_staleness()) : std::nullopt),
      correction_(spec.correction()) {}

Verdict AsynchronousPolicy::Decide(const PolicyState& state) const {
  Verdict verdict;
  // A window that a change has made full is closed as it is.
  if (state.window_pushes >= state.window) {
    verdict.what = Verdict::What::kStep;
    verdict.rate_factor = FactorOf(correction_, state.window_staleness);
    return verdict;
  }
  for (size_t i = 0; i < state.waiting.size(); ++i) {
    const int64_t staleness = state.open_step - state.waiting[i].base_step;
    if (max_staleness_.has_value() && staleness > *max_staleness_) {
      verdict.dropped.push_back({i, v1::PUSH_OUTCOME_STALE});
      continue;
    }
    const bool closes = state.window_pushes + 1 >= state.window;
    verdict.what = closes ? Verdict::What::kStep : Verdict::What::kFold;
    verdict.used = {i};
    verdict.rate_factor = FactorOf(correction_, std::max(staleness, state.window_staleness));
    return verdict;
  }
  return verdict;
}

}  // namespace gradd
