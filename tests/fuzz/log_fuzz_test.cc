#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "gradd/state/v1/log.pb.h"
#include "tests/fuzz/checks.h"
#include "tests/fuzz/input.h"

namespace gradd {
namespace {

// One record as CheckLog() takes it.
std::string RecordOf(char kind, const std::string& message, const std::string& data = "",
                     char durable = 0) {
  return std::string{kind, static_cast<char>(message.size()), static_cast<char>(data.size()),
                     durable} +
         message + data;
}

// Logs to begin from.
std::vector<std::string> LogSeeds() {
  state::v1::LogHeader header;
  header.set_format_version(1);
  header.set_run_id("r");
  header.set_segment(1);
  const std::string begin = RecordOf(1, header.SerializeAsString());
  state::v1::LoggedEvent paused;
  paused.mutable_event()->set_number(2);
  paused.mutable_event()->mutable_state()->set_author("ada");
  state::v1::LoggedEvent step;
  step.mutable_event()->set_number(3);
  step.mutable_event()->mutable_step()->add_used()->set_worker("a");
  state::v1::LoggedPush& push = *step.add_pushes();
  push.mutable_header()->set_sequence(1);
  state::v1::LoggedChunk& chunk = *push.add_chunks();
  chunk.set_element_count(3);
  chunk.set_bytes(12);
  state::v1::LogEnd end;
  end.set_last_event(3);
  const std::string two = RecordOf(2, paused.SerializeAsString());
  const std::string three = RecordOf(2, step.SerializeAsString(), std::string(12, '\1'), 1);
  const std::string last = RecordOf(3, end.SerializeAsString(), "", 2);
  return {begin, begin + two, begin + three, begin + two + three + last, begin + last + "tail"};
}

TEST(LogFuzzTest, ChangedLogsSayNothingThatIsNotInThem) {
  google::protobuf::SetLogHandler(nullptr);  // It would print a line for each wrong string.
  const std::vector<std::string> seeds = LogSeeds();
  for (const std::string& seed : seeds) ASSERT_EQ(CheckLog(seed, ""), "");
  for (unsigned seed = 0; seed < 20'000; ++seed) {
    std::mt19937 random(seed);
    ASSERT_EQ(CheckLog(Mutate(seeds, &random), ""), "") << "seed " << seed;
  }
}

TEST(LogFuzzTest, WhatAFuzzerFoundSaysNothingThatIsNotInIt) {
  for (const std::string& input : Corpus("log")) {
    ASSERT_EQ(CheckLog(FuzzInput(input).bytes, ""), "");
  }
}

}  // namespace
}  // namespace gradd
