#ifndef GRADD_CORE_RUN_CHANGED_RATE_H_
#define GRADD_CORE_RUN_CHANGED_RATE_H_

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

}  // namespace gradd

#endif  // GRADD_CORE_RUN_CHANGED_RATE_H_
