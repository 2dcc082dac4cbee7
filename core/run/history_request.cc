#include "core/run/history_request.h"

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/diagnostics/step_history.h"

namespace gradd {

absl::StatusOr<HistorySelection> SelectionOf(const v1::GetHistoryRequest& request) {
  constexpr int64_t kMost = ThinnedSequence<StepPoint>::kMost;
  if (request.max_points() < 0 || request.max_points() > kMost) {
    return InvalidArgument("OUT_OF_RANGE", absl::StrCat("max_points: ", request.max_points(),
                                                        " is outside [0, ", kMost, "]"));
  }
  if (request.first_step() < 0) {
    return InvalidArgument("OUT_OF_RANGE", absl::StrCat("first_step: ", request.first_step(),
                                                        ", at least 0 expected"));
  }
  return HistorySelection{request.max_points() == 0 ? kMost : request.max_points(),
                          request.timeline(), request.first_step()};
}

}  // namespace gradd
