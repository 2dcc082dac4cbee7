#ifndef GRADD_CORE_RUN_PUSH_HEADER_H_
#define GRADD_CORE_RUN_PUSH_HEADER_H_

#include "absl/status/status.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// OK if sequence, base step and examples of a push that begins are in range; else INVALID_ARGUMENT.
absl::Status CheckHeader(const v1::PushHeader& header);

// Takes over what `commit` says in place of the header. INVALID_ARGUMENT: examples out of range, or
// a blob that is too large; or a loss that is not finite, with the reason NON_FINITE.
absl::Status TakeTotals(const v1::PushCommit& commit, v1::PushHeader* header);

}  // namespace gradd

#endif  // GRADD_CORE_RUN_PUSH_HEADER_H_
