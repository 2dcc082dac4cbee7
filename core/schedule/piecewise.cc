#include "core/schedule/piecewise.h"

#include <algorithm>
#include <iterator>

#include "core/schedule/annealing.h"

namespace gradd {

double Factor(const v1::PiecewiseSchedule& shape, int64_t s) {
  using Point = v1::PiecewiseSchedule::Point;
  const auto next =
      std::upper_bound(shape.points().begin(), shape.points().end(), s,
                       [](int64_t step, const Point& point) { return step < point.step(); });
  if (next == shape.points().begin()) return next->factor();
  const Point& last = *std::prev(next);
  if (!shape.interpolate() || next == shape.points().end()) return last.factor();
  return Anneal(v1::ANNEALING_LINEAR, v1::ANNEALING_LINEAR, last.factor(), next->factor(),
                Progress(s - last.step(), next->step() - last.step()));
}

}  // namespace gradd
