#include "core/base/duration.h"

#include "absl/strings/str_cat.h"
#include "core/base/error.h"

namespace gradd {

absl::StatusOr<absl::Duration> ParseDuration(absl::string_view field,
                                             const google::protobuf::Duration& message,
                                             absl::Duration low, absl::Duration high) {
  // Bounds of google.protobuf.Duration; a sign must not contradict the other.
  constexpr int64_t kMaxSeconds = 315'576'000'000;
  constexpr int32_t kMaxNanos = 999'999'999;
  const bool malformed = message.seconds() > kMaxSeconds || message.seconds() < -kMaxSeconds ||
                         message.nanos() > kMaxNanos || message.nanos() < -kMaxNanos ||
                         (message.seconds() > 0 && message.nanos() < 0) ||
                         (message.seconds() < 0 && message.nanos() > 0);
  if (malformed) {
    return Error(absl::StatusCode::kInvalidArgument, "DURATION_MALFORMED",
                 absl::StrCat(field, ": {seconds: ", message.seconds(),
                              ", nanos: ", message.nanos(), "} is no duration"));
  }
  const absl::Duration duration = FromProto(message);
  if (duration < low || duration > high) {
    return Error(absl::StatusCode::kInvalidArgument, "OUT_OF_RANGE",
                 absl::StrCat(field, ": ", absl::FormatDuration(duration), " is outside [",
                              absl::FormatDuration(low), ", ", absl::FormatDuration(high), "]"));
  }
  return duration;
}

absl::Duration FromProto(const google::protobuf::Duration& message) {
  return absl::Seconds(message.seconds()) + absl::Nanoseconds(message.nanos());
}

google::protobuf::Duration ToProto(absl::Duration duration) {
  google::protobuf::Duration message;
  absl::Duration rest;
  message.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &rest));
  message.set_nanos(static_cast<int32_t>(rest / absl::Nanoseconds(1)));
  return message;
}

google::protobuf::Timestamp ToProto(absl::Time time) {
  const google::protobuf::Duration since_epoch = ToProto(time - absl::UnixEpoch());
  google::protobuf::Timestamp message;
  message.set_seconds(since_epoch.seconds());
  message.set_nanos(since_epoch.nanos());
  return message;
}

}  // namespace gradd
