// Hundreds of schedules in which the power fails. One seed alone: GRADD_CRASH_SEEDS=4711; a longer
// search: GRADD_CRASH_SEEDS=1-50000.

#include "tests/core/run/schedules/crash_schedule.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace gradd {
namespace {

#ifdef NDEBUG
constexpr uint64_t kCrashSeeds = 1500;
#else
constexpr uint64_t kCrashSeeds = 150;
#endif

TEST(CrashScheduleTest, WhatWasToldHoldsAfterThePowerFailed) {
  uint64_t first = 1;
  uint64_t last = kCrashSeeds;
  if (const char* const range = std::getenv("GRADD_CRASH_SEEDS"); range != nullptr) {
    const std::vector<std::string> ends = absl::StrSplit(range, '-');
    ASSERT_TRUE(absl::SimpleAtoi(ends.front(), &first) && absl::SimpleAtoi(ends.back(), &last));
  }
  int failures = 0;
  int lost = 0;
  int64_t steps = 0;
  int64_t batches = 0;
  for (uint64_t seed = first; seed <= last && failures < 3; ++seed) {
    CrashSchedule schedule(seed);
    schedule.Play();
    lost += schedule.lost_steps() ? 1 : 0;
    steps += schedule.replayed_steps();
    batches += schedule.replayed_batches();
    if (schedule.fault().empty()) continue;
    ++failures;
    ADD_FAILURE() << "seed " << seed << ": " << schedule.fault() << "\n"
                  << schedule.trace() << "alone: GRADD_CRASH_SEEDS=" << seed;
  }
  if (last - first < 100) return;
  EXPECT_GT(lost, static_cast<int>(last - first) / 10) << "something was at stake";
  EXPECT_GT(steps, static_cast<int64_t>(last - first));
  EXPECT_GT(batches, static_cast<int64_t>(last - first) / 4);
}

}  // namespace
}  // namespace gradd
