#include "server/heap_trim.h"

#include <gtest/gtest.h>

#include <memory>

#include "tests/support/fake_clock.h"

namespace gradd {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

class HeapTrimTest : public testing::Test {
 protected:
  // So long, with so much free and so much staged.
  void Pass(absl::Duration duration, int64_t free, int64_t staged = 0) {
    free_ = free;
    for (absl::Duration passed; passed < duration; passed += absl::Milliseconds(100)) {
      clock_.Advance(absl::Milliseconds(100));
      trim_.Tick(staged);
    }
  }

  FakeClock clock_;
  int64_t free_ = 0;
  int trims_ = 0;
  HeapTrim trim_{&clock_, std::make_shared<Heap>(
                              Heap::Functions{[this] { return free_; }, [this] { ++trims_; }})};
};

TEST_F(HeapTrimTest, GivesBackWhatStaysFree) {
  Pass(absl::Seconds(9), 100 * kMiB);
  EXPECT_EQ(trims_, 0);
  Pass(absl::Seconds(2), 100 * kMiB);
  EXPECT_EQ(trims_, 1);
}

TEST_F(HeapTrimTest, LeavesLittleAlone) {
  Pass(absl::Minutes(1), 63 * kMiB);
  EXPECT_EQ(trims_, 0);
}

TEST_F(HeapTrimTest, LeavesAloneWhatIsUsedAgain) {
  for (int i = 0; i < 30; ++i) {
    Pass(absl::Seconds(3), 500 * kMiB);
    Pass(absl::Seconds(1), 10 * kMiB);
  }
  EXPECT_EQ(trims_, 0);
}

TEST_F(HeapTrimTest, LeavesAloneWhatPushesMayNeedNext) {
  Pass(absl::Minutes(1), 150 * kMiB, /*staged=*/100 * kMiB);
  EXPECT_EQ(trims_, 0);
  Pass(absl::Minutes(1), 300 * kMiB, /*staged=*/100 * kMiB);
  EXPECT_EQ(trims_, 1);
}

TEST_F(HeapTrimTest, GivesTheSameMemoryBackOnce) {
  Pass(absl::Minutes(5), 100 * kMiB);
  EXPECT_EQ(trims_, 1) << "it still counts as free";
  Pass(absl::Minutes(1), 20 * kMiB);
  EXPECT_EQ(trims_, 1);
  Pass(absl::Minutes(5), 100 * kMiB);
  EXPECT_EQ(trims_, 2) << "80 MiB of it have been used since";
}

}  // namespace
}  // namespace gradd
