#include "client/backoff.h"

#include <gtest/gtest.h>

#include <set>

namespace gradd {
namespace {

TEST(BackoffTest, DoublesUpToItsMaximumAndJittersOverHalfOfIt) {
  Backoff backoff(absl::Milliseconds(100), absl::Milliseconds(450), /*seed=*/1);
  for (const int expected_ms : {100, 200, 400, 450, 450, 450}) {
    const absl::Duration wait = backoff.Next();
    EXPECT_GE(wait, absl::Milliseconds(expected_ms) / 2);
    EXPECT_LE(wait, absl::Milliseconds(expected_ms));
  }
  backoff.Reset();
  EXPECT_LE(backoff.Next(), absl::Milliseconds(100));
}

TEST(BackoffTest, WorkersThatLostTheirServerTogetherDoNotComeBackTogether) {
  std::set<absl::Duration> waits;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    waits.insert(Backoff(absl::Seconds(1), absl::Seconds(1), seed).Next());
  }
  EXPECT_GT(waits.size(), 95u);
  EXPECT_LT(*waits.begin(), absl::Milliseconds(600));
  EXPECT_GT(*waits.rbegin(), absl::Milliseconds(900));
}

TEST(BackoffTest, AnInitialBackoffAboveTheMaximumIsTheMaximum) {
  Backoff backoff(absl::Seconds(9), absl::Milliseconds(10), /*seed=*/1);
  EXPECT_LE(backoff.Next(), absl::Milliseconds(10));
}

}  // namespace
}  // namespace gradd
