#ifndef GRADD_CORE_RUN_RUN_LABELS_H_
#define GRADD_CORE_RUN_RUN_LABELS_H_

#include <algorithm>
#include <string>

#include "absl/status/status.h"
#include "google/protobuf/map.h"

namespace gradd {

// See Run.labels.
using RunLabels = google::protobuf::Map<std::string, std::string>;

// OK, or INVALID_ARGUMENT naming the key, what is wrong with it or its value, and what is expected.
absl::Status ValidateLabels(const RunLabels& labels);

// Whether `labels` has all of `wanted`, with the same values.
inline bool HasLabels(const RunLabels& labels, const RunLabels& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& label) {
    const auto found = labels.find(label.first);
    return found != labels.end() && found->second == label.second;
  });
}

}  // namespace gradd

#endif  // GRADD_CORE_RUN_RUN_LABELS_H_
