// Thousands of schedules: whatever people and workers do, in whatever order the server's tasks run
// and however time passes, a run does what RunModel says.
//
// A longer search, or one seed that failed: GRADD_SEEDS=first-last (or one number) in the
// environment.

#include "tests/core/run/random_schedule.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace gradd {
namespace {

// Sanitizers and debug builds take some ten times longer.
#ifdef NDEBUG
constexpr uint64_t kSeeds = 5000;
#else
constexpr uint64_t kSeeds = 300;
#endif
constexpr uint64_t kParts = 10;  // Tests that may run side by side.

std::pair<uint64_t, uint64_t> SeedsOf(uint64_t part) {
  const uint64_t each = kSeeds / kParts;
  std::pair<uint64_t, uint64_t> seeds(1 + part * each, (part + 1) * each);
  const char* const range = std::getenv("GRADD_SEEDS");
  if (range == nullptr) return seeds;
  const std::vector<std::string> ends = absl::StrSplit(range, '-');
  uint64_t first = 0;
  uint64_t last = 0;
  EXPECT_TRUE(absl::SimpleAtoi(ends.front(), &first) && absl::SimpleAtoi(ends.back(), &last))
      << "GRADD_SEEDS: " << range << ", expected first-last";
  const uint64_t share = (last - first + kParts) / kParts;
  return {first + part * share, std::min(last, first + (part + 1) * share - 1)};
}

// The last lines of what was done.
std::string EndOf(const std::string& trace) {
  constexpr size_t kLines = 60;
  std::vector<std::string> lines = absl::StrSplit(trace, '\n');
  if (lines.size() > kLines && std::getenv("GRADD_SEEDS") == nullptr) {
    lines.erase(lines.begin(), lines.end() - kLines);
  }
  return absl::StrJoin(lines, "\n");
}

class RandomScheduleTest : public testing::TestWithParam<uint64_t> {};

TEST_P(RandomScheduleTest, RunsDoWhatTheirModelSays) {
  const auto [first, last] = SeedsOf(GetParam());
  int failures = 0;
  for (uint64_t seed = first; seed <= last && failures < 5; ++seed) {
    RandomSchedule schedule(seed);
    schedule.Play();
    if (!schedule.fault().empty()) {
      ++failures;
      ADD_FAILURE() << "seed " << seed << ": " << schedule.fault() << "\n"
                    << EndOf(schedule.trace());
      continue;
    }
    if (seed % 8 != 0) continue;
    RandomSchedule again(seed);
    again.Play();
    EXPECT_TRUE(again.trace() == schedule.trace()) << "seed " << seed << " differs from itself";
  }
}

INSTANTIATE_TEST_SUITE_P(Part, RandomScheduleTest, testing::Range<uint64_t>(0, kParts));

}  // namespace
}  // namespace gradd
