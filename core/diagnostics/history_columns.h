#ifndef GRADD_CORE_DIAGNOSTICS_HISTORY_COLUMNS_H_
#define GRADD_CORE_DIAGNOSTICS_HISTORY_COLUMNS_H_

#include <initializer_list>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/error.h"

namespace gradd {

// That the columns of a table, each with its name, are as long as the first one.
inline absl::Status CheckColumns(absl::string_view table,
                                 std::initializer_list<std::pair<absl::string_view, int>> columns) {
  for (const auto& [name, size] : columns) {
    if (size == columns.begin()->second) continue;
    return InvalidArgument(
        "STATE_INVALID",
        absl::StrCat(table, ".", name, ": ", size, " numbers, as many as ", columns.begin()->first,
                     " expected: ", columns.begin()->second));
  }
  return absl::OkStatus();
}

// That points which follow each other stand on timelines from 1 on that do not descend, at steps of
// at least 0.
template <typename Points>
absl::Status CheckOrder(absl::string_view table, const Points& points) {
  uint64_t timeline = 1;
  for (const auto& point : points) {
    if (point.timeline < timeline || point.step < 0) {
      return InvalidArgument("STATE_INVALID",
                             absl::StrCat(table, ": step ", point.step, " of timeline ",
                                          point.timeline, " after timeline ", timeline));
    }
    timeline = point.timeline;
  }
  return absl::OkStatus();
}

}  // namespace gradd

#endif  // GRADD_CORE_DIAGNOSTICS_HISTORY_COLUMNS_H_
