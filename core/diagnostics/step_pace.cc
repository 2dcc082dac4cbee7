#include "core/diagnostics/step_pace.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace gradd {

void StepPace::AddStep(absl::Duration now) {
  constexpr double kMemorySeconds = 3;
  constexpr double kLeastKept = 0.9;  // Of the weight of the interval before: ten steps.
  // One late step is not a new pace: a worker came back, a machine was busy.
  constexpr double kMostOfMean = 4;
  const std::optional<absl::Duration> before = std::exchange(last_, now);
  if (!before.has_value()) return;
  if (!std::exchange(warm_, true)) return;
  double seconds = absl::ToDoubleSeconds(now - *before);
  if (intervals_ > 0 && seconds_ > 0) {
    seconds = std::min(seconds, kMostOfMean * seconds_ / intervals_);
  }
  const double kept = std::max(std::exp(-seconds / kMemorySeconds), kLeastKept);
  intervals_ = intervals_ * kept + 1;
  seconds_ = seconds_ * kept + seconds;
}

std::optional<absl::Duration> StepPace::TimePerStep(absl::Duration now) const {
  constexpr absl::Duration kPatience = absl::Seconds(10);
  constexpr double kPatienceSteps = 10;
  if (intervals_ == 0) return std::nullopt;
  const absl::Duration pace = absl::Seconds(seconds_ / intervals_);
  if (last_.has_value() && now - *last_ > std::max(kPatience, kPatienceSteps * pace)) {
    return std::nullopt;
  }
  return pace;
}

}  // namespace gradd
