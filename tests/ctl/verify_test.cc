// gradctl verify, on a disk in memory.
#include "ctl/verify.h"

#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/durability/log_segment.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/ctl/fake_console.h"
#include "tests/support/fake_file_system.h"

namespace gradd::ctl {
namespace {

using ::testing::HasSubstr;

class VerifyTest : public ::testing::Test {
 protected:
  VerifyTest() {
    for (const char* const directory : {"s", "s/runs", "s/runs/a"}) {
      EXPECT_TRUE(files_.CreateDirectory(directory).ok());
    }
  }
  void WriteSegment(int64_t number, int64_t previous_bytes, bool closed) {
    state::v1::LogHeader header;
    header.set_format_version(1);
    header.set_run_id("a");
    header.set_run_uid("u");
    header.set_segment(number);
    header.set_first_event(number);
    header.set_previous_bytes(previous_bytes);
    auto segment = LogSegment::Create(&files_, "s/runs/a", header);
    ASSERT_TRUE(segment.ok()) << segment.status();
    state::v1::LoggedEvent event;
    event.mutable_event()->set_number(number);
    event.mutable_event()->mutable_timeline()->set_number(2);
    ASSERT_TRUE((*segment)->Add(RecordKind::kEvent, event.SerializeAsString(), {}).ok());
    ASSERT_TRUE((*segment)->Sync().ok());
    if (closed) {
      ASSERT_TRUE((*segment)->Add(RecordKind::kEnd, "", {}).ok());
      ASSERT_TRUE((*segment)->Sync().ok());
    }
    bytes_ = (*segment)->bytes();
  }
  // The status, and what was printed.
  absl::Status Run(const std::string& directory = "s") {
    std::istringstream in;
    std::ostringstream out;
    std::ostringstream err;
    Interrupt interrupt;
    FakeClock clock;
    Console console{
        in,   out, err, interrupt, clock, [](absl::Duration) { return false; }, [] { return 0; },
        "ada"};
    CommandLine line;
    line.directory = directory;
    const absl::Status status = Verify(line, &files_, &console);
    out_ = out.str();
    err_ = err.str();
    return status;
  }

  FakeFileSystem files_;
  int64_t bytes_ = 0;
  std::string out_;
  std::string err_;
};

TEST_F(VerifyTest, WhatIsAsItWasWrittenIsOk) {
  WriteSegment(1, 0, /*closed=*/false);
  WriteSegment(2, bytes_, /*closed=*/true);
  files_.SetContents("s/runs/a/checkpoint-1-000000000001.safetensors.tmp", "x");
  EXPECT_TRUE(Run().ok()) << out_;
  EXPECT_THAT(out_, HasSubstr("s/runs/a/log-00000001: ok, 1 event, "));
  EXPECT_THAT(out_, HasSubstr("s/runs/a/log-00000002: ok, 1 event, "));
  EXPECT_THAT(out_, HasSubstr(".tmp: was being written when the server ended"));
  EXPECT_THAT(out_, HasSubstr("3 files, all as they were written\n"));
  EXPECT_EQ(err_, "");
}

TEST_F(VerifyTest, DamageIsNamedWithItsFileAndByte) {
  WriteSegment(1, 0, /*closed=*/true);
  WriteSegment(2, 0, /*closed=*/true);
  std::string data = files_.Contents("s/runs/a/log-00000001");
  data[data.size() - 70] = static_cast<char>(data[data.size() - 70] ^ 1);
  files_.SetContents("s/runs/a/log-00000001", data);
  files_.SetContents("s/runs/a/checkpoint-1-000000000001.safetensors", "nonsense");
  const absl::Status status = Run();
  EXPECT_EQ(ReasonOf(status), "DAMAGED");
  EXPECT_EQ(status.message(), "2 of 3 files are damaged");
  EXPECT_THAT(out_, testing::ContainsRegex("log-00000001: DAMAGED, byte [0-9]+: "));
  EXPECT_THAT(out_, HasSubstr("checkpoint-1-000000000001.safetensors: DAMAGED: "));
  EXPECT_THAT(out_, HasSubstr("log-00000002: ok"));
}

TEST_F(VerifyTest, ASegmentThatEndsElsewhereThanTheNextOneSaysIsDamaged) {
  WriteSegment(1, 0, /*closed=*/false);
  WriteSegment(2, bytes_ - 8, /*closed=*/true);
  EXPECT_FALSE(Run().ok());
  EXPECT_THAT(out_,
              HasSubstr("log-00000002: DAMAGED: byte 0: the segment before it ends at byte "));
}

TEST_F(VerifyTest, SegmentsThatAreMissingAreNamed) {
  WriteSegment(2, 0, /*closed=*/true);  // What was before it went when it was not needed any more.
  WriteSegment(5, 0, /*closed=*/true);
  EXPECT_EQ(Run().message(), "1 of 3 files is damaged");
  EXPECT_THAT(out_, HasSubstr("s/runs/a/log-00000003: DAMAGED: it is missing"));
  files_.Remove("s/runs/a/log-00000002").IgnoreError();
  files_.Remove("s/runs/a/log-00000005").IgnoreError();
  files_.SetContents("s/runs/a/checkpoint-1-000000000001.safetensors", "nonsense");
  EXPECT_FALSE(Run().ok());
  EXPECT_THAT(out_, HasSubstr("s/runs/a: DAMAGED: no segment of its log is there"));
}

TEST_F(VerifyTest, AServerThatHasTheDirectoryIsSaid) {
  files_.SetContents("s/lock", "");
  EXPECT_TRUE(Run().ok());
  EXPECT_EQ(err_, "");
  const auto lock = files_.Lock("s/lock");
  EXPECT_TRUE(Run().ok());
  EXPECT_THAT(err_, HasSubstr("a server has s"));
}

TEST_F(VerifyTest, AnotherDirectoryIsRefused) {
  const absl::Status status = Run("t");
  EXPECT_THAT(status.message(), HasSubstr("t is no state directory of gradd"));
  EXPECT_EQ(ReasonOf(status), "FILE");
}

}  // namespace
}  // namespace gradd::ctl
