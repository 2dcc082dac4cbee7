#include "core/schedule/schedule.h"

#include <algorithm>

#include "core/schedule/annealing.h"
#include "core/schedule/cycle.h"
#include "core/schedule/decay.h"
#include "core/schedule/piecewise.h"

namespace gradd {
namespace {

enum class WarmUps { kCount, kIgnored };

double ScheduleFactor(const v1::Schedule& schedule, int64_t s, WarmUps warm_ups);

double SequenceFactor(const v1::SequenceSchedule& shape, int64_t s, WarmUps warm_ups) {
  auto part = shape.parts().begin();
  for (; part->steps() > 0 && s >= part->steps(); ++part) s -= part->steps();
  const v1::Schedule& schedule = part->schedule();
  return (schedule.has_learning_rate() ? schedule.learning_rate() : 1) *
         ScheduleFactor(schedule, s, warm_ups);
}

double ShapeFactor(const v1::Schedule& schedule, int64_t s, WarmUps warm_ups) {
  switch (schedule.shape_case()) {
    case v1::Schedule::kStepDecay:
      return Factor(schedule.step_decay(), s);
    case v1::Schedule::kExponentialDecay:
      return Factor(schedule.exponential_decay(), s);
    case v1::Schedule::kMultiStepDecay:
      return Factor(schedule.multi_step_decay(), s);
    case v1::Schedule::kInverseTimeDecay:
      return Factor(schedule.inverse_time_decay(), s);
    case v1::Schedule::kPolynomialDecay:
      return Factor(schedule.polynomial_decay(), s);
    case v1::Schedule::kLinear:
      return Factor(schedule.linear(), s);
    case v1::Schedule::kCosineDecay:
      return Factor(schedule.cosine_decay(), s);
    case v1::Schedule::kCosineRestarts:
      return Factor(schedule.cosine_restarts(), s);
    case v1::Schedule::kCyclic:
      return Factor(schedule.cyclic(), s);
    case v1::Schedule::kOneCycle:
      return Factor(schedule.one_cycle(), s);
    case v1::Schedule::kStableDecay:
      return Factor(schedule.stable_decay(), s);
    case v1::Schedule::kInverseSquareRoot:
      return Factor(schedule.inverse_square_root(), s);
    case v1::Schedule::kPiecewise:
      return Factor(schedule.piecewise(), s);
    case v1::Schedule::kSequence:
      return SequenceFactor(schedule.sequence(), s, warm_ups);
    case v1::Schedule::kConstant:
    case v1::Schedule::SHAPE_NOT_SET:
      break;
  }
  return 1;
}

// Without the learning rate that it multiplies.
double ScheduleFactor(const v1::Schedule& schedule, int64_t s, WarmUps warm_ups) {
  if (!schedule.has_warm_up()) return ShapeFactor(schedule, s, warm_ups);
  const v1::WarmUp& warm_up = schedule.warm_up();
  if (s >= warm_up.steps()) return ShapeFactor(schedule, s - warm_up.steps(), warm_ups);
  const double risen = ShapeFactor(schedule, 0, warm_ups);
  if (warm_ups == WarmUps::kIgnored) return risen;
  return risen * Anneal(warm_up.annealing(), v1::ANNEALING_LINEAR, warm_up.start_factor(), 1,
                        Progress(s, warm_up.steps()));
}

double ShapeMomentum(const v1::Schedule& schedule, int64_t s) {
  if (schedule.has_warm_up()) s = std::max<int64_t>(s - schedule.warm_up().steps(), 0);
  if (schedule.has_sequence()) {
    auto part = schedule.sequence().parts().begin();
    for (; part->steps() > 0 && s >= part->steps(); ++part) s -= part->steps();
    return ShapeMomentum(part->schedule(), s);
  }
  if (schedule.cyclic().has_momentum()) return Momentum(schedule.cyclic(), s);
  if (schedule.one_cycle().has_momentum()) return Momentum(schedule.one_cycle(), s);
  return -1;
}

// What all shapes call s. Before the schedule begins, where only a run that was rolled back can be,
// it is that of the first step.
int64_t StepsSinceBegin(const v1::Schedule& schedule, int64_t step) {
  return std::max<int64_t>(step - schedule.begins_at(), 0);
}

}  // namespace

bool CyclesMomentum(const v1::Schedule& schedule) {
  const auto& parts = schedule.sequence().parts();
  return schedule.cyclic().has_momentum() || schedule.one_cycle().has_momentum() ||
         std::any_of(parts.begin(), parts.end(), [](const v1::SequenceSchedule::Part& part) {
           return CyclesMomentum(part.schedule());
         });
}

double Momentum(const v1::Schedule& schedule, int64_t step) {
  return ShapeMomentum(schedule, StepsSinceBegin(schedule, step));
}

double LearningRate(const v1::Schedule& schedule, int64_t step) {
  return schedule.learning_rate() *
         ScheduleFactor(schedule, StepsSinceBegin(schedule, step), WarmUps::kCount);
}

double LearningRateWithoutWarmUp(const v1::Schedule& schedule, int64_t step) {
  return schedule.learning_rate() *
         ScheduleFactor(schedule, StepsSinceBegin(schedule, step), WarmUps::kIgnored);
}

}  // namespace gradd
