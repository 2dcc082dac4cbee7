#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/base/field_checker.h"
#include "core/schedule/schedule.h"
#include "core/schedule/shape_checks.h"

namespace gradd {
namespace {

constexpr int kMaxSequenceDepth = 3;
constexpr size_t kMaxBytes = size_t{64} << 10;
// So that the rate times a group's factor and a bias correction stays within float32.
constexpr double kHighestRate = 1e12;

template <typename Message>
absl::Status CheckMessage(const Message& message, std::string path) {
  FieldChecker check(std::move(path));
  CheckFields(message, &check);
  return check.status();
}

// `depth` sequences hold the schedule.
absl::Status CheckSchedule(const v1::Schedule& schedule, const std::string& path, int depth);

absl::Status CheckSequence(const v1::SequenceSchedule& shape, const std::string& path, int depth) {
  FieldChecker check(path);
  if (depth > kMaxSequenceDepth) {
    check.Refuse("parts", absl::StrCat("in ", depth, " sequences, at most ", kMaxSequenceDepth,
                                       " may lie within each other"));
    return check.status();
  }
  check.Count("parts", shape.parts_size());
  for (int i = 0; i < shape.parts_size() && check.status().ok(); ++i) {
    const v1::SequenceSchedule::Part& part = shape.parts(i);
    const std::string name = absl::StrCat("parts[", i, "]");
    const std::string steps = absl::StrCat(name, ".steps");
    if (i + 1 < shape.parts_size()) {
      check.Steps(steps, part.steps(), 1);
    } else if (part.steps() != 0) {
      check.Refuse(steps, absl::StrCat(part.steps(),
                                       " in the last part, which has no end; 0 "
                                       "expected"));
    }
    check.Add(CheckSchedule(part.schedule(), check.Path(absl::StrCat(name, ".schedule")), depth));
  }
  return check.status();
}

absl::Status CheckShape(const v1::Schedule& schedule, const std::string& path, int depth) {
  switch (schedule.shape_case()) {
    case v1::Schedule::kStepDecay:
      return CheckMessage(schedule.step_decay(), path + ".step_decay");
    case v1::Schedule::kExponentialDecay:
      return CheckMessage(schedule.exponential_decay(), path + ".exponential_decay");
    case v1::Schedule::kMultiStepDecay:
      return CheckMessage(schedule.multi_step_decay(), path + ".multi_step_decay");
    case v1::Schedule::kInverseTimeDecay:
      return CheckMessage(schedule.inverse_time_decay(), path + ".inverse_time_decay");
    case v1::Schedule::kPolynomialDecay:
      return CheckMessage(schedule.polynomial_decay(), path + ".polynomial_decay");
    case v1::Schedule::kLinear:
      return CheckMessage(schedule.linear(), path + ".linear");
    case v1::Schedule::kCosineDecay:
      return CheckMessage(schedule.cosine_decay(), path + ".cosine_decay");
    case v1::Schedule::kCosineRestarts:
      return CheckMessage(schedule.cosine_restarts(), path + ".cosine_restarts");
    case v1::Schedule::kCyclic:
      return CheckMessage(schedule.cyclic(), path + ".cyclic");
    case v1::Schedule::kOneCycle:
      return CheckMessage(schedule.one_cycle(), path + ".one_cycle");
    case v1::Schedule::kStableDecay:
      return CheckMessage(schedule.stable_decay(), path + ".stable_decay");
    case v1::Schedule::kInverseSquareRoot:
      return CheckMessage(schedule.inverse_square_root(), path + ".inverse_square_root");
    case v1::Schedule::kPiecewise:
      return CheckMessage(schedule.piecewise(), path + ".piecewise");
    case v1::Schedule::kSequence:
      return CheckSequence(schedule.sequence(), path + ".sequence", depth + 1);
    case v1::Schedule::kConstant:
    case v1::Schedule::SHAPE_NOT_SET:
      break;
  }
  return absl::OkStatus();
}

absl::Status CheckSchedule(const v1::Schedule& schedule, const std::string& path, int depth) {
  FieldChecker check(path);
  check.Single("learning_rate", schedule.learning_rate(), kUpToMillion);
  GRADD_RETURN_IF_ERROR(check.status());
  GRADD_RETURN_IF_ERROR(CheckShape(schedule, path, depth));
  if (schedule.has_warm_up()) {
    GRADD_RETURN_IF_ERROR(CheckMessage(schedule.warm_up(), path + ".warm_up"));
  }
  if (schedule.has_begins_at()) {
    if (depth > 0) {
      check.Refuse("begins_at", "set in a part of a sequence, expected in the run's schedule");
    } else {
      check.Steps("begins_at", schedule.begins_at(), 0);
    }
    GRADD_RETURN_IF_ERROR(check.status());
  }
  if (!schedule.has_reduce_on_plateau()) return absl::OkStatus();
  if (depth > 0) {
    check.Refuse("reduce_on_plateau",
                 "set in a part of a sequence, expected in the run's schedule");
    return check.status();
  }
  return CheckMessage(schedule.reduce_on_plateau(), path + ".reduce_on_plateau");
}

// The factor does not exceed this at any step.
double LargestFactor(const v1::Schedule& schedule) {
  double largest = 1;
  switch (schedule.shape_case()) {
    case v1::Schedule::kLinear:
      largest = std::max(schedule.linear().start_factor(), schedule.linear().end_factor());
      return schedule.linear().has_start_factor() ? largest : std::max(largest, 1.0);
    case v1::Schedule::kCyclic:
      return schedule.cyclic().max_factor();
    case v1::Schedule::kPiecewise:
      for (const auto& point : schedule.piecewise().points()) {
        largest = std::max(largest, point.factor());
      }
      return largest;
    case v1::Schedule::kSequence:
      for (const auto& part : schedule.sequence().parts()) {
        const double rate =
            part.schedule().has_learning_rate() ? part.schedule().learning_rate() : 1;
        largest = std::max(largest, rate * LargestFactor(part.schedule()));
      }
      return largest;
    default:
      return largest;
  }
}

}  // namespace

absl::Status ValidateSchedule(const v1::Schedule& schedule) {
  // Wherever a run is described its schedule is, and messages are bounded.
  if (schedule.ByteSizeLong() > kMaxBytes) {
    return Error(absl::StatusCode::kInvalidArgument, "OUT_OF_RANGE",
                 absl::StrCat("schedule: ", schedule.ByteSizeLong(), " bytes, at most ", kMaxBytes,
                              " expected"));
  }
  GRADD_RETURN_IF_ERROR(CheckSchedule(schedule, "schedule", /*depth=*/0));
  if (!schedule.has_learning_rate()) {
    return InvalidArgument("OUT_OF_RANGE",
                           absl::StrCat("schedule.learning_rate: not set, expected a number in ",
                                        kUpToMillion.Text()));
  }
  const double highest = schedule.learning_rate() * LargestFactor(schedule);
  if (highest <= kHighestRate) return absl::OkStatus();
  return InvalidArgument("OUT_OF_RANGE",
                         absl::StrCat("schedule: the learning rate times its largest factor is ",
                                      highest, ", at most ", kHighestRate, " expected"));
}

}  // namespace gradd
