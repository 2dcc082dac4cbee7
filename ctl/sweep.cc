#include "ctl/sweep.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/error.h"
#include "ctl/status.h"

namespace gradd::ctl {
namespace {

// The standard deviation of the bell over which losses are smoothed, in decades of the rate: what
// one mini-batch makes of the loss disappears, what a rate makes of it stays.
constexpr double kSmoothedDecades = 0.15;
// Of the loss's fall: a rate that holds so much of it trains well. Of the rules that were tried on
// 30 pairs of models and optimizers, the middle of these rates came closest to the best of a grid:
// within a factor of 3 for 28 of them.
constexpr double kHeldFall = 0.7;
// Of the first loss: what falls less may be noise.
constexpr double kLeastFall = 0.01;
// Of the first loss's noise: of the many losses after it, the least one is by chance alone up to 4
// times that lower.
constexpr double kClearFall = 6;
// A loss that is so many times the least one has diverged.
constexpr double kDiverged = 4;

double Decades(const SweepRange& range) { return std::log10(range.to / range.from); }

double RateOf(const SweepRange& range, int64_t step) {
  const double part = static_cast<double>(step) / static_cast<double>(range.steps - 1);
  return range.from * std::pow(10, part * Decades(range));
}

// How much the loss of one rate counts in the smoothed loss of another.
double Weight(const SweepPoint& a, const SweepPoint& b) {
  const double distance = std::log10(a.rate / b.rate) / kSmoothedDecades;
  return std::exp(-distance * distance / 2);
}

// The standard error of the first smoothed loss: how much of it its mini-batches have made.
double FirstNoise(const std::vector<SweepPoint>& points) {
  double weights = 0;
  double squared_weights = 0;
  double variance = 0;
  for (const SweepPoint& point : points) {
    const double weight = Weight(points.front(), point);
    weights += weight;
    squared_weights += weight * weight;
    variance += weight * std::pow(point.loss - point.smoothed_loss, 2);
  }
  return std::sqrt(variance / weights * squared_weights) / weights;
}

// The first step whose loss has diverged; the number of steps if none has.
size_t DivergedAt(const std::vector<v1::TrialStep>& steps) {
  double least = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < steps.size(); ++i) {
    least = std::min(least, steps[i].smoothed_loss());
    // Where losses may be below 0, only what is not finite is that bad.
    const bool finite = std::isfinite(steps[i].smoothed_loss());
    if (!finite || (least > 0 && steps[i].smoothed_loss() > kDiverged * least)) return i;
  }
  return steps.size();
}

}  // namespace

absl::Status CheckSweepRange(const SweepRange& range, absl::string_view steps_option) {
  const auto usable = [](double rate) { return rate >= 1e-12 && rate <= 1e6; };
  if (!usable(range.from)) {
    return UsageError(absl::StrCat("--from: ", range.from, " is outside [1e-12, 1e6]"));
  }
  if (!usable(range.to)) {
    return UsageError(absl::StrCat("--to: ", range.to, " is outside [1e-12, 1e6]"));
  }
  if (range.from >= range.to) {
    return UsageError(absl::StrCat("the range from ", range.from, " to ", range.to, " is ",
                                   range.from == range.to ? "empty" : "reversed",
                                   "; --from must be below --to"));
  }
  if (range.steps < kMinSweepSteps || range.steps > kMaxSweepSteps) {
    return UsageError(absl::StrCat(steps_option, ": ", range.steps, " is outside [", kMinSweepSteps,
                                   ", ", kMaxSweepSteps, "]"));
  }
  return absl::OkStatus();
}

v1::Schedule SweepSchedule(const SweepRange& range) {
  v1::Schedule schedule;
  schedule.set_learning_rate(range.to);
  for (int64_t step = 0; step < range.steps; ++step) {
    v1::PiecewiseSchedule::Point& point = *schedule.mutable_piecewise()->add_points();
    point.set_step(step);
    point.set_factor(RateOf(range, step) / range.to);
  }
  return schedule;
}

std::vector<SweepPoint> SweepPoints(const std::vector<v1::TrialStep>& steps) {
  std::vector<SweepPoint> points;
  const size_t end = std::min(DivergedAt(steps) + 1, steps.size());
  for (size_t i = 0; i + 1 < end; ++i) {
    points.push_back({steps[i].learning_rate(), steps[i + 1].loss(), 0});
  }
  // One that explodes would otherwise show in the means far before it.
  const double most = points.empty() ? 0 : kDiverged * std::abs(points.front().loss);
  for (SweepPoint& point : points) {
    double weights = 0;
    double sum = 0;
    for (const SweepPoint& other : points) {
      const double weight = Weight(point, other);
      weights += weight;
      sum += weight * std::min(other.loss, most);
    }
    point.smoothed_loss = sum / weights;
  }
  return points;
}

bool HasDiverged(const std::vector<v1::TrialStep>& steps) {
  return DivergedAt(steps) < steps.size();
}

absl::StatusOr<RateSuggestion> SuggestRate(const std::vector<SweepPoint>& points) {
  const auto none = [](absl::string_view why) {
    return Error(absl::StatusCode::kFailedPrecondition, "NO_SUGGESTION",
                 absl::StrCat("no rate to suggest: ", why));
  };
  if (points.empty()) return none("the sweep ended with its first steps; try a smaller --from");
  const auto least = std::min_element(
      points.begin(), points.end(),
      [](const SweepPoint& a, const SweepPoint& b) { return a.smoothed_loss < b.smoothed_loss; });
  const double fall = points.front().smoothed_loss - least->smoothed_loss;
  if (!(fall > kLeastFall * std::abs(points.front().smoothed_loss))) {
    return none(
        "no rate made the loss fall; try a smaller --from, or a run that has something to learn");
  }
  const double level = points.front().smoothed_loss - kHeldFall * fall;
  const auto holds = [level](const SweepPoint& point) { return point.smoothed_loss <= level; };
  const auto first = std::find_if(points.begin(), least, holds);
  const auto end = std::find_if_not(least, points.end(), holds);
  RateSuggestion suggestion;
  suggestion.rate = std::sqrt(first->rate * (end - 1)->rate);
  suggestion.reason = absl::StrFormat(
      "the middle of the rates from %.2g to %.2g, where the loss holds %.0f %% of its fall from "
      "%.4g to %.4g",
      first->rate, (end - 1)->rate, 100 * kHeldFall, points.front().smoothed_loss,
      least->smoothed_loss);
  if (const double noise = FirstNoise(points); fall < kClearFall * noise) {
    suggestion.is_guess = true;
    absl::StrAppendFormat(&suggestion.reason,
                          "; a guess, since mini-batches alone move the loss by %.2g: more --steps "
                          "tell more",
                          noise);
  }
  if (end == points.end()) {
    suggestion.is_guess = true;
    absl::StrAppend(&suggestion.reason,
                    "; it had not risen again at the sweep's end, so a larger --to may tell more");
  }
  return suggestion;
}

}  // namespace gradd::ctl
