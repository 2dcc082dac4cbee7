#include "core/base/awake_clock.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tests/support/fake_clock.h"

namespace gradd {
namespace {

class AwakeClockTest : public ::testing::Test {
 protected:
  FakeClock real_;
  AwakeClock clock_{&real_, absl::Seconds(1)};
};

TEST_F(AwakeClockTest, GoesAsTheOtherClockWhileSomebodyLooks) {
  const absl::Duration begin = clock_.Elapsed();
  for (int i = 1; i <= 100; ++i) {
    real_.Advance(absl::Milliseconds(900));
    EXPECT_EQ(clock_.Elapsed() - begin, i * absl::Milliseconds(900));
  }
  EXPECT_EQ(clock_.asleep(), absl::ZeroDuration());
  EXPECT_EQ(clock_.WallTime(), real_.WallTime());
}

TEST_F(AwakeClockTest, TimeInWhichNobodyLookedDoesNotCount) {
  const absl::Duration begin = clock_.Elapsed();
  real_.Advance(absl::Seconds(3));
  EXPECT_EQ(clock_.Elapsed(), begin);
  EXPECT_EQ(clock_.asleep(), absl::Seconds(3));
  real_.Advance(absl::Milliseconds(500));
  EXPECT_EQ(clock_.Elapsed() - begin, absl::Milliseconds(500));
  real_.Advance(absl::Hours(1));
  EXPECT_EQ(clock_.Elapsed() - begin, absl::Milliseconds(500));
  EXPECT_EQ(clock_.asleep(), absl::Seconds(3603));
}

TEST_F(AwakeClockTest, NeverGoesBackWhoeverLooksFirst) {
  std::atomic<bool> stop = false;
  std::atomic<int> backwards = 0;
  std::vector<std::thread> lookers;
  for (int i = 0; i < 3; ++i) {
    lookers.emplace_back([&] {
      absl::Duration last = clock_.Elapsed();
      while (!stop) {
        const absl::Duration now = clock_.Elapsed();
        if (now < last) ++backwards;
        last = now;
      }
    });
  }
  for (int i = 0; i < 200; ++i) {
    real_.Advance(i % 2 == 0 ? absl::Milliseconds(10) : absl::Seconds(3));
    std::this_thread::yield();
  }
  stop = true;
  for (std::thread& looker : lookers) looker.join();
  EXPECT_EQ(backwards, 0);
}

}  // namespace
}  // namespace gradd
