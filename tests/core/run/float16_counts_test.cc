#include "core/run/float16_counts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/support/fake_clock.h"

namespace gradd {
namespace {

using testing::ElementsAre;
using testing::StartsWith;

std::vector<std::string> Lines(RunLog* log, absl::Duration now) {
  std::vector<std::string> lines;
  for (const LogEntry& entry : log->Take(now)) lines.push_back(entry.Line());
  return lines;
}

TEST(Float16CountsTest, CountForTheWorkerAndTheRunAndAreToldOnce) {
  const FakeClock clock;
  const auto log = std::make_shared<RunLog>();
  const auto counts = std::make_shared<Float16Counts>();
  WorkerFloat16 a("r", "a", counts, log, &clock);
  WorkerFloat16 b("r", "b", counts, log, &clock);
  a.CountSaturated(0);
  EXPECT_THAT(Lines(log.get(), clock.Elapsed()), ElementsAre());
  for (int push = 0; push < 100; ++push) a.CountSaturated(3);
  a.CountWidened();
  b.CountWidened();
  EXPECT_EQ(a.saturated_values(), 300);
  EXPECT_EQ(a.widened_chunks(), 1);
  EXPECT_EQ(b.saturated_values(), 0);
  EXPECT_EQ(b.widened_chunks(), 1);
  EXPECT_EQ(counts->saturated_values, 300);
  EXPECT_EQ(counts->widened_chunks, 2);
  EXPECT_THAT(Lines(log.get(), clock.Elapsed()),
              ElementsAre(StartsWith("push beyond float16: run=r worker=a taken_as=\"65504 or "
                                     "-65504\" hint="),
                          StartsWith("parameters beyond float16: run=r worker=a taken_as=float32 "
                                     "hint=")));
  // Other workers of the same run are told together.
  EXPECT_THAT(Lines(log.get(), clock.Elapsed() + RunLog::kInterval),
              ElementsAre(StartsWith("parameters beyond float16: run=r worker=b ")));
}

TEST(Float16CountsTest, WithoutALogNobodyIsTold) {
  const FakeClock clock;
  const auto counts = std::make_shared<Float16Counts>();
  WorkerFloat16 worker("r", "a", counts, nullptr, &clock);
  worker.CountSaturated(2);
  worker.CountWidened();
  EXPECT_EQ(counts->saturated_values, 2);
  EXPECT_EQ(counts->widened_chunks, 1);
}

}  // namespace
}  // namespace gradd
