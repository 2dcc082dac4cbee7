#include "ctl/status.h"

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/base/utf8.h"
#include "nlohmann/json.hpp"

namespace gradd::ctl {
namespace {

constexpr char kUsage[] = "USAGE";
constexpr char kFile[] = "FILE";
constexpr char kInterrupted[] = "INTERRUPTED";

}  // namespace

absl::Status UsageError(absl::string_view message) {
  return Error(absl::StatusCode::kInvalidArgument, kUsage, message);
}

absl::Status FileError(absl::string_view message) {
  return Error(absl::StatusCode::kFailedPrecondition, kFile, message);
}

absl::Status InterruptedError() {
  return Error(absl::StatusCode::kCancelled, kInterrupted, "interrupted");
}

ExitCode ExitCodeOf(const absl::Status& status) {
  if (status.ok()) return kExitOk;
  const std::string reason = ReasonOf(status);
  if (reason == kUsage) return kExitUsage;
  if (reason == kInterrupted) return kExitInterrupted;
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
      return kExitUnreachable;
    default:
      return kExitRefused;
  }
}

std::string ErrorText(const absl::Status& status, bool json) {
  const std::string code = absl::StatusCodeToString(status.code());
  std::string message(status.message());
  const std::string reason = ReasonOf(status);
  if (json) {
    return nlohmann::ordered_json{{"code", code}, {"reason", reason}, {"message", message}}.dump(
        -1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  }
  message = ForTerminal(message);
  // The codes are the server's; what happened on this side needs none.
  if (reason == kUsage || reason == kFile || reason == kInterrupted) {
    return absl::StrCat("gradctl: ", message);
  }
  return absl::StrCat("gradctl: ", message, " (", code, ")");
}

}  // namespace gradd::ctl
