// One segment of a log, as it is written and read: whatever is in the file, no other events come
// out of it than were written, and what was durable is never passed over in silence.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/checksum.h"
#include "core/base/error.h"
#include "core/durability/log_reader.h"
#include "core/durability/log_segment.h"
#include "tests/core/durability/log_files.h"
#include "tests/support/fake_file_system.h"

namespace gradd {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kPath[] = "d/log-00000001";

// A small segment: events 1 to 6, of which 2 and 5 have data that no alignment has; 4 are durable
// when the fifth is written, and all of them in the end.
struct Written {
  std::string bytes;
  std::vector<std::string> events;  // See TextOf().
  std::vector<int64_t>
      begins;           // Of every record, the header's and the end's included; and the end.
  int64_t durable = 0;  // Bytes that a later record says were durable.
};

Written WriteSegment(bool closed) {
  FakeFileSystem files;
  EXPECT_TRUE(files.CreateDirectory("d").ok());
  Written written;
  const auto segment = *LogSegment::Create(&files, "d", HeaderOf(1, 1));
  written.begins = {0, segment->bytes()};
  for (int64_t number = 1; number <= 6; ++number) {
    const bool has_data = number == 2 || number == 5;
    // A name of another length for each, so that messages end anywhere.
    state::v1::LoggedEvent event;
    *event.mutable_event() = Paused(number, std::string(static_cast<size_t>(number), 'x'));
    const std::string data(has_data ? static_cast<size_t>(7 + number) : 0,
                           static_cast<char>(number));
    EXPECT_TRUE(segment
                    ->Add(RecordKind::kEvent, event.SerializeAsString(),
                          {data.substr(0, 3 * data.size() / 7), data.substr(3 * data.size() / 7)})
                    .ok());
    written.events.push_back(TextOf(event, data));
    written.begins.push_back(segment->bytes());
    if (number != 4) continue;
    EXPECT_TRUE(segment->Sync().ok());
    written.durable = segment->bytes();
  }
  if (closed) {
    state::v1::LogEnd end;
    end.set_last_event(6);
    EXPECT_TRUE(segment->Add(RecordKind::kEnd, end.SerializeAsString(), {}).ok());
    written.begins.push_back(segment->bytes());
  }
  EXPECT_TRUE(segment->Sync().ok());
  written.bytes = files.Contents(kPath);
  EXPECT_EQ(written.begins.back(), static_cast<int64_t>(written.bytes.size()));
  return written;
}

ReadSegment ReadBytes(const std::string& bytes, bool skip_data = false) {
  FakeFileSystem files;
  files.SetContents(kPath, bytes);
  return ReadAll(&files, kPath, skip_data);
}

// That they are the first ones that were written.
void ExpectBeginning(const std::vector<std::string>& read, const Written& written) {
  ASSERT_LE(read.size(), written.events.size());
  for (size_t i = 0; i < read.size(); ++i) ASSERT_TRUE(read[i] == written.events[i]) << i;
}

// The record in which byte `at` lies.
size_t RecordAt(const Written& written, size_t at) {
  size_t record = 0;
  while (written.begins[record + 1] <= static_cast<int64_t>(at)) ++record;
  return record;
}

class LogTest : public testing::TestWithParam<bool> {};

TEST_P(LogTest, IsReadAsItWasWritten) {
  const Written written = WriteSegment(GetParam());
  const ReadSegment read = ReadBytes(written.bytes);
  ASSERT_TRUE(read.status.ok()) << read.status;
  EXPECT_TRUE(read.events == written.events);
  EXPECT_THAT(read.numbers, ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_EQ(read.end, GetParam() ? "last_event: 6" : "");
  EXPECT_EQ(read.header.ShortDebugString(), HeaderOf(1, 1).ShortDebugString());
  EXPECT_EQ(read.bytes, static_cast<int64_t>(written.bytes.size()));
  EXPECT_EQ(read.torn_bytes, 0);
  for (size_t i = 0; i < read.positions.size(); ++i) {
    EXPECT_EQ(read.positions[i], written.begins[i + 1]);
    EXPECT_EQ(read.positions[i] % kRecordAlignment, 0);
  }
  const ReadSegment without_data = ReadBytes(written.bytes, /*skip_data=*/true);
  ASSERT_TRUE(without_data.status.ok()) << without_data.status;
  EXPECT_THAT(without_data.numbers, ElementsAre(1, 3, 4, 6));
}

// The machine may stop at any byte: what is whole counts.
TEST_P(LogTest, OfAPrefixThatIsReadWhichIsWhole) {
  const Written written = WriteSegment(GetParam());
  for (size_t size = 0; size < written.bytes.size(); ++size) {
    const ReadSegment read = ReadBytes(written.bytes.substr(0, size));
    const size_t record = RecordAt(written, size);
    if (record == 0) {
      // No file has its name before its header is there.
      EXPECT_EQ(ReasonOf(read.status), "LOG_DAMAGED") << size;
      EXPECT_THAT(std::string(read.status.message()), HasSubstr("log-00000001, byte 0: "));
      continue;
    }
    ASSERT_TRUE(read.status.ok()) << size << ": " << read.status;
    ExpectBeginning(read.events, written);
    EXPECT_EQ(read.events.size(), record - 1) << size;
    EXPECT_EQ(read.end, "") << size;
    EXPECT_EQ(read.bytes, written.begins[record]) << size;
    EXPECT_EQ(read.torn_bytes, static_cast<int64_t>(size) - written.begins[record]) << size;
  }
}

TEST_P(LogTest, NoChangedByteLeadsToOtherEventsAndNoneOfADurableRecordIsPassedOver) {
  const Written written = WriteSegment(GetParam());
  for (size_t at = 0; at < written.bytes.size(); ++at) {
    const size_t record = RecordAt(written, at);
    for (const int bits : {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff}) {
      std::string changed = written.bytes;
      changed[at] = static_cast<char>(changed[at] ^ bits);
      const ReadSegment read = ReadBytes(changed);
      ASSERT_NO_FATAL_FAILURE(ExpectBeginning(read.events, written)) << at;
      if (static_cast<int64_t>(at) >= written.durable) {
        // It may as well have been on its way.
        ASSERT_TRUE(read.status.ok()) << at << ": " << read.status;
        ASSERT_EQ(read.bytes, written.begins[record]) << at;
        ASSERT_EQ(read.end, "") << at;
        continue;
      }
      ASSERT_EQ(ReasonOf(read.status), "LOG_DAMAGED") << at << " ^ " << bits;
      ASSERT_EQ(read.status.code(), absl::StatusCode::kDataLoss);
      ASSERT_THAT(std::string(read.status.message()),
                  HasSubstr(absl::StrCat("log-00000001, byte ", written.begins[record], ": ")))
          << at;
    }
  }
}

TEST_P(LogTest, WithoutTheDataNoChangedByteLeadsToOtherEventsEither) {
  const Written written = WriteSegment(GetParam());
  const std::vector<std::string> all = ReadBytes(written.bytes, /*skip_data=*/true).events;
  ASSERT_EQ(all.size(), 4U);
  for (size_t at = 0; at < written.bytes.size(); ++at) {
    std::string changed = written.bytes;
    changed[at] = static_cast<char>(changed[at] ^ 0x10);
    const ReadSegment read = ReadBytes(changed, /*skip_data=*/true);
    ASSERT_LE(read.events.size(), all.size());
    for (size_t i = 0; i < read.events.size(); ++i) ASSERT_TRUE(read.events[i] == all[i]) << at;
    // Of a record with data, the head was read, and no more.
    if (read.status.ok() && static_cast<int64_t>(at) < written.durable) {
      const size_t record = RecordAt(written, at);
      EXPECT_EQ(record, 2U) << at;
      EXPECT_GE(static_cast<int64_t>(at) - written.begins[record], kRecordHeadBytes) << at;
      EXPECT_EQ(read.events.size(), all.size());
    }
  }
}

TEST_P(LogTest, RecordsOfAnotherSegmentAreNotTakenForItsOwn) {
  const Written written = WriteSegment(GetParam());
  // The same, but for the first event: the records after it lie where they do here.
  FakeFileSystem files;
  ASSERT_TRUE(files.CreateDirectory("d").ok());
  const auto other = *LogSegment::Create(&files, "d", HeaderOf(1, 1));
  state::v1::LoggedEvent event;
  *event.mutable_event() = Paused(1, "y");
  ASSERT_TRUE(other->Add(RecordKind::kEvent, event.SerializeAsString(), {}).ok());
  ASSERT_TRUE(other->Sync().ok());
  const std::string spliced =
      files.Contents(kPath) + written.bytes.substr(static_cast<size_t>(written.begins[2]));
  ASSERT_EQ(spliced.size(), written.bytes.size());
  const ReadSegment read = ReadBytes(spliced);
  EXPECT_EQ(ReasonOf(read.status), "LOG_DAMAGED") << "what comes after it was durable";
  EXPECT_THAT(read.numbers, ElementsAre(1));
}

TEST_P(LogTest, ARecordThatIsMissingIsDamage) {
  const Written written = WriteSegment(GetParam());
  for (size_t record = 1; record < 5; ++record) {
    std::string changed = written.bytes;
    changed.erase(static_cast<size_t>(written.begins[record]),
                  static_cast<size_t>(written.begins[record + 1] - written.begins[record]));
    const ReadSegment read = ReadBytes(changed);
    // What comes after it says where it was, which is not where it is: it was being written.
    ASSERT_NO_FATAL_FAILURE(ExpectBeginning(read.events, written));
    EXPECT_EQ(read.events.size(), record - 1);
    // With zeros instead, the later ones are where they were.
    changed.insert(static_cast<size_t>(written.begins[record]),
                   static_cast<size_t>(written.begins[record + 1] - written.begins[record]), '\0');
    EXPECT_EQ(ReasonOf(ReadBytes(changed).status), "LOG_DAMAGED") << record;
  }
}

INSTANTIATE_TEST_SUITE_P(Closed, LogTest, testing::Bool(),
                         [](const auto& row) { return row.param ? "closed" : "open"; });

// A segment of records as they are given, with all sums as they should be.
class RawSegment {
 public:
  RawSegment& Add(RecordKind kind, const std::string& message, int64_t durable = 0) {
    RecordHead head;
    head.kind = kind;
    head.position = static_cast<int64_t>(bytes_.size());
    head.message_bytes = static_cast<int64_t>(message.size());
    head.durable_bytes = durable;
    head.sum = sum_ = SumOfRecord(head, message, {}, sum_);
    const RecordHeadBytes written = WriteRecordHead(head);
    absl::StrAppend(&bytes_, absl::string_view(written.data(), written.size()), message,
                    RecordPadding(head.padding()));
    return *this;
  }
  RawSegment& Begin() { return Add(RecordKind::kHeader, HeaderOf(1, 1).SerializeAsString()); }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
  uint64_t sum_ = 0;
};

std::string MessageOf(const ReadSegment& read) {
  EXPECT_EQ(ReasonOf(read.status), "LOG_DAMAGED");
  return std::string(read.status.message());
}

TEST(LogReaderTest, WhatIsRightAndMeansNothingIsRefused) {
  state::v1::LoggedEvent event;
  *event.mutable_event() = Paused(1);
  const std::string said = event.SerializeAsString();
  EXPECT_THAT(MessageOf(ReadBytes("")), HasSubstr("byte 0: there is no header of a log"));
  EXPECT_THAT(MessageOf(ReadBytes(RawSegment().Add(RecordKind::kEvent, said).bytes())),
              HasSubstr("byte 0: there is no header of a log"));
  EXPECT_THAT(MessageOf(ReadBytes(RawSegment().Add(RecordKind::kHeader, "\xff").bytes())),
              HasSubstr("byte 0: there is no header of a log"));
  state::v1::LogHeader header = HeaderOf(1, 1);
  header.set_format_version(2);
  EXPECT_THAT(MessageOf(ReadBytes(
                  RawSegment().Add(RecordKind::kHeader, header.SerializeAsString()).bytes())),
              HasSubstr("byte 0: format 2; this gradd reads format 1"));
  RawSegment begun = RawSegment().Begin();
  const std::string second = absl::StrCat("byte ", begun.bytes().size(), ": ");
  EXPECT_THAT(MessageOf(ReadBytes(RawSegment().Begin().Begin().bytes())),
              HasSubstr(second + "a record of kind 1, an event or an end expected"));
  EXPECT_THAT(MessageOf(ReadBytes(RawSegment().Begin().Add(RecordKind(7), said).bytes())),
              HasSubstr(second + "a record of kind 7"));
  EXPECT_THAT(MessageOf(ReadBytes(RawSegment().Begin().Add(RecordKind::kEvent, "\xff").bytes())),
              HasSubstr(second + "no event can be read"));
  EXPECT_THAT(MessageOf(ReadBytes(RawSegment().Begin().Add(RecordKind::kEnd, "\xff").bytes())),
              HasSubstr(second + "a record of kind 3"));
  EXPECT_THAT(MessageOf(ReadBytes(RawSegment().Begin().Add(RecordKind::kEnd, "").bytes() + "x")),
              HasSubstr("1 bytes after the end"));
}

// A damaged file may say anything of how long a record is.
TEST(LogReaderTest, ARecordBeyondTheFileIsNotRead) {
  RawSegment begun = RawSegment().Begin();
  for (const int64_t size : {int64_t{1} << 62, int64_t{1} << 59, int64_t{1} << 31, int64_t{1}}) {
    RecordHead head;
    head.kind = RecordKind::kEvent;
    head.position = static_cast<int64_t>(begun.bytes().size());
    head.message_bytes = head.data_bytes = size;
    const RecordHeadBytes written = WriteRecordHead(head);
    const ReadSegment read = ReadBytes(begun.bytes() + std::string(written.data(), written.size()));
    EXPECT_TRUE(read.status.ok()) << read.status;
    EXPECT_EQ(read.torn_bytes, kRecordHeadBytes) << size;
  }
}

// The later record that says so may be far away: it is looked for in pieces.
TEST(LogReaderTest, DamageIsFoundFarBeforeTheRecordThatTells) {
  for (const size_t size : {size_t{1} << 20, (size_t{1} << 20) - 56, (size_t{3} << 20) + 16}) {
    RawSegment segment = RawSegment().Begin();
    const size_t begin = segment.bytes().size();
    segment.Add(RecordKind::kEvent, std::string(size, '\x01'));
    segment.Add(RecordKind::kEvent, "", static_cast<int64_t>(segment.bytes().size()));
    std::string changed = segment.bytes();
    changed[begin] = 'x';
    EXPECT_THAT(
        MessageOf(ReadBytes(changed)),
        HasSubstr(absl::StrCat("byte ", begin, ": no record can be read; the one at byte ")));
  }
}

TEST(LogReaderTest, RecordsAreClaimedFromTheBudgetWhileTheyAreRead) {
  const Written written = WriteSegment(/*closed=*/true);
  FakeFileSystem files;
  files.SetContents(kPath, written.bytes);
  MemoryBudget::Limits limits;
  limits.total = 16;
  const auto small = LogReader::Open(&files, kPath, MemoryBudget::Create(limits));
  EXPECT_EQ(ReasonOf(small.status()), "OUT_OF_MEMORY") << small.status();
  limits.total = 1 << 20;
  const auto budget = MemoryBudget::Create(limits);
  const auto reader = *LogReader::Open(&files, kPath, budget);
  ASSERT_TRUE(*reader->Next());
  ASSERT_TRUE(*reader->Next());
  const Payload kept = reader->data();
  const int64_t taken = budget->taken_bytes(MemoryUse::kStaging);
  EXPECT_GE(taken, static_cast<int64_t>(kept.size_bytes()));
  while (*reader->Next()) {
  }
  EXPECT_GT(budget->taken_bytes(MemoryUse::kStaging), 0) << "somebody has the data still";
}

TEST(LogReaderTest, AnErrorOfTheDiskIsNoTornTail) {
  const Written written = WriteSegment(/*closed=*/false);
  for (int64_t call = 1;; ++call) {
    FakeFileSystem files;
    files.SetContents(kPath, written.bytes);
    files.SetFault({call, EIO});
    const ReadSegment read = ReadAll(&files, kPath);
    if (static_cast<int64_t>(files.calls().size()) < call) break;
    EXPECT_EQ(ReasonOf(read.status), "FILE") << call << ": " << read.status;
  }
}

TEST(LogSegmentTest, NamesAreReadAsTheyAreWritten) {
  EXPECT_EQ(LogSegmentName(7), "log-00000007");
  for (const int64_t segment : {int64_t{1}, int64_t{99'999'999}, int64_t{100'000'000}}) {
    EXPECT_EQ(ParseLogSegmentName(LogSegmentName(segment)), segment);
  }
  for (const char* const name :
       {"", "log-", "log-00000000", "log-1", "log-000000001", "log-+0000001", "log--0000001",
        "log-00000001.tmp", "log-0000000x", "Log-00000001"}) {
    EXPECT_EQ(ParseLogSegmentName(name), 0) << name;
  }
}

TEST(LogSegmentTest, HasItsNameFromTheFirstSyncOn) {
  FakeFileSystem files;
  ASSERT_TRUE(files.CreateDirectory("d").ok());
  ASSERT_TRUE(files.SyncDirectory("").ok());
  const auto segment = *LogSegment::Create(&files, "d", HeaderOf(1, 1));
  ASSERT_TRUE(segment->Add(RecordKind::kEvent, "", {}).ok());
  EXPECT_THAT(*files.List("d"), ElementsAre("log-00000001.tmp"));
  ASSERT_TRUE(segment->Sync().ok());
  EXPECT_THAT(*files.List("d"), ElementsAre("log-00000001"));
  EXPECT_EQ(files.WithoutPending()->Contents(kPath), files.Contents(kPath));
}

// What there was no room for leaves no trace.
TEST(LogSegmentTest, GoesOnWhenThereIsRoomAgain) {
  const Written whole = WriteSegment(/*closed=*/true);
  for (int64_t room = 0; room <= static_cast<int64_t>(whole.bytes.size()); ++room) {
    FakeFileSystem files;
    ASSERT_TRUE(files.CreateDirectory("d").ok());
    files.SetRoom(room);
    auto segment = LogSegment::Create(&files, "d", HeaderOf(1, 1));
    if (!segment.ok()) {
      EXPECT_TRUE(IsDiskFull(segment.status())) << segment.status();
      files.SetRoom(1 << 20);
      segment = LogSegment::Create(&files, "d", HeaderOf(1, 1));
      ASSERT_TRUE(segment.ok()) << segment.status();
    }
    for (int64_t number = 1; number <= 6; ++number) {
      state::v1::LoggedEvent event;
      *event.mutable_event() = Paused(number, std::string(static_cast<size_t>(number), 'x'));
      const std::string data(number == 2 || number == 5 ? static_cast<size_t>(7 + number) : 0,
                             static_cast<char>(number));
      absl::Status added = (*segment)->Add(RecordKind::kEvent, event.SerializeAsString(), {data});
      if (!added.ok()) {
        EXPECT_TRUE(IsDiskFull(added)) << added;
        files.SetRoom(1 << 20);
        added = (*segment)->Add(RecordKind::kEvent, event.SerializeAsString(), {data});
      }
      ASSERT_TRUE(added.ok()) << added;
    }
    ASSERT_TRUE((*segment)->Sync().ok());
    const ReadSegment read = ReadAll(&files, kPath);
    ASSERT_TRUE(read.status.ok()) << room << ": " << read.status;
    EXPECT_TRUE(read.events == whole.events) << room;
    EXPECT_EQ(read.torn_bytes, 0) << room;
  }
}

}  // namespace
}  // namespace gradd
