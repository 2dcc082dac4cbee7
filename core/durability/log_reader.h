#ifndef GRADD_CORE_DURABILITY_LOG_READER_H_
#define GRADD_CORE_DURABILITY_LOG_READER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/file_system.h"
#include "core/base/memory_budget.h"
#include "core/durability/log_record.h"
#include "core/store/payload.h"
#include "gradd/state/v1/log.pb.h"

namespace gradd {

// Reads one segment of a run's log from front to back, whatever is in the file. Not thread safe.
//
// Errors are those of FileSystem, and DATA_LOSS with the reason LOG_DAMAGED, which names the file,
// the byte and what is wrong there; RESOURCE_EXHAUSTED where `budget` has no room for a record.
class LogReader {
 public:
  // `budget`, which may be null, outlives this.
  static absl::StatusOr<std::unique_ptr<LogReader>> Open(FileSystem* files, std::string path,
                                                         std::shared_ptr<MemoryBudget> budget);

  const state::v1::LogHeader& header() const { return header_; }
  // Events with data are passed over from now on, and their data is not read.
  void SkipData() { skips_data_ = true; }

  // Goes to the next event; false if there is none any more.
  absl::StatusOr<bool> Next();
  // Of the present one; each until Next().
  const state::v1::LoggedEvent& event() const { return event_; }
  const Payload& data() const { return data_; }
  // Where it begins.
  int64_t position() const { return position_; }

  // ---- When there is none any more. ----

  // The segment was closed. Unset: the server ended before that.
  const std::optional<state::v1::LogEnd>& end() const { return end_; }
  // The bytes of it that count. What comes after them was being written when the server ended.
  int64_t bytes() const { return next_; }
  int64_t torn_bytes() const { return file_->size() - next_; }

 private:
  LogReader(std::string path, std::unique_ptr<ReadableFile> file,
            std::shared_ptr<MemoryBudget> budget)
      : path_(std::move(path)), file_(std::move(file)), budget_(std::move(budget)) {}

  // Of the record at next_. False if there is no whole one.
  absl::StatusOr<bool> ReadHead(RecordHead* head);
  // Reads that record, or the next one that is not passed over. False if there is no whole one.
  absl::StatusOr<bool> ReadRecord(RecordHead* head, std::string* message);
  absl::Status ReadHeader();
  // There is no record at next_: OK if that is where the server was when it ended.
  absl::Status CheckTail() const;
  absl::Status Damaged(int64_t position, absl::string_view what) const;

  const std::string path_;
  const std::unique_ptr<ReadableFile> file_;
  const std::shared_ptr<MemoryBudget> budget_;
  state::v1::LogHeader header_;
  std::optional<state::v1::LogEnd> end_;
  state::v1::LoggedEvent event_;
  Payload data_;
  int64_t position_ = 0;
  int64_t next_ = 0;
  uint64_t sum_ = 0;  // Of the last record.
  bool skips_data_ = false;
};

}  // namespace gradd

#endif  // GRADD_CORE_DURABILITY_LOG_READER_H_
