#ifndef GRADD_CTL_STATUS_H_
#define GRADD_CTL_STATUS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace gradd::ctl {

// What gradctl ends with; scripts rely on the numbers.
enum ExitCode : int {
  kExitOk = 0,
  kExitRefused = 1,      // The server refused, or a file or the output could not be written.
  kExitUsage = 2,        // The command line is wrong; nothing was asked of the server.
  kExitUnreachable = 3,  // No server, or no answer in time.
  kExitInterrupted = 130,
};

// The command line, or a file it names, is wrong.
absl::Status UsageError(absl::string_view message);

// A file could not be written.
absl::Status FileError(absl::string_view message);

// The user pressed Ctrl-C.
absl::Status InterruptedError();

ExitCode ExitCodeOf(const absl::Status& status);

// `gradctl: no run "fasion" (NOT_FOUND)`, without a line break; as JSON an object with `code`,
// `reason` and `message`.
std::string ErrorText(const absl::Status& status, bool json);

}  // namespace gradd::ctl

#endif  // GRADD_CTL_STATUS_H_
