#include "core/durability/log_segment.h"

#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "core/base/error.h"

namespace gradd {

std::string LogSegmentName(int64_t segment) { return absl::StrFormat("log-%08d", segment); }

int64_t ParseLogSegmentName(absl::string_view name) {
  int64_t segment = 0;
  if (!absl::ConsumePrefix(&name, "log-") || !absl::SimpleAtoi(name, &segment)) return 0;
  return segment > 0 && LogSegmentName(segment) == absl::StrCat("log-", name) ? segment : 0;
}

absl::StatusOr<std::unique_ptr<LogSegment>> LogSegment::Create(FileSystem* files,
                                                               const std::string& directory,
                                                               const state::v1::LogHeader& header) {
  std::string name = LogSegmentName(header.segment());
  const std::string path = absl::StrCat(directory, "/", name, kTemporarySuffix);
  auto file = files->Create(path);
  if (file.status().code() == absl::StatusCode::kAlreadyExists) {
    // Of an earlier attempt, for which there was no room.
    GRADD_RETURN_IF_ERROR(files->Remove(path));
    file = files->Create(path);
  }
  GRADD_RETURN_IF_ERROR(file.status());
  std::unique_ptr<LogSegment> segment(
      new LogSegment(files, directory, std::move(name), *std::move(file)));
  GRADD_RETURN_IF_ERROR(segment->Add(RecordKind::kHeader, header.SerializeAsString(), {}));
  return segment;
}

absl::Status LogSegment::Add(RecordKind kind, absl::string_view message,
                             absl::Span<const absl::string_view> data) {
  RecordHead head;
  head.kind = kind;
  head.position = file_->size();
  head.message_bytes = static_cast<int64_t>(message.size());
  for (const absl::string_view piece : data) head.data_bytes += static_cast<int64_t>(piece.size());
  head.durable_bytes = durable_bytes_;
  head.sum = SumOfRecord(head, message, data, sum_);
  const RecordHeadBytes written = WriteRecordHead(head);
  std::vector<absl::string_view> pieces;
  pieces.reserve(data.size() + 3);
  pieces.emplace_back(written.data(), written.size());
  pieces.push_back(message);
  pieces.insert(pieces.end(), data.begin(), data.end());
  pieces.push_back(RecordPadding(head.padding()));
  if (absl::Status added = file_->Append(pieces); !added.ok()) {
    GRADD_RETURN_IF_ERROR(file_->Truncate(head.position));
    return added;
  }
  sum_ = head.sum;
  return absl::OkStatus();
}

absl::Status LogSegment::Sync() {
  GRADD_RETURN_IF_ERROR(file_->Sync());
  durable_bytes_ = file_->size();
  if (named_) return absl::OkStatus();
  const std::string path = absl::StrCat(directory_, "/", name_);
  GRADD_RETURN_IF_ERROR(files_.Rename(absl::StrCat(path, kTemporarySuffix), path));
  GRADD_RETURN_IF_ERROR(files_.SyncDirectory(directory_));
  named_ = true;
  return absl::OkStatus();
}

}  // namespace gradd
