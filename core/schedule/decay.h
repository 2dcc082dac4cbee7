#ifndef GRADD_CORE_SCHEDULE_DECAY_H_
#define GRADD_CORE_SCHEDULE_DECAY_H_

#include <cstdint>

#include "gradd/v1/schedule.pb.h"

namespace gradd {

// The factors of the shapes that go one way, at step s of the shape. The formulas are in
// schedule.proto. The shapes must be valid.
double Factor(const v1::StepDecaySchedule& shape, int64_t s);
double Factor(const v1::MultiStepDecaySchedule& shape, int64_t s);
double Factor(const v1::ExponentialDecaySchedule& shape, int64_t s);
double Factor(const v1::InverseTimeDecaySchedule& shape, int64_t s);
double Factor(const v1::PolynomialDecaySchedule& shape, int64_t s);
double Factor(const v1::LinearSchedule& shape, int64_t s);
double Factor(const v1::CosineDecaySchedule& shape, int64_t s);
double Factor(const v1::StableDecaySchedule& shape, int64_t s);
double Factor(const v1::InverseSquareRootSchedule& shape, int64_t s);

}  // namespace gradd

#endif  // GRADD_CORE_SCHEDULE_DECAY_H_
