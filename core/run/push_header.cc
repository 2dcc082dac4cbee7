#include "core/run/push_header.h"

#include <cmath>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/members/worker_blobs.h"

namespace gradd {
namespace {

constexpr int64_t kMaxExamples = int64_t{1} << 40;

absl::Status CheckExamples(absl::string_view field, int64_t examples, int64_t least) {
  if (examples >= least && examples <= kMaxExamples) return absl::OkStatus();
  return InvalidArgument("EXAMPLES_OUT_OF_RANGE",
                         absl::StrCat(field, ": ", examples, " is outside [1, 2^40]"));
}

absl::Status CheckBlob(absl::string_view field, const std::string& blob) {
  const auto bytes = static_cast<int64_t>(blob.size());
  if (bytes <= WorkerBlobs::kMostBytes) return absl::OkStatus();
  return InvalidArgument("BLOB_TOO_LARGE", absl::StrCat(field, ": ", bytes, " bytes, at most ",
                                                        WorkerBlobs::kMostBytes, " expected"));
}

}  // namespace

absl::Status CheckHeader(const v1::PushHeader& header) {
  if (header.sequence() < 1) {
    return InvalidArgument("SEQUENCE_INVALID", absl::StrCat("header.sequence: ", header.sequence(),
                                                            ", at least 1 expected"));
  }
  if (header.base_step() < 0) {
    return InvalidArgument(
        "BASE_STEP_INVALID",
        absl::StrCat("header.base_step: ", header.base_step(), ", at least 0 expected"));
  }
  GRADD_RETURN_IF_ERROR(CheckBlob("header.blob", header.blob()));
  return CheckExamples("header.examples", header.examples(), 0);
}

absl::Status TakeTotals(const v1::PushCommit& commit, v1::PushHeader* header) {
  const char* const field = commit.has_examples() ? "commit.examples" : "header.examples";
  if (commit.has_examples()) header->set_examples(commit.examples());
  GRADD_RETURN_IF_ERROR(CheckExamples(field, header->examples(), 1));
  if (commit.has_blob()) {
    GRADD_RETURN_IF_ERROR(CheckBlob("commit.blob", commit.blob()));
    header->set_blob(commit.blob());
  }
  if (!commit.has_loss()) return absl::OkStatus();
  header->set_loss(commit.loss());
  if (std::isfinite(commit.loss())) return absl::OkStatus();
  return InvalidArgument(
      "NON_FINITE", absl::StrCat("commit.loss: ", commit.loss(), ", expected a finite number"));
}

}  // namespace gradd
