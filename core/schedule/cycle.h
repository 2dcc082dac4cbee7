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

}  // namespace gradd

#endif  // GRADD_CORE_SCHEDULE_CYCLE_H_
