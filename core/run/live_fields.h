#ifndef GRADD_CORE_RUN_LIVE_FIELDS_H_
#define GRADD_CORE_RUN_LIVE_FIELDS_H_

#include <algorithm>
#include <iterator>

#include "absl/strings/string_view.h"

namespace gradd {

// The fields of Run that UpdateRun changes while it trains, with all that is below them; the others
// stay as they were when the run was created.
constexpr absl::string_view kLiveFields[] = {
    "optimizer",      "groups", "schedule",    "policy",  "max_steps",
    "lease_duration", "labels", "checkpoints", "journal", "journal_max_bytes",
    "guard"};

// For messages.
constexpr absl::string_view kLiveFieldsText =
    "optimizer, groups, schedule, policy, max_steps, lease_duration, labels, checkpoints, journal, "
    "journal_max_bytes or guard";

// Whether `path`, a field path of Run, is one of them or below.
inline bool IsLiveField(absl::string_view path) {
  const absl::string_view top = path.substr(0, path.find('.'));
  return std::find(std::begin(kLiveFields), std::end(kLiveFields), top) != std::end(kLiveFields);
}

}  // namespace gradd

#endif  // GRADD_CORE_RUN_LIVE_FIELDS_H_
