#include "core/data/batch_ranges.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace gradd {
namespace {

// All of it, compared with a set of numbers.
TEST(BatchRangesTest, ItIsASetOfNumbers) {
  constexpr int64_t kEnd = 40;
  std::mt19937 random(17);
  const auto draw = [&](int64_t most) {
    return std::uniform_int_distribution<int64_t>(0, most)(random);
  };
  for (int story = 0; story < 200; ++story) {
    BatchRanges ranges;
    std::set<int64_t> numbers;
    for (int action = 0; action < 50; ++action) {
      const int64_t begin = draw(kEnd);
      const BatchSpan span{begin, begin + draw(kEnd - begin)};
      const bool adds = draw(1) == 0;
      for (int64_t number = span.begin; number < span.end; ++number) {
        if (adds) {
          numbers.insert(number);
        } else {
          numbers.erase(number);
        }
      }
      if (adds) {
        ranges.Add(span);
      } else {
        ranges.Remove(span);
      }
      ASSERT_EQ(ranges.size(), static_cast<int64_t>(numbers.size()));
      ASSERT_EQ(ranges.empty(), numbers.empty());
      if (!numbers.empty()) {
        ASSERT_EQ(ranges.lowest(), *numbers.begin());
      }
      size_t spans = 0;
      for (int64_t number = 0; number < kEnd; ++number) {
        ASSERT_EQ(ranges.Has(number), numbers.count(number) == 1) << number;
        if (numbers.count(number) == 1 && numbers.count(number - 1) == 0) ++spans;
      }
      ASSERT_EQ(ranges.spans(), spans);
      ASSERT_EQ(ranges.All().size(), spans);
      const int64_t from = draw(kEnd);
      const BatchSpan asked{from, from + draw(kEnd - from)};
      int64_t within = 0;
      int64_t missing = asked.end;
      for (int64_t number = asked.end - 1; number >= asked.begin; --number) {
        within += static_cast<int64_t>(numbers.count(number));
        if (numbers.count(number) == 0) missing = number;
      }
      int64_t found = 0;
      for (const BatchSpan& common : ranges.Within(asked)) {
        found += common.size();
        ASSERT_TRUE(ranges.Has(common.begin) && ranges.Has(common.end - 1));
        ASSERT_TRUE(common.begin >= asked.begin && common.end <= asked.end);
      }
      ASSERT_EQ(found, within);
      ASSERT_EQ(ranges.FirstMissing(asked), missing);
    }
    BatchRanges::Proto written;
    ranges.Write(&written);
    BatchRanges read;
    for (const v1::BatchRange& range : written) read.Add(SpanOf(range));
    EXPECT_EQ(read.size(), ranges.size());
    EXPECT_EQ(read.spans(), static_cast<size_t>(written.size()));
  }
}

}  // namespace
}  // namespace gradd
