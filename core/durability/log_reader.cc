#include "core/durability/log_reader.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "core/base/checksum.h"
#include "core/base/error.h"

namespace gradd {
namespace {

constexpr int kFormatVersion = 1;
// A step names at most some thousand pushes of some thousand chunks each.
constexpr int64_t kMostMessageBytes = int64_t{1} << 30;

// The bytes of a record after its head, and what they are claimed with.
struct RecordBuffer {
  std::shared_ptr<MemoryBudget::Claim> claim;
  std::unique_ptr<char[]> bytes;
};

}  // namespace

absl::Status LogReader::Damaged(int64_t position, absl::string_view what) const {
  return Error(absl::StatusCode::kDataLoss, "LOG_DAMAGED",
               absl::StrCat(path_, ", byte ", position, ": ", what));
}

absl::StatusOr<std::unique_ptr<LogReader>> LogReader::Open(FileSystem* files, std::string path,
                                                           std::shared_ptr<MemoryBudget> budget) {
  auto file = files->OpenToRead(path);
  GRADD_RETURN_IF_ERROR(file.status());
  std::unique_ptr<LogReader> reader(
      new LogReader(std::move(path), *std::move(file), std::move(budget)));
  GRADD_RETURN_IF_ERROR(reader->ReadHeader());
  return reader;
}

absl::Status LogReader::ReadHeader() {
  RecordHead head;
  std::string message;
  const absl::StatusOr<bool> read = ReadRecord(&head, &message);
  GRADD_RETURN_IF_ERROR(read.status());
  if (!*read || head.kind != RecordKind::kHeader || !header_.ParseFromString(message)) {
    return Damaged(0, "there is no header of a log");
  }
  if (header_.format_version() != kFormatVersion) {
    return Damaged(0, absl::StrCat("format ", header_.format_version(),
                                   "; this gradd reads format ", kFormatVersion));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> LogReader::ReadHead(RecordHead* head) {
  const int64_t left = file_->size() - next_;
  if (left < kRecordHeadBytes) return false;
  RecordHeadBytes bytes;
  GRADD_RETURN_IF_ERROR(file_->Read(next_, kRecordHeadBytes, bytes.data()));
  return ReadRecordHead(bytes, next_, head) && head->bytes() <= left;
}

absl::StatusOr<bool> LogReader::ReadRecord(RecordHead* head, std::string* message) {
  for (;;) {
    absl::StatusOr<bool> is_there = ReadHead(head);
    if (!is_there.ok() || !*is_there) return is_there;
    if (!skips_data_ || head->data_bytes == 0) break;
    sum_ = head->sum;
    next_ += head->bytes();
  }
  const int64_t body = head->bytes() - kRecordHeadBytes;
  if (head->message_bytes > kMostMessageBytes) {
    return Damaged(next_, absl::StrCat("a message of ", head->message_bytes, " bytes, at most ",
                                       kMostMessageBytes, " expected"));
  }
  data_ = Payload();  // What it keeps is free before more is taken.
  auto buffer = std::make_shared<RecordBuffer>();
  if (budget_ != nullptr) {
    buffer->claim = budget_->Take(MemoryUse::kStaging, body);
    if (buffer->claim == nullptr) {
      return Error(absl::StatusCode::kResourceExhausted, "OUT_OF_MEMORY",
                   absl::StrCat(path_, ", byte ", next_, ": no room for a record of ", body,
                                " bytes (--max-memory-bytes)"));
    }
  }
  buffer->bytes.reset(new char[static_cast<size_t>(body)]);
  char* const read = buffer->bytes.get();
  GRADD_RETURN_IF_ERROR(file_->Read(next_ + kRecordHeadBytes, body, read));
  if (ChecksumOf({read, static_cast<size_t>(body)}, sum_) != head->sum) return false;
  message->assign(read, static_cast<size_t>(head->message_bytes));
  const auto* const data = reinterpret_cast<const std::byte*>(read) + head->message_bytes;
  data_ = Payload({Payload::Slice(data, static_cast<size_t>(head->data_bytes))}, std::move(buffer));
  sum_ = head->sum;
  position_ = next_;
  next_ += head->bytes();
  return true;
}

absl::StatusOr<bool> LogReader::Next() {
  if (end_.has_value()) return false;
  RecordHead head;
  std::string message;
  const absl::StatusOr<bool> read = ReadRecord(&head, &message);
  GRADD_RETURN_IF_ERROR(read.status());
  if (!*read) {
    GRADD_RETURN_IF_ERROR(CheckTail());
    return false;
  }
  if (head.kind == RecordKind::kEvent) {
    if (!event_.ParseFromString(message)) return Damaged(position_, "no event can be read");
    return true;
  }
  state::v1::LogEnd end;
  if (head.kind != RecordKind::kEnd || !end.ParseFromString(message)) {
    return Damaged(position_, absl::StrCat("a record of kind ", static_cast<uint32_t>(head.kind),
                                           ", an event or an end expected"));
  }
  if (torn_bytes() > 0) return Damaged(next_, absl::StrCat(torn_bytes(), " bytes after the end"));
  end_ = std::move(end);
  return false;
}

absl::Status LogReader::CheckTail() const {
  constexpr int64_t kPiece = int64_t{1} << 20;
  std::string piece;
  const int64_t size = file_->size();
  for (int64_t at = next_; at + kRecordHeadBytes <= size; at += kPiece) {
    const int64_t bytes = std::min(kPiece + kRecordHeadBytes, size - at);
    piece.resize(static_cast<size_t>(bytes));
    GRADD_RETURN_IF_ERROR(file_->Read(at, bytes, piece.data()));
    for (int64_t i = 0; i < kPiece && i + kRecordHeadBytes <= bytes; i += kRecordAlignment) {
      RecordHeadBytes head_bytes;
      std::memcpy(head_bytes.data(), piece.data() + i, head_bytes.size());
      RecordHead head;
      if (ReadRecordHead(head_bytes, at + i, &head) && head.durable_bytes > next_) {
        return Damaged(next_, absl::StrCat("no record can be read; the one at byte ", at + i,
                                           " says that it was durable"));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace gradd
