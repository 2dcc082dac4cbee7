#include "core/codec/rows.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace gradd {
namespace {

// Rows 1, 2 and 5 of 3 elements, of which element i is i + 1.
class RowsViewTest : public testing::Test {
 protected:
  RowsViewTest() {
    const std::vector<uint32_t> rows = {1, 2, 5};
    const std::vector<float> values = {4, 5, 6, 7, 8, 9, 16, 17, 18};
    words_.resize(rows.size() + values.size());
    std::memcpy(words_.data(), rows.data(), rows.size() * 4);
    std::memcpy(&words_[rows.size()], values.data(), values.size() * 4);
  }
  RowsView view() const {
    return RowsView::Of({reinterpret_cast<const std::byte*>(words_.data()), words_.size() * 4}, 3);
  }
  std::vector<uint32_t> words_;
};

TEST_F(RowsViewTest, ViewsNumbersAndValues) {
  ASSERT_EQ(view().rows.size(), 3U);
  EXPECT_EQ(view().begin(2), 15);
  EXPECT_EQ(view().end(2), 18);
  EXPECT_EQ(view().values_of(1)[2], 9);
}

TEST_F(RowsViewTest, FindsTheRowAtOrAfterAnElement) {
  const std::vector<size_t> expected = {0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3};
  for (size_t at = 0; at < expected.size(); ++at) {
    EXPECT_EQ(view().RowAt(static_cast<int64_t>(at)), expected[at]) << at;
  }
}

TEST_F(RowsViewTest, DecodesFromAnyElementToAnyOther) {
  constexpr int64_t kElements = 21;
  for (int64_t begin = 0; begin < kElements; ++begin) {
    for (int64_t size = 0; size <= kElements - begin; ++size) {
      std::vector<float> out(static_cast<size_t>(size), -1);
      EXPECT_EQ(DecodeRows(view(), view().RowAt(begin), begin, size, out.data()),
                view().RowAt(begin + size));
      for (int64_t i = 0; i < size; ++i) {
        const int64_t row = (begin + i) / 3;
        const bool there = row == 1 || row == 2 || row == 5;
        EXPECT_EQ(out[static_cast<size_t>(i)], there ? static_cast<float>(begin + i + 1) : 0);
      }
    }
  }
}

}  // namespace
}  // namespace gradd
