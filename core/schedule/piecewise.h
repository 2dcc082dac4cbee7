#ifndef GRADD_CORE_SCHEDULE_PIECEWISE_H_
#define GRADD_CORE_SCHEDULE_PIECEWISE_H_

#include <cstdint>

#include "gradd/v1/schedule.pb.h"

namespace gradd {

// The factor at step s of the shape, as schedule.proto has it. The shape must be valid.
double Factor(const v1::PiecewiseSchedule& shape, int64_t s);

}  // namespace gradd

#endif  // GRADD_CORE_SCHEDULE_PIECEWISE_H_
