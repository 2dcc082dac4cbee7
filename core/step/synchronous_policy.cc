#include "core/step/synchronous_policy.h"

#include <numeric>

#include "absl/strings/str_cat.h"
#include "core/base/duration.h"
#include "core/base/error.h"

namespace gradd {
namespace {

constexpr absl::Duration kDefaultDeadline = absl::Seconds(300);
constexpr int64_t kDefaultMissedDeadlines = 3;
constexpr int64_t kMostMissedDeadlines = 1'000'000;

}  // namespace

absl::Status ValidateSynchronous(const v1::Synchronous& spec, int64_t max_workers) {
  if (spec.workers() < 1 || spec.workers() > max_workers) {
    return InvalidArgument("POLICY_INVALID",
                           absl::StrCat("policy.synchronous.workers: ", spec.workers(),
                                        " is outside [1, ", max_workers, "]"));
  }
  if (spec.has_deadline()) {
    GRADD_RETURN_IF_ERROR(ParseDuration("policy.synchronous.deadline", spec.deadline(),
                                        absl::Milliseconds(10), absl::Hours(24))
                              .status());
  }
  if (spec.has_missed_deadlines() &&
      (spec.missed_deadlines() < 0 || spec.missed_deadlines() > kMostMissedDeadlines)) {
    return InvalidArgument(
        "POLICY_INVALID",
        absl::StrCat("policy.synchronous.missed_deadlines: ", spec.missed_deadlines(),
                     " is outside [0, ", kMostMissedDeadlines, "]"));
  }
  return absl::OkStatus();
}

SynchronousPolicy::SynchronousPolicy(const v1::Synchronous& spec)
    : workers_(spec.workers()),
      deadline_(spec.has_deadline() ? FromProto(spec.deadline()) : kDefaultDeadline),
      missed_deadlines_(spec.has_missed_deadlines() ? spec.missed_deadlines()
                                                    : kDefaultMissedDeadlines) {}

bool SynchronousPolicy::IsDue(const PolicyState& state) const {
  if (state.waiting.empty() && state.window_pushes == 0) return false;
  if (state.formed && state.complete == state.expected) return true;
  return state.waited >= deadline_;
}

Verdict SynchronousPolicy::Decide(const PolicyState& state) const {
  Verdict verdict;
  for (size_t i = 0; state.window > 1 && i < state.waiting.size(); ++i) {
    if (state.waiting[i].in_window + 1 >= state.window) continue;
    // One at a time: the next one of the same worker counts it.
    verdict.what = Verdict::What::kFold;
    verdict.used = {i};
    return verdict;
  }
  if (!IsDue(state)) return verdict;
  verdict.what = Verdict::What::kStep;
  verdict.used.resize(state.waiting.size());
  std::iota(verdict.used.begin(), verdict.used.end(), size_t{0});
  std::sort(verdict.used.begin(), verdict.used.end(),
            [&](size_t a, size_t b) { return state.waiting[a].worker < state.waiting[b].worker; });
  return verdict;
}

Explanation SynchronousPolicy::Explain(const PolicyState& state) const {
  Explanation explanation;
  for (const PolicyMember& member : state.members) {
    if (member.expected && !member.complete) explanation.waits_for.push_back(member.worker);
  }
  const bool begun = !state.waiting.empty() || state.window_pushes > 0;
  if (begun) explanation.until = std::max(deadline_ - state.waited, absl::ZeroDuration());
  return explanation;
}

}  // namespace gradd
