#include "core/schedule/shape_checks.h"

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/schedule/cycle.h"

namespace gradd {
namespace {

void CheckAnnealing(v1::Annealing value, FieldChecker* check) {
  check->Enum("annealing", value, v1::Annealing_IsValid(value), "Annealing");
}

// `low` and `high` have their defaults filled in.
void CheckMomentum(double low, double high, FieldChecker* check) {
  check->Real("momentum.high", high, kFromZeroBelowOne);
  check->Real("momentum.low", low, {0, high});
}

}  // namespace

void CheckFields(const v1::StepDecaySchedule& shape, FieldChecker* check) {
  check->Positive("step_size", shape.step_size());
  check->Real("gamma", shape.gamma(), kAboveZeroToOne);
}

void CheckFields(const v1::ExponentialDecaySchedule& shape, FieldChecker* check) {
  check->Real("decay_rate", shape.decay_rate(), kAboveZeroToOne);
  if (shape.has_decay_steps()) check->Positive("decay_steps", shape.decay_steps());
}

void CheckFields(const v1::MultiStepDecaySchedule& shape, FieldChecker* check) {
  check->Count("milestones", shape.milestones_size());
  check->Real("gamma", shape.gamma(), kAboveZeroToOne);
  for (int i = 0; i < shape.milestones_size() && check->status().ok(); ++i) {
    const std::string field = absl::StrCat("milestones[", i, "]");
    check->Steps(field, shape.milestones(i), 1);
    if (i > 0) check->After(field, shape.milestones(i), shape.milestones(i - 1));
  }
}

void CheckFields(const v1::InverseTimeDecaySchedule& shape, FieldChecker* check) {
  check->Real("decay_rate", shape.decay_rate(), kUpToMillion);
  if (shape.has_decay_steps()) check->Steps("decay_steps", shape.decay_steps(), 1);
}

void CheckFields(const v1::PolynomialDecaySchedule& shape, FieldChecker* check) {
  check->Steps("decay_steps", shape.decay_steps(), 1);
  if (shape.has_power()) check->Real("power", shape.power(), kAboveZeroToHundred);
  check->Real("end_factor", shape.end_factor(), kZeroToOne);
}

void CheckFields(const v1::LinearSchedule& shape, FieldChecker* check) {
  check->Steps("total_steps", shape.total_steps(), 1);
  check->Real("start_factor", shape.start_factor(), kUpToMillion);
  check->Real("end_factor", shape.end_factor(), kUpToMillion);
}

void CheckFields(const v1::CosineDecaySchedule& shape, FieldChecker* check) {
  check->Steps("decay_steps", shape.decay_steps(), 1);
  check->Real("end_factor", shape.end_factor(), kZeroToOne);
}

void CheckFields(const v1::CosineRestartsSchedule& shape, FieldChecker* check) {
  constexpr int64_t kMaxPeriodFactor = 1000;
  check->Steps("period", shape.period(), 1);
  if (shape.has_period_factor() &&
      (shape.period_factor() < 1 || shape.period_factor() > kMaxPeriodFactor)) {
    check->Refuse("period_factor",
                  absl::StrCat(shape.period_factor(), " is outside [1, ", kMaxPeriodFactor, "]"));
  }
  check->Real("end_factor", shape.end_factor(), kZeroToOne);
}

void CheckFields(const v1::CyclicSchedule& shape, FieldChecker* check) {
  check->Steps("up_steps", shape.up_steps(), 1);
  if (shape.has_down_steps()) check->Steps("down_steps", shape.down_steps(), 1);
  check->Real("max_factor", shape.max_factor(), kOneToMillion);
  check->Enum("form", shape.form(), v1::CyclicForm_IsValid(shape.form()), "CyclicForm");
  CheckMomentum(LowMomentum(shape), HighMomentum(shape), check);
  if (!shape.has_gamma()) return;
  check->Real("gamma", shape.gamma(), kAboveZeroToOne);
  if (shape.form() != v1::CYCLIC_FORM_EXP_RANGE) {
    check->Refuse("gamma", absl::StrCat(shape.gamma(), " has no meaning without form EXP_RANGE"));
  }
}

void CheckFields(const v1::OneCycleSchedule& shape, FieldChecker* check) {
  check->Steps("total_steps", shape.total_steps(), 1);
  check->Real("rise_fraction", shape.rise_fraction(),
              shape.three_phase() ? kZeroToHalf : kZeroToOne);
  check->Real("start_factor", shape.start_factor(), kZeroToOne);
  check->Real("end_factor", shape.end_factor(), kZeroToOne);
  CheckAnnealing(shape.annealing(), check);
  CheckMomentum(LowMomentum(shape), HighMomentum(shape), check);
}

void CheckFields(const v1::StableDecaySchedule& shape, FieldChecker* check) {
  check->Steps("stable_steps", shape.stable_steps(), 0);
  check->Steps("decay_steps", shape.decay_steps(), 1);
  check->Real("end_factor", shape.end_factor(), kZeroToOne);
  CheckAnnealing(shape.annealing(), check);
}

void CheckFields(const v1::InverseSquareRootSchedule& shape, FieldChecker* check) {
  check->Steps("timescale", shape.timescale(), 1);
}

void CheckFields(const v1::PiecewiseSchedule& shape, FieldChecker* check) {
  check->Count("points", shape.points_size());
  for (int i = 0; i < shape.points_size() && check->status().ok(); ++i) {
    const v1::PiecewiseSchedule::Point& point = shape.points(i);
    const std::string step = absl::StrCat("points[", i, "].step");
    check->Steps(step, point.step(), 0);
    if (i > 0) check->After(step, point.step(), shape.points(i - 1).step());
    check->Real(absl::StrCat("points[", i, "].factor"), point.factor(), kUpToMillion);
  }
}

void CheckFields(const v1::WarmUp& warm_up, FieldChecker* check) {
  check->Steps("steps", warm_up.steps(), 1);
  check->Real("start_factor", warm_up.start_factor(), kZeroToOne);
  CheckAnnealing(warm_up.annealing(), check);
}

void CheckFields(const v1::ReduceOnPlateau& plateau, FieldChecker* check) {
  check->Enum("metric", plateau.metric(), v1::PlateauMetric_IsValid(plateau.metric()),
              "PlateauMetric");
  check->Enum("mode", plateau.mode(), v1::PlateauMode_IsValid(plateau.mode()), "PlateauMode");
  check->Enum("threshold_mode", plateau.threshold_mode(),
              v1::PlateauThresholdMode_IsValid(plateau.threshold_mode()), "PlateauThresholdMode");
  if (plateau.has_factor()) check->Real("factor", plateau.factor(), kAboveZeroBelowOne);
  check->Steps("patience", plateau.patience(), 0);
  const bool absolute = plateau.threshold_mode() == v1::PLATEAU_THRESHOLD_MODE_ABSOLUTE;
  check->Real("threshold", plateau.threshold(), absolute ? kUpToMillion : kFromZeroBelowOne);
  check->Steps("cooldown", plateau.cooldown(), 0);
  check->Real("min_factor", plateau.min_factor(), kZeroToOne);
  check->Real("epsilon", plateau.epsilon(), kZeroToOne);
  if (!plateau.has_interval()) return;
  check->Steps("interval", plateau.interval(), 1);
  if (plateau.metric() != v1::PLATEAU_METRIC_TRAINING_LOSS) {
    check->Refuse("interval",
                  absl::StrCat(plateau.interval(), " has no meaning without metric TRAINING_LOSS"));
  }
}

}  // namespace gradd
