#include "core/codec/sparse.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/core/codec/codec_data.h"

namespace gradd {
namespace {

TEST(SparseTest, WritesRelativeIndicesThenValues) {
  const std::vector<uint32_t> indices = {100, 103, 4'000'000'000};
  const std::vector<float> values = {1, -2, 3};
  AtEveryAlignment(3 * kSparsePairBytes, [&](std::byte* out) {
    EncodeSparse(indices, values, 100, out);
    std::vector<uint32_t> read(6);
    std::memcpy(read.data(), out, 24);
    EXPECT_EQ(read, std::vector<uint32_t>({0, 3, 3'999'999'900, BitsOf(1), BitsOf(-2), BitsOf(3)}));
  });
}

TEST(SparseTest, DecodesAnyRangesInOrder) {
  const std::vector<uint32_t> indices = {0, 3, 4, 19};
  const std::vector<float> values = {1, 2, 3, 4};
  std::vector<float> bytes(8);
  EncodeSparse(indices, values, 0, reinterpret_cast<std::byte*>(bytes.data()));
  const SparseView view = SparseView::Of({reinterpret_cast<const std::byte*>(bytes.data()), 32});
  std::vector<float> expected(20);
  for (size_t i = 0; i < indices.size(); ++i) expected[indices[i]] = values[i];
  for (int64_t step = 1; step <= 20; ++step) {
    std::vector<float> decoded(20, 77);
    size_t pair = 0;
    for (int64_t at = 0; at < 20; at += step) {
      pair = DecodeSparse(view, pair, at, std::min<int64_t>(step, 20 - at), decoded.data() + at);
    }
    EXPECT_EQ(decoded, expected) << step;
    EXPECT_EQ(pair, 4U);
  }
}

TEST(SparseTest, NoPairsAreAllZeros) {
  const SparseView view = SparseView::Of({});
  std::vector<float> decoded(3, 77);
  EXPECT_EQ(DecodeSparse(view, 0, 0, 3, decoded.data()), 0U);
  EXPECT_EQ(decoded, std::vector<float>(3));
}

}  // namespace
}  // namespace gradd
