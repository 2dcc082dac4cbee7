#ifndef GRADD_CORE_DURABILITY_LOG_SEGMENT_H_
#define GRADD_CORE_DURABILITY_LOG_SEGMENT_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/base/file_system.h"
#include "core/durability/log_record.h"
#include "gradd/state/v1/log.pb.h"

namespace gradd {

// One file of a run's log, as it is written: records after a header. It has its name from the first
// Sync() on, with all that was added before that, or not at all. Not thread safe.
//
// Errors are those of FileSystem.
class LogSegment {
 public:
  // In `directory`, under the name of that segment.
  static absl::StatusOr<std::unique_ptr<LogSegment>> Create(FileSystem* files,
                                                            const std::string& directory,
                                                            const state::v1::LogHeader& header);

  // Writes a record: protobuf and data. After DISK_FULL nothing of it is there, and it may be tried
  // again; after any other error the segment is of no use.
  absl::Status Add(RecordKind kind, absl::string_view message,
                   absl::Span<const absl::string_view> data);
  // What was added is durable when this returns OK. After an error the segment is of no use.
  absl::Status Sync();

  int64_t bytes() const { return file_->size(); }

 private:
  LogSegment(FileSystem* files, std::string directory, std::string name,
             std::unique_ptr<WritableFile> file)
      : files_(*files),
        directory_(std::move(directory)),
        name_(std::move(name)),
        file_(std::move(file)) {}

  FileSystem& files_;
  const std::string directory_;
  const std::string name_;
  const std::unique_ptr<WritableFile> file_;
  bool named_ = false;
  int64_t durable_bytes_ = 0;
  uint64_t sum_ = 0;  // Of the last record.
};

// The file's name: log-00000001. Temporary ones have kTemporarySuffix behind it.
std::string LogSegmentName(int64_t segment);
// 0 if it is no such name.
int64_t ParseLogSegmentName(absl::string_view name);
// Of files that are not complete; whoever opens a directory that he alone has removes them.
inline constexpr absl::string_view kTemporarySuffix = ".tmp";

}  // namespace gradd

#endif  // GRADD_CORE_DURABILITY_LOG_SEGMENT_H_
