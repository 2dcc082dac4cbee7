#ifndef GRADD_CORE_SCHEDULE_CYCLE_H_
#define GRADD_CORE_SCHEDULE_CYCLE_H_

#include <cstdint>

#include "gradd/v1/schedule.pb.h"

namespace gradd {

// The factors of the shapes that go up and down, at step s of the shape. The formulas are in
// schedule.proto. The shapes must be valid.
double Factor(const v1::CosineRestartsSchedule& shape, int64_t s);
double Factor(const v1::CyclicSchedule& shape, int64_t s);
double Factor(const v1::OneCycleSchedule& shape, int64_t s);

// Between which their momentum goes, defaults filled in.
inline double LowMomentum(const v1::CyclicSchedule& shape) {
  return shape.momentum().has_low() ? shape.momentum().low() : 0.8;
}
inline double HighMomentum(const v1::CyclicSchedule& shape) {
  return shape.momentum().has_high() ? shape.momentum().high() : 0.9;
}
inline double LowMomentum(const v1::OneCycleSchedule& shape) {
  return shape.momentum().has_low() ? shape.momentum().low() : 0.85;
}
inline double HighMomentum(const v1::OneCycleSchedule& shape) {
  return shape.momentum().has_high() ? shape.momentum().high() : 0.95;
}
// At step s of a shape that has one.
double Momentum(const v1::CyclicSchedule& shape, int64_t s);
double Momentum(const v1::OneCycleSchedule& shape, int64_t s);

}  // namespace gradd

#endif  // GRADD_CORE_SCHEDULE_CYCLE_H_
