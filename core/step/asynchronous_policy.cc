#include "core/step/asynchronous_policy.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"

namespace gradd {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr double kLargestStrength = 1e6;
constexpr int32_t kMostKeptSteps = 1000;
constexpr int32_t kDefaultKeptSteps = 4;
constexpr double kLargestAlpha = 100;
constexpr int64_t kLargestCutoff = 1'000'000;

absl::Status Invalid(absl::string_view what) {
  return InvalidArgument("POLICY_INVALID", absl::StrCat("policy.asynchronous.", what));
}

absl::Status ValidateCompensation(const v1::DelayCompensation& spec) {
  if (!(spec.strength() > 0 && spec.strength() <= kLargestStrength)) {
    return Invalid(absl::StrCat("delay_compensation.strength: ", spec.strength(),
                                " is outside (0, ", kLargestStrength, "]"));
  }
  if (spec.has_kept_steps() && (spec.kept_steps() < 1 || spec.kept_steps() > kMostKeptSteps)) {
    return Invalid(absl::StrCat("delay_compensation.kept_steps: ", spec.kept_steps(),
                                " is outside [1, ", kMostKeptSteps, "]"));
  }
  if (!v1::OldBases_IsValid(spec.old_bases())) {
    return Invalid(absl::StrCat(
        "delay_compensation.old_bases: ", static_cast<int>(spec.old_bases()), " is no OldBases"));
  }
  return absl::OkStatus();
}

absl::Status ValidateDecay(const v1::AgeDecay& spec) {
  if (!(spec.alpha() >= 0 && spec.alpha() <= kLargestAlpha)) {
    return Invalid(
        absl::StrCat("age_decay.alpha: ", spec.alpha(), " is outside [0, ", kLargestAlpha, "]"));
  }
  if (spec.has_cutoff() && (spec.cutoff() < 1 || spec.cutoff() > kLargestCutoff)) {
    return Invalid(
        absl::StrCat("age_decay.cutoff: ", spec.cutoff(), " is outside [1, ", kLargestCutoff, "]"));
  }
  return absl::OkStatus();
}

// Shah and Sun 2026: exp(-alpha * t), times a gate that falls from 1 to 0 at the cutoff.
double DecayOf(const v1::AgeDecay& spec, int64_t staleness) {
  const auto age = static_cast<double>(staleness);
  const double gate =
      spec.has_cutoff() ? (1 + std::cos(kPi * age / static_cast<double>(spec.cutoff()))) / 2 : 1;
  return gate * std::exp(-spec.alpha() * age);
}

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
  const bool corrects_rate = spec.correction() == v1::STALENESS_CORRECTION_LEARNING_RATE;
  if (spec.has_delay_compensation() && (spec.has_age_decay() || corrects_rate)) {
    return Invalid(absl::StrCat("delay_compensation: beside ",
                                spec.has_age_decay() ? "age_decay" : "correction",
                                ", one of them is expected"));
  }
  if (spec.has_age_decay() && corrects_rate) {
    return Invalid("age_decay: beside correction, one of them is expected");
  }
  if (spec.has_delay_compensation()) return ValidateCompensation(spec.delay_compensation());
  return spec.has_age_decay() ? ValidateDecay(spec.age_decay()) : absl::OkStatus();
}

AsynchronousPolicy::AsynchronousPolicy(const v1::Asynchronous& spec)
    : max_staleness_(spec.has_max_staleness() ? std::optional(spec.max_staleness()) : std::nullopt),
      correction_(spec.correction()),
      age_decay_(spec.has_age_decay() ? std::optional(spec.age_decay()) : std::nullopt),
      compensation_(spec.delay_compensation().strength()),
      kept_steps_(!spec.has_delay_compensation() ? 0
                  : spec.delay_compensation().has_kept_steps()
                      ? spec.delay_compensation().kept_steps()
                      : kDefaultKeptSteps),
      takes_uncorrected_(spec.delay_compensation().old_bases() == v1::OLD_BASES_UNCORRECTED) {}

bool AsynchronousPolicy::Correct(const WaitingPush& push, const PolicyState& state,
                                 Verdict* verdict) const {
  const int64_t staleness = state.open_step - push.base_step;
  if (max_staleness_.has_value() && staleness > *max_staleness_) return false;
  if (age_decay_.has_value()) {
    if (age_decay_->has_cutoff() && staleness >= age_decay_->cutoff()) return false;
    verdict->gradient_factor = DecayOf(*age_decay_, staleness);
  }
  if (compensation_ == 0 || staleness == 0) return true;
  if (push.base_step < state.oldest_kept_step || push.cannot_be_corrected) {
    return takes_uncorrected_;
  }
  verdict->compensation = compensation_;
  return true;
}

Verdict AsynchronousPolicy::Decide(const PolicyState& state) const {
  Verdict verdict;
  // A window that a change has made full is closed as it is.
  if (state.window_pushes >= state.window) {
    verdict.what = Verdict::What::kStep;
    verdict.rate_factor = FactorOf(correction_, state.window_staleness);
    return verdict;
  }
  for (size_t i = 0; i < state.waiting.size(); ++i) {
    const WaitingPush& push = state.waiting[i];
    if (!Correct(push, state, &verdict)) {
      verdict.dropped.push_back({i, v1::PUSH_OUTCOME_STALE});
      continue;
    }
    const bool closes = state.window_pushes + 1 >= state.window;
    verdict.what = closes ? Verdict::What::kStep : Verdict::What::kFold;
    verdict.used = {i};
    verdict.rate_factor =
        FactorOf(correction_, std::max(state.open_step - push.base_step, state.window_staleness));
    return verdict;
  }
  return verdict;
}

}  // namespace gradd
