#ifndef GRADD_CORE_SCHEDULE_ANNEALING_H_
#define GRADD_CORE_SCHEDULE_ANNEALING_H_

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "core/base/portable_math.h"
#include "gradd/v1/schedule.pb.h"

namespace gradd {

// How much of `length` steps is over at `step`: 0 to 1.
inline double Progress(int64_t step, int64_t length) {
  return std::min(1.0, static_cast<double>(step) / static_cast<double>(length));
}

// The value on the way `from` one `to` another, at `progress` from 0 to 1; not negative if neither
// of them is. An annealing that is not specified is `otherwise`.
inline double Anneal(v1::Annealing annealing, v1::Annealing otherwise, double from, double to,
                     double progress) {
  constexpr double kPi = 3.14159265358979323846;
  if (progress >= 1) return to;
  switch (annealing == v1::ANNEALING_UNSPECIFIED ? otherwise : annealing) {
    case v1::ANNEALING_COSINE:
      return to + (from - to) * (1 + Cosine(kPi * progress)) / 2;
    case v1::ANNEALING_SQUARE_ROOT:
      return from + (to - from) * std::sqrt(progress);
    default:
      return from + (to - from) * progress;
  }
}

}  // namespace gradd

#endif  // GRADD_CORE_SCHEDULE_ANNEALING_H_
