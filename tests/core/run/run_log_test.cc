#include "core/run/run_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace gradd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

LogEntry Entry(const std::string& event) { return {LogEntry::Level::kWarning, event, {}}; }

std::vector<std::string> Lines(const std::vector<LogEntry>& entries) {
  std::vector<std::string> lines;
  for (const LogEntry& entry : entries) lines.push_back(entry.Line());
  return lines;
}

TEST(RunLogTest, ALineHasAnEventAndValuesThatCanBeTakenApartAgain) {
  EXPECT_EQ(LogLine("worker lost", {{"run", "mnist"},
                                    {"worker", "w1"},
                                    {"reason", "its lease of 15s ended"},
                                    {"message", "says \"a=b\"\nand\x1b[2J"},
                                    {"author", "J\xc3\xb6rg"},
                                    {"empty", ""}}),
            "worker lost: run=mnist worker=w1 reason=\"its lease of 15s ended\" "
            "message=\"says \\\"a=b\\\"\\nand\\033[2J\" author=\"J\xc3\xb6rg\" empty=\"\"");
}

TEST(RunLogTest, GivesWhatCameSinceTheLastTime) {
  RunLog log;
  EXPECT_THAT(log.Take(absl::Seconds(1)), IsEmpty());
  log.Add(Entry("a"));
  log.Add(Entry("b"));
  EXPECT_THAT(Lines(log.Take(absl::Seconds(1))), ElementsAre("a:", "b:"));
  EXPECT_THAT(log.Take(absl::Seconds(1)), IsEmpty());
}

TEST(RunLogTest, WhatComesAThousandTimesIsSaidAndThenCounted) {
  RunLog log;
  const absl::Duration begin = absl::Seconds(100);
  for (int i = 0; i < 1000; ++i) log.AddLimited("k", begin, Entry("rejected"));
  log.AddLimited("other", begin, Entry("other"));
  EXPECT_THAT(Lines(log.Take(begin)), ElementsAre("rejected:", "other:"));
  const absl::Duration before = begin + RunLog::kInterval - absl::Milliseconds(1);
  EXPECT_THAT(log.Take(before), IsEmpty());
  EXPECT_THAT(Lines(log.Take(begin + RunLog::kInterval)), ElementsAre("rejected: repeated=999"));
  // Quiet for a while: the next one is the first again.
  EXPECT_THAT(log.Take(begin + 2 * RunLog::kInterval), IsEmpty());
  log.AddLimited("k", begin + 3 * RunLog::kInterval, Entry("rejected"));
  EXPECT_THAT(Lines(log.Take(begin + 3 * RunLog::kInterval)), ElementsAre("rejected:"));
}

TEST(RunLogTest, IsBoundedAndSaysWhatItDropped) {
  RunLog log;
  for (size_t i = 0; i < RunLog::kMostEntries + 5; ++i) log.Add(Entry("a"));
  const std::vector<LogEntry> taken = log.Take(absl::Seconds(1));
  ASSERT_EQ(taken.size(), RunLog::kMostEntries + 1);
  EXPECT_EQ(taken.back().Line(), "log entries dropped: count=5");
  EXPECT_THAT(log.Take(absl::Seconds(1)), IsEmpty());
}

}  // namespace
}  // namespace gradd
