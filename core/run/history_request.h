#ifndef GRADD_CORE_RUN_HISTORY_REQUEST_H_
#define GRADD_CORE_RUN_HISTORY_REQUEST_H_

#include "absl/status/statusor.h"
#include "core/diagnostics/history_selection.h"
#include "gradd/v1/run_service.pb.h"

namespace gradd {

// What a request asks for; INVALID_ARGUMENT names a field that is out of range.
absl::StatusOr<HistorySelection> SelectionOf(const v1::GetHistoryRequest& request);

}  // namespace gradd

#endif  // GRADD_CORE_RUN_HISTORY_REQUEST_H_
