#include "core/schedule/decay.h"

#include <algorithm>
#include <cmath>

#include "core/base/portable_math.h"
#include "core/schedule/annealing.h"

namespace gradd {
namespace {

// Intervals of `length` steps before `s`; only whole ones for a staircase.
double Intervals(int64_t s, int64_t length, bool staircase) {
  const int64_t whole = s / length;
  return staircase ? static_cast<double>(whole)
                   : static_cast<double>(s) / static_cast<double>(length);
}

}  // namespace

double Factor(const v1::StepDecaySchedule& shape, int64_t s) {
  return Power(shape.gamma(), Intervals(s, shape.step_size(), /*staircase=*/true));
}

double Factor(const v1::MultiStepDecaySchedule& shape, int64_t s) {
  const auto& milestones = shape.milestones();
  const auto passed =
      std::upper_bound(milestones.begin(), milestones.end(), s) - milestones.begin();
  return Power(shape.gamma(), static_cast<double>(passed));
}

double Factor(const v1::ExponentialDecaySchedule& shape, int64_t s) {
  const int64_t decay_steps = shape.has_decay_steps() ? shape.decay_steps() : 1;
  return Power(shape.decay_rate(), Intervals(s, decay_steps, shape.staircase()));
}

double Factor(const v1::InverseTimeDecaySchedule& shape, int64_t s) {
  const int64_t decay_steps = shape.has_decay_steps() ? shape.decay_steps() : 1;
  return 1 / (1 + shape.decay_rate() * Intervals(s, decay_steps, shape.staircase()));
}

double Factor(const v1::PolynomialDecaySchedule& shape, int64_t s) {
  const double power = shape.has_power() ? shape.power() : 1;
  return shape.end_factor() +
         (1 - shape.end_factor()) * Power(1 - Progress(s, shape.decay_steps()), power);
}

double Factor(const v1::LinearSchedule& shape, int64_t s) {
  const double start_factor = shape.has_start_factor() ? shape.start_factor() : 1;
  return Anneal(v1::ANNEALING_LINEAR, v1::ANNEALING_LINEAR, start_factor, shape.end_factor(),
                Progress(s, shape.total_steps()));
}

double Factor(const v1::CosineDecaySchedule& shape, int64_t s) {
  return Anneal(v1::ANNEALING_COSINE, v1::ANNEALING_COSINE, 1, shape.end_factor(),
                Progress(s, shape.decay_steps()));
}

double Factor(const v1::StableDecaySchedule& shape, int64_t s) {
  if (s <= shape.stable_steps()) return 1;
  return Anneal(shape.annealing(), v1::ANNEALING_LINEAR, 1, shape.end_factor(),
                Progress(s - shape.stable_steps(), shape.decay_steps()));
}

double Factor(const v1::InverseSquareRootSchedule& shape, int64_t s) {
  return 1 / std::sqrt(1 + static_cast<double>(s) / static_cast<double>(shape.timescale()));
}

}  // namespace gradd
