#include "core/base/error.h"

#include "absl/strings/cord.h"
#include "absl/types/optional.h"

namespace gradd {
namespace {

constexpr char kReasonUrl[] = "gradd/reason";

}  // namespace

absl::Status Error(absl::StatusCode code, absl::string_view reason, absl::string_view message) {
  absl::Status status(code, message);
  status.SetPayload(kReasonUrl, absl::Cord(reason));
  return status;
}

absl::Status InvalidArgument(absl::string_view reason, absl::string_view message) {
  return Error(absl::StatusCode::kInvalidArgument, reason, message);
}

absl::Status StoppingError() {
  return Error(absl::StatusCode::kUnavailable, "SERVER_STOPPING", "the server is stopping");
}

std::string ReasonOf(const absl::Status& status) {
  if (absl::optional<absl::Cord> reason = status.GetPayload(kReasonUrl)) {
    return std::string(*reason);
  }
  return absl::StatusCodeToString(status.code());
}

}  // namespace gradd
