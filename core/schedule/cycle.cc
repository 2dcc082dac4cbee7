#include "core/schedule/cycle.h"

#include <algorithm>
#include <cmath>

#include "core/base/portable_math.h"
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

namespace {

// How far a cyclic schedule is on its way to the peak, 0 to 1.
double Height(const v1::CyclicSchedule& shape, int64_t s) {
  const int64_t up_steps = shape.up_steps();
  const int64_t down_steps = shape.has_down_steps() ? shape.down_steps() : up_steps;
  const int64_t cycle = s / (up_steps + down_steps);
  const int64_t at = s % (up_steps + down_steps);
  const double height =
      at <= up_steps ? Progress(at, up_steps) : 1 - Progress(at - up_steps, down_steps);
  double amplitude = 1;
  if (shape.form() == v1::CYCLIC_FORM_TRIANGULAR2) {
    constexpr int64_t kMostHalvings = 2000;  // Of which nothing is left.
    amplitude = std::ldexp(1.0, -static_cast<int>(std::min(cycle, kMostHalvings)));
  } else if (shape.form() == v1::CYCLIC_FORM_EXP_RANGE && shape.has_gamma()) {
    amplitude = Power(shape.gamma(), static_cast<double>(s));
  }
  return height * amplitude;
}

// What goes from `start` to `peak` and back to `middle` and `end` in the phases of a one-cycle
// schedule; with two of them, at once to `end`.
double Along(const v1::OneCycleSchedule& shape, int64_t s, double start, double peak, double middle,
             double end) {
  const double rise_fraction = shape.has_rise_fraction() ? shape.rise_fraction() : 0.3;
  const double rise = rise_fraction * static_cast<double>(shape.total_steps());
  const auto step = static_cast<double>(s);
  // The ends of the phases are torch's: they need not be whole, and may lie before the first step.
  const double at_peak = rise - 1;
  const double last = static_cast<double>(shape.total_steps()) - 1;
  const auto anneal = [&](double from, double to, double from_step, double to_step) {
    return Anneal(shape.annealing(), v1::ANNEALING_COSINE, from, to,
                  (step - from_step) / (to_step - from_step));
  };
  if (step <= at_peak) return at_peak > 0 ? anneal(start, peak, 0, at_peak) : peak;
  if (step >= last) return end;
  if (!shape.three_phase()) return anneal(peak, end, at_peak, last);
  const double at_middle = 2 * rise - 2;
  if (step <= at_middle) return anneal(peak, middle, at_peak, at_middle);
  return anneal(middle, end, at_middle, last);
}

}  // namespace

double Factor(const v1::CyclicSchedule& shape, int64_t s) {
  return 1 + (shape.max_factor() - 1) * Height(shape, s);
}

double Momentum(const v1::CyclicSchedule& shape, int64_t s) {
  const double low = LowMomentum(shape);
  const double high = HighMomentum(shape);
  return high - (high - low) * Height(shape, s);
}

double Factor(const v1::OneCycleSchedule& shape, int64_t s) {
  const double start_factor = shape.has_start_factor() ? shape.start_factor() : 0.04;
  const double end_factor = shape.has_end_factor() ? shape.end_factor() : 4e-6;
  return Along(shape, s, start_factor, 1, start_factor, end_factor);
}

double Momentum(const v1::OneCycleSchedule& shape, int64_t s) {
  const double high = HighMomentum(shape);
  return Along(shape, s, high, LowMomentum(shape), high, high);
}

}  // namespace gradd
