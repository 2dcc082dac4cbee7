#include "core/step/bounded_staleness_policy.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"

namespace gradd {
namespace {

constexpr int64_t kLargestBound = 1'000'000;

}  // namespace

absl::Status ValidateBoundedStaleness(const v1::BoundedStaleness& spec) {
  if (!spec.has_bound()) {
    return InvalidArgument("POLICY_INVALID",
                           absl::StrCat("policy.bounded_staleness.bound: not set, expected one in "
                                        "[0, ",
                                        kLargestBound, "]"));
  }
  if (spec.bound() >= 0 && spec.bound() <= kLargestBound) return absl::OkStatus();
  return InvalidArgument("POLICY_INVALID",
                         absl::StrCat("policy.bounded_staleness.bound: ", spec.bound(),
                                      " is outside [0, ", kLargestBound, "]"));
}

Explanation BoundedStalenessPolicy::Explain(const PolicyState& state) const {
  Explanation explanation;
  // Who is not expected is not waited for.
  std::optional<int64_t> slowest;
  for (const PolicyMember& member : state.members) {
    if (member.expected) slowest = std::min(slowest.value_or(member.ahead), member.ahead);
  }
  const bool holds = slowest.has_value() && std::any_of(state.members.begin(), state.members.end(),
                                                        [&](const PolicyMember& member) {
                                                          return !Releases(member.ahead - *slowest);
                                                        });
  for (const PolicyMember& member : state.members) {
    if (holds && member.ahead == *slowest && member.expected) {
      explanation.waits_for.push_back(member.worker);
    }
  }
  return explanation;
}

}  // namespace gradd
