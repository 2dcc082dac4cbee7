#ifndef GRADD_CORE_RUN_CHANGED_SCHEDULE_H_
#define GRADD_CORE_RUN_CHANGED_SCHEDULE_H_

#include <cstdint>

#include "absl/status/status.h"
#include "google/protobuf/field_mask.pb.h"
#include "gradd/v1/run.pb.h"

namespace gradd {

// Settles the learning rate of `updated`, which is the run `before` with a change of the fields in
// `mask`.
//
// A rate that the change gives counts. Where it gives none, the rate goes on, unless it means
// something else to the new optimizer:
// - One with a rate of its own (OwnRate()) that the one before did not have gets it: 0.001, right
//   for adam, would be a thousandth of what prodigy finds.
// - One without gets none. Prodigy's 1 would be a factor of what adam has no idea of, and no
// default
//   is right for adam: INVALID_ARGUMENT asks for the rate in the same change.
// A schedule that is replaced whole needs its rate again, too; to keep the one before would be a
// guess.
absl::Status SettleLearningRate(const v1::Run& before, const google::protobuf::FieldMask& mask,
                                v1::Run* updated);

// Settles from which step the schedule of `updated` counts; that is the run `before` with a change
// of the fields in `mask`. A `begins_at` that the change gives counts; otherwise that of `before`
// goes on.
//
// Returns true where it has to begin anew instead, at the step after which the change is in effect:
// the change gives no `begins_at`, and another curve. That is, something besides the learning rate
// and the plateau differs.
bool SettleBegin(const v1::Run& before, const google::protobuf::FieldMask& mask, v1::Run* updated);

// INVALID_ARGUMENT if the schedule begins after `step`, the run's present one.
absl::Status CheckBegin(const v1::Schedule& schedule, int64_t step);

}  // namespace gradd

#endif  // GRADD_CORE_RUN_CHANGED_SCHEDULE_H_
