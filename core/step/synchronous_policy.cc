#include "core/step/synchronous_policy.h"

#include <numeric>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/duration.h"
#include "core/base/error.h"

namespace gradd {
namespace {

constexpr absl::Duration kDefaultDeadline = absl::Seconds(300);
constexpr int64_t kDefaultMissedDeadlines = 3;
constexpr int64_t kMostMissedDeadlines = 1'000'000;
constexpr absl::Duration kLongestGrace = absl::Hours(24);
constexpr double kAdaptiveShare = 0.5;

// Whether it is all of its worker's for the step.
bool IsLast(const WaitingPush& push, const PolicyState& state) {
  return push.in_window + 1 >= state.window;
}

// How many workers have given all of theirs: those that are expected, or also those that have gone.
int64_t InStep(const PolicyState& state) {
  const auto waiting = std::count_if(state.waiting.begin(), state.waiting.end(),
                                     [&](const WaitingPush& push) { return IsLast(push, state); });
  return std::max<int64_t>(state.complete, waiting);
}

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
  if (spec.has_quorum() && (spec.quorum() < 1 || spec.quorum() > spec.workers())) {
    return InvalidArgument("POLICY_INVALID",
                           absl::StrCat("policy.synchronous.quorum: ", spec.quorum(),
                                        " is outside [1, ", spec.workers(), "], the workers"));
  }
  if (spec.has_grace()) {
    GRADD_RETURN_IF_ERROR(
        ParseDuration("policy.synchronous.grace", spec.grace(), absl::ZeroDuration(), kLongestGrace)
            .status());
  }
  if (!spec.has_quorum() && (spec.has_grace() || spec.adaptive_grace())) {
    return InvalidArgument(
        "POLICY_INVALID",
        absl::StrCat("policy.synchronous.", spec.has_grace() ? "grace" : "adaptive_grace",
                     ": it begins with the quorum, and policy.synchronous.quorum is not set"));
  }
  if (!v1::LatePushes_IsValid(spec.late_pushes())) {
    return InvalidArgument("POLICY_INVALID",
                           absl::StrCat("policy.synchronous.late_pushes: ",
                                        static_cast<int>(spec.late_pushes()), " is no LatePushes"));
  }
  return absl::OkStatus();
}

SynchronousPolicy::SynchronousPolicy(const v1::Synchronous& spec)
    : workers_(spec.workers()),
      deadline_(spec.has_deadline() ? FromProto(spec.deadline()) : kDefaultDeadline),
      missed_deadlines_(spec.has_missed_deadlines() ? spec.missed_deadlines()
                                                    : kDefaultMissedDeadlines),
      quorum_(spec.quorum()),
      grace_(spec.has_grace() ? FromProto(spec.grace()) : absl::ZeroDuration()),
      adaptive_grace_(spec.adaptive_grace()),
      carries_late_(spec.late_pushes() == v1::LATE_PUSHES_CARRIED) {}

std::optional<absl::Duration> SynchronousPolicy::QuorumAt(const PolicyState& state) const {
  const int64_t quorum = QuorumOf(state.expected);
  if (!state.formed || quorum == 0 || InStep(state) < quorum) return std::nullopt;
  // One that was carried over is there since the step before was made.
  const absl::Duration since = state.now - state.waited;
  std::vector<absl::Duration> times;
  for (const WaitingPush& push : state.waiting) {
    if (IsLast(push, state)) times.push_back(std::max(push.complete_at, since));
  }
  // Those who are complete by what lies in the window, since its length was changed, are so as
  // long.
  const int64_t needed = quorum - (InStep(state) - static_cast<int64_t>(times.size()));
  if (needed < 1) return since;
  const auto last = times.begin() + (needed - 1);
  std::nth_element(times.begin(), last, times.end());
  return *last;
}

absl::Duration SynchronousPolicy::TimeLeft(const PolicyState& state) const {
  if (state.waiting.empty() && state.window_pushes == 0) return absl::InfiniteDuration();
  if (state.formed && state.complete == state.expected) return absl::ZeroDuration();
  absl::Duration left = deadline_ - state.waited;
  if (const auto quorum_at = QuorumAt(state); quorum_at.has_value()) {
    absl::Duration grace = adaptive_grace_ ? kAdaptiveShare * state.quorum_lag : grace_;
    if (state.ends) grace = absl::ZeroDuration();
    left = std::min(left, *quorum_at + grace - state.now);
  }
  return std::max(left, absl::ZeroDuration());
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
  verdict.wait_left = TimeLeft(state);
  if (verdict.wait_left > absl::ZeroDuration()) return verdict;
  verdict.what = Verdict::What::kStep;
  verdict.quorum_at = QuorumAt(state);
  verdict.at_deadline = !verdict.quorum_at.has_value() && state.waited >= deadline_;
  verdict.used.resize(state.waiting.size());
  std::iota(verdict.used.begin(), verdict.used.end(), size_t{0});
  std::sort(verdict.used.begin(), verdict.used.end(),
            [&](size_t a, size_t b) { return state.waiting[a].worker < state.waiting[b].worker; });
  return verdict;
}

Explanation SynchronousPolicy::Explain(const PolicyState& state) const {
  Explanation explanation;
  for (const PolicyMember& member : state.members) {
    // Before the run is formed it waits for those who are not there, whose ids nobody knows.
    if (!state.formed) break;
    if (member.expected && !member.complete) explanation.waits_for.push_back(member.worker);
  }
  const int64_t quorum = QuorumOf(state.expected);
  if (quorum > InStep(state)) explanation.enough = quorum - InStep(state);
  explanation.until = TimeLeft(state);
  return explanation;
}

}  // namespace gradd
