#include "core/run/run_checkpoints.h"

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "core/base/duration.h"
#include "core/base/error.h"
#include "core/base/field_checker.h"
#include "core/run/run_guard.h"

namespace gradd {
namespace {

constexpr int kMostKept = 1000;
constexpr int64_t kLeastJournalBytes = int64_t{1} << 20;
constexpr int64_t kMostJournalBytes = int64_t{1} << 53;

}  // namespace

absl::Status ValidateCheckpoints(const v1::Run& run, bool server_keeps_runs) {
  GRADD_RETURN_IF_ERROR(ValidateGuard(run.guard(), server_keeps_runs));
  const v1::Checkpoints& checkpoints = run.checkpoints();
  FieldChecker fields("checkpoints");
  fields.Steps("every_steps", checkpoints.every_steps(), 0);
  fields.Steps("keep_every_steps", checkpoints.keep_every_steps(), 0);
  if (checkpoints.keep_last() < 0 || checkpoints.keep_last() > kMostKept) {
    fields.Refuse("keep_last", absl::StrCat(checkpoints.keep_last(), " is outside [1, ", kMostKept,
                                            "]; 0 stands for 3"));
  }
  GRADD_RETURN_IF_ERROR(fields.status());
  const auto& every = checkpoints.every();
  const bool no_time = every.seconds() == 0 && every.nanos() == 0;
  if (checkpoints.has_every() && !no_time) {
    GRADD_RETURN_IF_ERROR(
        ParseDuration("checkpoints.every", every, absl::Seconds(1), 30 * absl::Hours(24)).status());
  }
  const int64_t bytes = run.journal_max_bytes();
  if (bytes != 0 && (bytes < kLeastJournalBytes || bytes > kMostJournalBytes)) {
    return InvalidArgument("OUT_OF_RANGE", absl::StrCat("journal_max_bytes: ", bytes,
                                                        " is outside [1048576, 2^53]; 0 leaves it "
                                                        "to the server"));
  }
  if (run.journal() && !server_keeps_runs) {
    return Error(absl::StatusCode::kFailedPrecondition, "NO_STATE_DIRECTORY",
                 "journal: true, and the server has no state directory (gradd --state-dir) to keep "
                 "one in");
  }
  return absl::OkStatus();
}

}  // namespace gradd
