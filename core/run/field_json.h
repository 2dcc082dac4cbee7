#ifndef GRADD_CORE_RUN_FIELD_JSON_H_
#define GRADD_CORE_RUN_FIELD_JSON_H_

#include <string>

#include "absl/strings/string_view.h"
#include "google/protobuf/message.h"

namespace gradd {

// The value at `path` (field names joined by `.`, valid for `message`) as JSON; empty if it is
// not set.
std::string FieldJson(const google::protobuf::Message& message, absl::string_view path);

}  // namespace gradd

#endif  // GRADD_CORE_RUN_FIELD_JSON_H_
