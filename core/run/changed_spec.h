#ifndef GRADD_CORE_RUN_CHANGED_SPEC_H_
#define GRADD_CORE_RUN_CHANGED_SPEC_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/protobuf/field_mask.pb.h"
#include "gradd/v1/run.pb.h"

namespace gradd {

// OK if a change may name these fields; see UpdateRunRequest. At least one is expected.
absl::Status CheckUpdateMask(const google::protobuf::FieldMask& mask);

// The spec of a run that is changed. Whether its values are valid is not known yet.
struct ChangedSpec {
  v1::Run spec;
  bool begins_anew = false;  // Its schedule counts from when the change is in effect.
};
// The fields of `mask`, which is one that CheckUpdateMask() takes, are those of `values`, and what
// follows from them is settled. INVALID_ARGUMENT names a field of a kind that the run has not, or a
// rate that is missing.
absl::StatusOr<ChangedSpec> ChangeSpec(const v1::Run& before,
                                       const google::protobuf::FieldMask& mask,
                                       const v1::Run& values);

}  // namespace gradd

#endif  // GRADD_CORE_RUN_CHANGED_SPEC_H_
