#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/durability/log_reader.h"
#include "core/durability/log_record.h"
#include "core/durability/logged_event.h"
#include "tests/fuzz/checks.h"
#include "tests/support/fake_file_system.h"

namespace gradd {
namespace {

constexpr char kPath[] = "log-00000001";

struct ReadLog {
  std::vector<std::string> events;  // Message and data.
  std::string end;
  int64_t bytes = 0;
  absl::Status status;
};

std::string BytesOf(const Payload& data) {
  std::string bytes;
  for (const Payload::Slice& slice : data.slices()) {
    bytes.append(reinterpret_cast<const char*>(slice.data()), slice.size());
  }
  return bytes;
}

ReadLog Read(const std::string& bytes, bool skip_data) {
  static const Layout* const layout = [] {
    v1::Layout message;
    message.add_tensors()->set_name("w");
    message.mutable_tensors(0)->add_shape(3);
    return new Layout(*Layout::Create(message, 3));
  }();
  FakeFileSystem files;
  files.SetContents(kPath, bytes);
  ReadLog read;
  const auto reader = LogReader::Open(&files, kPath, nullptr);
  read.status = reader.status();
  if (!reader.ok()) return read;
  if (skip_data) (*reader)->SkipData();
  for (;;) {
    const absl::StatusOr<bool> next = (*reader)->Next();
    read.status = next.status();
    if (!next.ok()) return read;
    if (!*next) break;
    // Whether they fit is not known here.
    ReadPushes((*reader)->event(), *layout, (*reader)->data()).status().IgnoreError();
    read.events.push_back(absl::StrCat((*reader)->event().SerializePartialAsString(), "|",
                                       BytesOf((*reader)->data())));
  }
  if ((*reader)->end().has_value()) read.end = (*reader)->end()->SerializePartialAsString();
  read.bytes = (*reader)->bytes();
  return read;
}

// A segment whose sums are right, of records as `bytes` says: for each one its kind, how many bytes
// of it are message and data, and how much was durable; and what is left behind them, as it is.
// `count` is how many records it has.
std::string Sealed(absl::string_view bytes, int64_t* count) {
  std::string file;
  uint64_t sum = 0;
  *count = 0;
  while (bytes.size() >= 4) {
    const auto byte = [&bytes](size_t at) { return static_cast<unsigned char>(bytes[at]); };
    RecordHead head;
    head.kind = static_cast<RecordKind>(byte(0) % 5);
    head.position = static_cast<int64_t>(file.size());
    head.message_bytes = byte(1);
    head.data_bytes = byte(2);
    head.durable_bytes = head.position * (byte(3) % 3) / 2;
    bytes.remove_prefix(4);
    if (head.message_bytes + head.data_bytes > static_cast<int64_t>(bytes.size())) break;
    const auto message = bytes.substr(0, static_cast<size_t>(head.message_bytes));
    const auto data = bytes.substr(message.size(), static_cast<size_t>(head.data_bytes));
    bytes.remove_prefix(message.size() + data.size());
    head.sum = sum = SumOfRecord(head, message, {data}, sum);
    const RecordHeadBytes written = WriteRecordHead(head);
    absl::StrAppend(&file, absl::string_view(written.data(), written.size()), message, data,
                    RecordPadding(head.padding()));
    ++*count;
  }
  return absl::StrCat(file, bytes);
}

// What a segment says of itself.
std::string CheckSegment(const std::string& bytes, int64_t records) {
  const ReadLog read = Read(bytes, /*skip_data=*/false);
  if (static_cast<int64_t>(read.events.size()) > records)
    return "there are more events than records";
  if (!read.status.ok()) {
    const bool says_where = read.status.message().find(", byte ") != absl::string_view::npos;
    return says_where ? "" : absl::StrCat("refused without a place: ", read.status.message());
  }
  if (read.bytes > static_cast<int64_t>(bytes.size())) return "it is longer than its file";
  // What counts of it is the same without the rest.
  const ReadLog whole = Read(bytes.substr(0, static_cast<size_t>(read.bytes)), /*skip_data=*/false);
  if (!whole.status.ok()) return absl::StrCat("without its tail: ", whole.status.message());
  if (whole.events != read.events || whole.end != read.end || whole.bytes != read.bytes) {
    return "without its tail, it is another log";
  }
  // So are the events that are read where data is passed over.
  const ReadLog skipped = Read(bytes, /*skip_data=*/true);
  size_t next = 0;
  for (const std::string& event : skipped.events) {
    while (next < read.events.size() && read.events[next] != event) ++next;
    if (next++ == read.events.size() && skipped.status.ok()) return "an event comes from nowhere";
  }
  return "";
}

}  // namespace

std::string CheckLog(absl::string_view bytes, absl::string_view /*cuts*/) {
  const int64_t most = static_cast<int64_t>(bytes.size()) / kRecordHeadBytes;
  std::string difference = CheckSegment(std::string(bytes), most);
  int64_t records = 0;
  const std::string sealed = Sealed(bytes, &records);
  // Garbage behind it cannot be a record, since its sum would have to be right.
  if (difference.empty()) difference = CheckSegment(sealed, records);
  return difference;
}

}  // namespace gradd
