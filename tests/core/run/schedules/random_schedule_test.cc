// Thousands of schedules: whatever people and workers do, in whatever order the server's tasks run
// and however time passes, a run does what RunModel says, and the same seed does the same again.
//
// One seed alone, with all that was done: GRADD_SEEDS=4711 random_schedule_test. A longer search:
// GRADD_SEEDS=1-50000.

#include "tests/core/run/schedules/random_schedule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace gradd {
namespace {

// Sanitizers' builds have assertions as debug builds do, and take some ten times longer.
#ifdef NDEBUG
constexpr uint64_t kSeeds = 5000;
#else
constexpr uint64_t kSeeds = 400;
#endif
constexpr uint64_t kParts = 8;  // Tests, so that shards can run side by side.
// Every so many-th schedule is played twice: the same state must lead to the same decision.
constexpr uint64_t kPlayedTwice = 8;
constexpr int kMostFailures = 3;  // Of a part.

// What GRADD_SEEDS asks for; {0, 0} if it is not set.
std::pair<uint64_t, uint64_t> SeedsAskedFor() {
  const char* const range = std::getenv("GRADD_SEEDS");
  if (range == nullptr) return {0, 0};
  const std::vector<std::string> ends = absl::StrSplit(range, '-');
  uint64_t first = 0;
  uint64_t last = 0;
  EXPECT_TRUE(absl::SimpleAtoi(ends.front(), &first) && absl::SimpleAtoi(ends.back(), &last) &&
              0 < first && first <= last)
      << "GRADD_SEEDS: " << range << ", expected a number from 1 on, or first-last";
  return {first, last};
}

std::pair<uint64_t, uint64_t> SeedsOf(uint64_t part) {
  auto [first, last] = SeedsAskedFor();
  if (first == 0) {
    first = 1;
    last = kSeeds;
  }
  const uint64_t share = (last - first + kParts) / kParts;
  return {first + part * share, std::min(last, first + (part + 1) * share - 1)};
}

// What was done: all of it for a seed that was asked for alone, else which runs there were and what
// came last.
std::string Shorten(const std::string& trace) {
  constexpr size_t kLines = 40;
  const auto [first, last] = SeedsAskedFor();
  if (first > 0 && first == last) return trace;
  std::vector<std::string> lines = absl::StrSplit(trace, '\n');
  const auto begins = std::find_if(lines.begin(), lines.end(), [](const std::string& line) {
    return line.find("creates") == std::string::npos && line.find("there is") == std::string::npos;
  });
  const size_t head = static_cast<size_t>(begins - lines.begin());
  if (lines.size() <= head + kLines) return trace;
  const auto left_out = static_cast<std::ptrdiff_t>(lines.size() - head - kLines);
  *begins = absl::StrCat("... ", left_out, " lines ...");
  lines.erase(begins + 1, begins + left_out);
  return absl::StrJoin(lines, "\n");
}

class RandomScheduleTest : public testing::TestWithParam<uint64_t> {};

TEST_P(RandomScheduleTest, RunsDoWhatTheirModelSays) {
  const auto [first, last] = SeedsOf(GetParam());
  int failures = 0;
  for (uint64_t seed = first; seed <= last && failures < kMostFailures; ++seed) {
    RandomSchedule schedule(seed);
    schedule.Play();
    std::string fault = schedule.fault();
    if (fault.empty() && seed % kPlayedTwice == 0) {
      RandomSchedule again(seed);
      again.Play();
      if (again.trace() != schedule.trace()) fault = "played once more, it was another one";
    }
    if (fault.empty()) continue;
    ++failures;
    ADD_FAILURE() << "seed " << seed << ": " << fault << "\n"
                  << Shorten(schedule.trace()) << "\nalone: GRADD_SEEDS=" << seed
                  << " random_schedule_test";
  }
}

INSTANTIATE_TEST_SUITE_P(Part, RandomScheduleTest, testing::Range<uint64_t>(0, kParts));

}  // namespace
}  // namespace gradd
