#ifndef GRADD_CORE_BASE_DURATION_H_
#define GRADD_CORE_BASE_DURATION_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"

namespace gradd {

// The duration in `message`. INVALID_ARGUMENT, naming `field`, if it is malformed or outside
// [low, high].
absl::StatusOr<absl::Duration> ParseDuration(absl::string_view field,
                                             const google::protobuf::Duration& message,
                                             absl::Duration low, absl::Duration high);

// The duration in a message that was checked before.
absl::Duration FromProto(const google::protobuf::Duration& message);

google::protobuf::Duration ToProto(absl::Duration duration);
google::protobuf::Timestamp ToProto(absl::Time time);

}  // namespace gradd

#endif  // GRADD_CORE_BASE_DURATION_H_
