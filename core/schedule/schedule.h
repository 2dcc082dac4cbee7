#ifndef GRADD_CORE_SCHEDULE_SCHEDULE_H_
#define GRADD_CORE_SCHEDULE_SCHEDULE_H_

#include <cstdint>

#include "absl/status/status.h"
#include "gradd/v1/schedule.pb.h"

namespace gradd {

// OK, or INVALID_ARGUMENT naming field, value and range, for example
// `schedule.learning_rate: nan is outside [0, 1e+06]`.
absl::Status ValidateSchedule(const v1::Schedule& schedule);

// The learning rate at `step` (steps of the run that are already applied, 0 for the first),
// computed in double from `step` alone; finite and not negative. Its cost does not grow with the
// step. `schedule` must be valid; it counts from its `begins_at`, and stands at its first rate
// before. `reduce_on_plateau` is not in it: see Plateau.
double LearningRate(const v1::Schedule& schedule, int64_t step);
// The same without any warm-up: while one lasts, the rate to which it rises.
double LearningRateWithoutWarmUp(const v1::Schedule& schedule, int64_t step);

// Whether the schedule cycles the momentum of the optimizer at any step.
bool CyclesMomentum(const v1::Schedule& schedule);

// That momentum at `step`; below 0 where there is none. `schedule` must be valid.
double Momentum(const v1::Schedule& schedule, int64_t step);

}  // namespace gradd

#endif  // GRADD_CORE_SCHEDULE_SCHEDULE_H_
