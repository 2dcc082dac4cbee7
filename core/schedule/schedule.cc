#include "core/schedule/schedule.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"

namespace gradd {
namespace {

constexpr double kMaxLearningRate = 1e6;

absl::Status OutOfRange(absl::string_view field, double value, absl::string_view range) {
  return Error(absl::StatusCode::kInvalidArgument, "OUT_OF_RANGE",
               absl::StrCat("schedule.", field, ": ", value, " is outside ", range));
}

// Also false for NaN.
bool AboveZeroToOne(double value) { return value > 0 && value <= 1; }

// Whole intervals of `length` steps before `step`.
double Intervals(int64_t step, int64_t length) {
  const int64_t intervals = step / length;
  return static_cast<double>(intervals);
}

double ExponentialDecay(const v1::ExponentialDecaySchedule& decay, int64_t step) {
  const int64_t decay_steps = decay.has_decay_steps() ? decay.decay_steps() : 1;
  const double exponent = decay.staircase()
                              ? Intervals(step, decay_steps)
                              : static_cast<double>(step) / static_cast<double>(decay_steps);
  return std::pow(decay.decay_rate(), exponent);
}

}  // namespace

absl::Status ValidateSchedule(const v1::Schedule& schedule) {
  if (!(schedule.learning_rate() >= 0 && schedule.learning_rate() <= kMaxLearningRate)) {
    return OutOfRange("learning_rate", schedule.learning_rate(), "[0, 1e+06]");
  }
  if (schedule.has_step_decay()) {
    const v1::StepDecaySchedule& decay = schedule.step_decay();
    if (decay.step_size() < 1) {
      return OutOfRange("step_decay.step_size", static_cast<double>(decay.step_size()),
                        "[1, 2^63)");
    }
    if (!AboveZeroToOne(decay.gamma())) {
      return OutOfRange("step_decay.gamma", decay.gamma(), "(0, 1]");
    }
  }
  if (schedule.has_exponential_decay()) {
    const v1::ExponentialDecaySchedule& decay = schedule.exponential_decay();
    if (!AboveZeroToOne(decay.decay_rate())) {
      return OutOfRange("exponential_decay.decay_rate", decay.decay_rate(), "(0, 1]");
    }
    if (decay.has_decay_steps() && decay.decay_steps() < 1) {
      return OutOfRange("exponential_decay.decay_steps", static_cast<double>(decay.decay_steps()),
                        "[1, 2^63)");
    }
  }
  return absl::OkStatus();
}

double LearningRate(const v1::Schedule& schedule, int64_t step) {
  double factor = 1;
  switch (schedule.shape_case()) {
    case v1::Schedule::kStepDecay:
      factor = std::pow(schedule.step_decay().gamma(),
                        Intervals(step, schedule.step_decay().step_size()));
      break;
    case v1::Schedule::kExponentialDecay:
      factor = ExponentialDecay(schedule.exponential_decay(), step);
      break;
    case v1::Schedule::kConstant:
    case v1::Schedule::SHAPE_NOT_SET:
      break;
  }
  return schedule.learning_rate() * factor;
}

}  // namespace gradd
