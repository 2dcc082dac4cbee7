#include "core/durability/run_folder.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/error.h"
#include "core/durability/log_segment.h"

namespace gradd {
namespace {

constexpr absl::string_view kSuffix = ".safetensors";

}  // namespace

std::string CheckpointName(const RunFolder::Checkpoint& checkpoint) {
  return absl::StrFormat("checkpoint-%d-%012d%s", checkpoint.timeline, checkpoint.step, kSuffix);
}

bool ParseCheckpointName(absl::string_view name, RunFolder::Checkpoint* checkpoint) {
  absl::string_view numbers = name;
  if (!absl::ConsumePrefix(&numbers, "checkpoint-") || !absl::ConsumeSuffix(&numbers, kSuffix)) {
    return false;
  }
  const std::vector<absl::string_view> parts = absl::StrSplit(numbers, '-');
  return parts.size() == 2 && absl::SimpleAtoi(parts[0], &checkpoint->timeline) &&
         absl::SimpleAtoi(parts[1], &checkpoint->step) && CheckpointName(*checkpoint) == name;
}

RunFolder::RunFolder(FileSystem* files, std::string state_directory, std::string run_id)
    : files_(*files),
      state_directory_(std::move(state_directory)),
      run_id_(std::move(run_id)),
      path_(absl::StrCat(state_directory_, "/runs/", run_id_)) {}

absl::Status RunFolder::Create() const { return files_.CreateDirectory(path_); }

absl::Status RunFolder::Publish() const {
  return files_.SyncDirectory(absl::StrCat(state_directory_, "/runs"));
}

absl::Status RunFolder::Bury(const std::string& uid) const {
  const std::string deleted = absl::StrCat(state_directory_, "/deleted");
  const absl::Status renamed = files_.Rename(path_, absl::StrCat(deleted, "/", uid));
  // It may be away already, by a call that could not make that durable.
  if (renamed.code() != absl::StatusCode::kNotFound) GRADD_RETURN_IF_ERROR(renamed);
  GRADD_RETURN_IF_ERROR(files_.SyncDirectory(deleted));
  return Publish();
}

absl::Status RunFolder::RemoveBuried(const std::string& uid) const {
  const std::string buried = absl::StrCat(state_directory_, "/deleted/", uid);
  const auto names = files_.List(buried);
  if (names.status().code() == absl::StatusCode::kNotFound) return absl::OkStatus();
  GRADD_RETURN_IF_ERROR(names.status());
  for (const std::string& name : *names) {
    GRADD_RETURN_IF_ERROR(files_.Remove(absl::StrCat(buried, "/", name)));
  }
  return files_.RemoveDirectory(buried);
}

absl::StatusOr<std::vector<int64_t>> RunFolder::Segments() const {
  const auto names = files_.List(path_);
  GRADD_RETURN_IF_ERROR(names.status());
  std::vector<int64_t> segments;
  for (const std::string& name : *names) {
    const int64_t segment = ParseLogSegmentName(name);
    if (segment != 0) segments.push_back(segment);
  }
  std::sort(segments.begin(), segments.end());
  return segments;
}

std::string RunFolder::SegmentPath(int64_t segment) const {
  return absl::StrCat(path_, "/", LogSegmentName(segment));
}

absl::StatusOr<std::vector<RunFolder::Checkpoint>> RunFolder::Checkpoints() const {
  const auto names = files_.List(path_);
  GRADD_RETURN_IF_ERROR(names.status());
  std::vector<Checkpoint> checkpoints;
  for (const std::string& name : *names) {
    Checkpoint checkpoint;
    if (ParseCheckpointName(name, &checkpoint)) checkpoints.push_back(checkpoint);
  }
  std::sort(checkpoints.begin(), checkpoints.end(), [](const Checkpoint& a, const Checkpoint& b) {
    return std::tie(a.timeline, a.step) < std::tie(b.timeline, b.step);
  });
  return checkpoints;
}

std::string RunFolder::CheckpointPath(const Checkpoint& checkpoint) const {
  return absl::StrCat(path_, "/", CheckpointName(checkpoint));
}

absl::Status RunFolder::RemoveTemporary() const {
  const auto names = files_.List(path_);
  GRADD_RETURN_IF_ERROR(names.status());
  for (const std::string& name : *names) {
    if (!absl::EndsWith(name, kTemporarySuffix)) continue;
    GRADD_RETURN_IF_ERROR(files_.Remove(absl::StrCat(path_, "/", name)));
  }
  return absl::OkStatus();
}

}  // namespace gradd
