#include "core/schedule/cycle.h"

#include <cmath>

#include "core/schedule/annealing.h"

namespace gradd {

double Factor(const v1::CosineRestartsSchedule& shape, int64_t s) {
  const int64_t growth = shape.has_period_factor() ? shape.period_factor() : 1;
  int64_t period = shape.period();
  if (growth == 1) {
    s %= period;
  } else {
    // At most log2(s) periods. No overflow: none that is passed is longer than s, which is at most
    // 2^53, and the next one is at most 1,000 times as long.
    while (s >= period) {
      s -= period;
      period *= growth;
    }
  }
  return Anneal(v1::ANNEALING_COSINE, v1::ANNEALING_COSINE, 1, shape.end_factor(),
                Progress(s, period));
}

double Factor(const v1::CyclicSchedule& shape, int64_t s) {
  const int64_t up_steps = shape.up_steps();
  const int64_t down_steps = shape.has_down_steps() ? shape.down_steps() : up_steps;
  const int64_t cycle = s / (up_steps + down_steps);
  const int64_t at = s % (up_steps + down_steps);
  const double height =
      at <= up_steps ? Progress(at, up_steps) : 1 - Progress(at - up_steps, down_steps);
  double amplitude = 1;
  if (shape.form() == v1::CYCLIC_FORM_TRIANGULAR2) {
    amplitude = std::exp2(-static_cast<double>(cycle));
  } else if (shape.form() == v1::CYCLIC_FORM_EXP_RANGE && shape.has_gamma()) {
    amplitude = std::pow(shape.gamma(), static_cast<double>(s));
  }
  return 1 + (shape.max_factor() - 1) * height * amplitude;
}

double Factor(const v1::OneCycleSchedule& shape, int64_t s) {
  const double start_factor = shape.has_start_factor() ? shape.start_factor() : 0.04;
  const double end_factor = shape.has_end_factor() ? shape.end_factor() : 4e-6;
  const double rise_fraction = shape.has_rise_fraction() ? shape.rise_fraction() : 0.3;
  const double rise = rise_fraction * static_cast<double>(shape.total_steps());
  const auto step = static_cast<double>(s);
  // The ends of the phases are torch's: they need not be whole, and may lie before the first step.
  const double peak = rise - 1;
  const double last = static_cast<double>(shape.total_steps()) - 1;
  const auto anneal = [&](double from, double to, double begin, double end) {
    return Anneal(shape.annealing(), v1::ANNEALING_COSINE, from, to,
                  (step - begin) / (end - begin));
  };
  if (step <= peak) return peak > 0 ? anneal(start_factor, 1, 0, peak) : 1;
  if (step >= last) return end_factor;
  if (!shape.three_phase()) return anneal(1, end_factor, peak, last);
  const double middle = 2 * rise - 2;
  if (step <= middle) return anneal(1, start_factor, peak, middle);
  return anneal(start_factor, end_factor, middle, last);
}

}  // namespace gradd
