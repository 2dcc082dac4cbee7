#include "server/runs_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

namespace gradd {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

RunsRecord MakeRecord(int runs) {
  RunsRecord record;
  record.since = absl::FromUnixSeconds(1'700'000'000);
  record.at = absl::FromUnixMillis(1'700'000'060'250);
  for (int i = 0; i < runs; ++i) record.runs.push_back({"r" + std::to_string(i), 100 * i});
  return record;
}

TEST(RunsFileTest, WhatIsWrittenIsRead) {
  for (const int runs : {0, 1, 3}) {
    for (const bool stopped : {false, true}) {
      RunsRecord record = MakeRecord(runs);
      record.stopped = stopped;
      const auto read = ParseRunsRecord(FormatRunsRecord(record));
      ASSERT_TRUE(read.ok()) << read.status();
      EXPECT_EQ(read->since, record.since);
      EXPECT_EQ(read->at, record.at);
      EXPECT_EQ(read->stopped, stopped);
      EXPECT_EQ(read->runs, record.runs);
    }
  }
}

TEST(RunsFileTest, NothingElseIsAFileOfRuns) {
  const std::string good = FormatRunsRecord(MakeRecord(2));
  for (size_t length = 0; length < good.size(); ++length) {
    const bool whole_line = length > 0 && good[length - 1] == '\n';
    const auto read = ParseRunsRecord(good.substr(0, length));
    EXPECT_TRUE(!read.ok() || (whole_line && read->runs.size() < 2)) << length;
  }
  for (const std::string text : {"grpc=127.0.0.1:1\n", "\n\n\n\n\n"}) {
    EXPECT_FALSE(ParseRunsRecord(text).ok()) << text;
  }
  EXPECT_FALSE(ParseRunsRecord(good + "runs/x many\n").ok());
  EXPECT_FALSE(ParseRunsRecord(good + "x 1\n").ok());
}

TEST(RunsFileScheduleTest, RunsThatComeAndGoAreWrittenAtOnceAndStepsNowAndThen) {
  RunsFileSchedule schedule;
  const auto at = [](double seconds) { return absl::Seconds(seconds); };
  EXPECT_TRUE(schedule.Due(at(0), 0));
  EXPECT_FALSE(schedule.Due(at(4.9), 0));
  EXPECT_TRUE(schedule.Due(at(5), 0));
  EXPECT_TRUE(schedule.Due(at(7), 1)) << "created";
  EXPECT_FALSE(schedule.Due(at(7.1), 2)) << "many runs in a row do not write all the time";
  EXPECT_TRUE(schedule.Due(at(7.5), 3));
  EXPECT_FALSE(schedule.Due(at(12.4), 3));
  EXPECT_TRUE(schedule.Due(at(12.5), 3));
}

TEST(RunsFileTest, WritesWhatIsTheCaseWhenItIsItsTurn) {
  const std::string path = testing::TempDir() + "/runs_file_test";
  RunsFile file(path);
  RunsRecord record = MakeRecord(1);
  ASSERT_TRUE(file.Write([&] { return record; }).ok());
  EXPECT_EQ(ReadRunsFile(path)->runs, record.runs);
  record.at += absl::Seconds(1);
  ASSERT_TRUE(file.Write([&] { return record; }).ok());
  EXPECT_EQ(ReadRunsFile(path)->at, MakeRecord(1).at) << "nothing new";
  record = MakeRecord(2);
  ASSERT_TRUE(file.End(record).ok());
  bool asked = false;
  ASSERT_TRUE(file.Write([&] {
                    asked = true;
                    return MakeRecord(3);
                  })
                  .ok());
  EXPECT_FALSE(asked);
  EXPECT_EQ(ReadRunsFile(path)->runs, record.runs);
}

TEST(RunsFileTest, SaysWhatIsLostAndHow) {
  EXPECT_THAT(LostRunsText(MakeRecord(0)), IsEmpty());
  EXPECT_THAT(LostRunsText(MakeRecord(1)),
              AllOf(HasSubstr("killed some time after"), HasSubstr("1 run in its memory"),
                    EndsWith("lost with it: r0 (step 0)")));
  RunsRecord stopped = MakeRecord(12);
  stopped.stopped = true;
  EXPECT_THAT(LostRunsText(stopped),
              AllOf(HasSubstr("was stopped at"), HasSubstr("12 runs"), Not(HasSubstr("r10")),
                    EndsWith("r9 (step 900), and 2 more")));
}

TEST(RunsFileTest, ServersAtOtherAddressesHaveFilesOfTheirOwn) {
  setenv("XDG_STATE_HOME", "/state", 1);
  EXPECT_EQ(DefaultRunsFile("127.0.0.1:50051"), "/state/gradd/runs-127.0.0.1:50051");
  EXPECT_EQ(DefaultRunsFile("unix:/run/gradd"), "/state/gradd/runs-unix:%run%gradd");
  EXPECT_EQ(DefaultRunsFile("127.0.0.1:0"), "");
  unsetenv("XDG_STATE_HOME");
  setenv("HOME", "/home/ada", 1);
  EXPECT_EQ(DefaultRunsFile("h:1"), "/home/ada/.local/state/gradd/runs-h:1");
}

}  // namespace
}  // namespace gradd
