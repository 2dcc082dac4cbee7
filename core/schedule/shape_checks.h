#ifndef GRADD_CORE_SCHEDULE_SHAPE_CHECKS_H_
#define GRADD_CORE_SCHEDULE_SHAPE_CHECKS_H_

#include "core/base/field_checker.h"
#include "gradd/v1/schedule.pb.h"

namespace gradd {

// Whether every field is within the range that schedule.proto gives it.
void CheckFields(const v1::StepDecaySchedule& shape, FieldChecker* check);
void CheckFields(const v1::ExponentialDecaySchedule& shape, FieldChecker* check);
void CheckFields(const v1::MultiStepDecaySchedule& shape, FieldChecker* check);
void CheckFields(const v1::InverseTimeDecaySchedule& shape, FieldChecker* check);
void CheckFields(const v1::PolynomialDecaySchedule& shape, FieldChecker* check);
void CheckFields(const v1::LinearSchedule& shape, FieldChecker* check);
void CheckFields(const v1::CosineDecaySchedule& shape, FieldChecker* check);
void CheckFields(const v1::CosineRestartsSchedule& shape, FieldChecker* check);
void CheckFields(const v1::CyclicSchedule& shape, FieldChecker* check);
void CheckFields(const v1::OneCycleSchedule& shape, FieldChecker* check);
void CheckFields(const v1::StableDecaySchedule& shape, FieldChecker* check);
void CheckFields(const v1::InverseSquareRootSchedule& shape, FieldChecker* check);
void CheckFields(const v1::PiecewiseSchedule& shape, FieldChecker* check);
void CheckFields(const v1::WarmUp& warm_up, FieldChecker* check);
void CheckFields(const v1::ReduceOnPlateau& plateau, FieldChecker* check);

}  // namespace gradd

#endif  // GRADD_CORE_SCHEDULE_SHAPE_CHECKS_H_
