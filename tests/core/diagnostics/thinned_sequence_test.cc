#include "core/diagnostics/thinned_sequence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <limits>
#include <string>
#include <vector>

namespace gradd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Whose points are their own numbers.
using Numbers = ThinnedSequence<int64_t>;

Numbers Counted(int64_t count) {
  Numbers numbers;
  for (int64_t i = 1; i <= count; ++i) numbers.Add(i);
  return numbers;
}

std::vector<int64_t> Selected(const Numbers& numbers, int64_t most, int64_t from = 0,
                              int64_t to = std::numeric_limits<int64_t>::max()) {
  std::vector<int64_t> selected;
  const int64_t stride = numbers.Select(
      most, [&](int64_t number) { return number >= from && number <= to; },
      [&](int64_t number) { selected.push_back(number); });
  for (size_t i = 0; i + 1 < selected.size(); ++i) EXPECT_EQ(selected[i] % stride, 0);
  for (size_t i = 2; i < selected.size(); ++i) {
    const bool is_newest = i + 1 == selected.size();
    EXPECT_LE(selected[i] - selected[i - 1], stride);
    EXPECT_TRUE(is_newest || selected[i] - selected[i - 1] == stride);
  }
  return selected;
}

TEST(ThinnedSequenceTest, HasEveryPointAtFirst) {
  EXPECT_TRUE(Numbers().empty());
  EXPECT_THAT(Selected(Counted(5), 100), ElementsAre(1, 2, 3, 4, 5));
}

TEST(ThinnedSequenceTest, IsEvenAndBoundedAndHasTheNewestWhateverItsLength) {
  Numbers numbers;
  for (int64_t length = 1; length <= 40'000; ++length) {
    numbers.Add(length);
    const std::deque<int64_t>& points = numbers.points();
    ASSERT_EQ(numbers.added(), length);
    ASSERT_LE(points.size(), 4096U);
    ASSERT_EQ(numbers.newest(), length);
    ASSERT_GE(points.size(), static_cast<size_t>(std::min<int64_t>(length, 2048)));
    if (length > 9000 && length % 97 != 0 && length % 4096 > 2) continue;
    for (size_t i = 0; i + 1 < points.size(); ++i) {
      ASSERT_EQ(points[i], (static_cast<int64_t>(i) + 1) * numbers.stride()) << length;
    }
    const int64_t stride = numbers.stride();
    ASSERT_EQ(static_cast<int64_t>(points.size()), (length + stride - 1) / stride);
  }
  EXPECT_EQ(numbers.stride(), 16);
}

TEST(ThinnedSequenceTest, SelectsEvenlyAndTheNewestOfWhatIsWanted) {
  EXPECT_THAT(Selected(Counted(10), 4), ElementsAre(4, 8, 10));
  EXPECT_THAT(Selected(Counted(12), 3), ElementsAre(4, 8, 12));
  EXPECT_THAT(Selected(Counted(10), 1), ElementsAre(10));
  EXPECT_THAT(Selected(Counted(10), 4, 3, 7), ElementsAre(4, 6, 7));
  EXPECT_THAT(Selected(Counted(10), 4, 11), ElementsAre());
  EXPECT_THAT(Selected(Numbers(), 4), ElementsAre());
  for (const int64_t length : {1, 2, 63, 4095, 4096, 4097, 5000, 8192, 8193, 100'000}) {
    const Numbers numbers = Counted(length);
    for (const int64_t most : {1, 2, 3, 10, 1000, 4096}) {
      const std::vector<int64_t> selected = Selected(numbers, most);
      ASSERT_LE(static_cast<int64_t>(selected.size()), most) << length;
      ASSERT_EQ(selected.back(), length);
      ASSERT_GE(static_cast<int64_t>(selected.size()), std::min(length, most / 2)) << length;
    }
  }
}

TEST(ThinnedSequenceTest, ReadBackItGoesOnAsItWould) {
  for (const int64_t length : {0, 1, 4095, 4096, 4097, 8191, 8192, 8193, 20'001}) {
    Numbers live = Counted(length);
    Numbers read;
    ASSERT_TRUE(read.Read("numbers", live.added(), live.stride(), live.points()).ok()) << length;
    for (int64_t i = length + 1; i < length + 5000; ++i) {
      live.Add(i);
      read.Add(i);
    }
    EXPECT_EQ(read.points(), live.points());
    EXPECT_EQ(read.stride(), live.stride());
  }
}

TEST(ThinnedSequenceTest, RefusesWhatNoSequenceHas) {
  const auto message = [](int64_t added, int64_t stride, size_t points) {
    Numbers numbers = Counted(3);
    const absl::Status status =
        numbers.Read("numbers", added, stride, std::deque<int64_t>(points, 1));
    EXPECT_EQ(numbers.added(), 3);
    return std::string(status.message());
  };
  EXPECT_THAT(message(-1, 1, 0), HasSubstr("numbers: one of 1 of -1 points, a power of two"));
  EXPECT_THAT(message(3, 0, 3), HasSubstr("one of 0 of 3"));
  EXPECT_THAT(message(9, 3, 3), HasSubstr("one of 3 of 9"));
  EXPECT_THAT(message(9, int64_t{1} << 62, 1), HasSubstr("a power of two of them expected"));
  EXPECT_THAT(message(9, 2, 4), HasSubstr("numbers: 4 points, 5 expected for one of 2 of 9"));
  EXPECT_THAT(message(5000, 1, 5000), HasSubstr("and at most 4096"));
  EXPECT_THAT(message(std::numeric_limits<int64_t>::min(), 1, 0), HasSubstr("one of 1 of -9"));
}

}  // namespace
}  // namespace gradd
