#include "core/codec/dense.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
#include <vector>

#include "tests/core/codec/codec_data.h"

namespace gradd {
namespace {

class DenseTest : public testing::TestWithParam<v1::Encoding> {};

TEST_P(DenseTest, SeesEveryElementThatIsNotFiniteAtEveryLengthAndPlace) {
  const auto unit = static_cast<size_t>(DenseElementBytes(GetParam()));
  const std::vector<float> values = RandomValues(70, 1);
  for (int64_t size = 0; size <= 70; ++size) {
    std::vector<std::byte> bytes(1 + static_cast<size_t>(size) * unit);
    std::byte* const in = bytes.data() + 1;
    EncodeDense(GetParam(), values.data(), size, in);
    ASSERT_TRUE(std::isfinite(LargestMagnitude(GetParam(), in, size)));
    for (int64_t at = 0; at < size; ++at) {
      for (const float bad :
           {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
            std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::quiet_NaN()}) {
        std::byte* const place = in + static_cast<size_t>(at) * unit;
        EncodeDense(GetParam(), &bad, 1, place);
        ASSERT_FALSE(std::isfinite(LargestMagnitude(GetParam(), in, size)))
            << bad << " at " << at << " of " << size;
        EncodeDense(GetParam(), &values[static_cast<size_t>(at)], 1, place);
      }
    }
  }
}

TEST_P(DenseTest, AgreesWithTheDecoderOnEveryPatternOfTheUpperHalf) {
  const auto unit = static_cast<size_t>(DenseElementBytes(GetParam()));
  for (uint32_t pattern = 0; pattern < 0x10000; ++pattern) {
    std::byte in[sizeof(float)] = {};
    const auto half = static_cast<uint16_t>(pattern);
    std::memcpy(in + unit - sizeof(half), &half, sizeof(half));
    float value = 0;
    DecodeDense(GetParam(), in, 1, &value);
    ASSERT_EQ(std::isfinite(LargestMagnitude(GetParam(), in, 1)), std::isfinite(value)) << pattern;
  }
}

TEST_P(DenseTest, TheLargestMagnitudeIsThatOfTheDecodedElements) {
  const auto unit = static_cast<size_t>(DenseElementBytes(GetParam()));
  for (int64_t size = 0; size <= 70; ++size) {
    const std::vector<float> values = RandomValues(size, static_cast<unsigned>(size));
    std::vector<std::byte> in(static_cast<size_t>(size) * unit);
    EncodeDense(GetParam(), values.data(), size, in.data());
    std::vector<float> decoded(values.size());
    DecodeDense(GetParam(), in.data(), size, decoded.data());
    float largest = 0;
    for (const float value : decoded) largest = std::max(largest, std::abs(value));
    ASSERT_EQ(LargestMagnitude(GetParam(), in.data(), size), largest) << size;
  }
}

TEST(LargerMagnitudeTest, NotANumberIsMoreThanAnyNumber) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(LargerMagnitude(1, 2), 2);
  EXPECT_EQ(LargerMagnitude(2, 1), 2);
  EXPECT_TRUE(std::isnan(LargerMagnitude(nan, 1)));
  EXPECT_TRUE(std::isnan(LargerMagnitude(1, nan)));
}

INSTANTIATE_TEST_SUITE_P(Encodings, DenseTest,
                         testing::Values(v1::ENCODING_FLOAT32, v1::ENCODING_BFLOAT16,
                                         v1::ENCODING_FLOAT16),
                         [](const auto& which) { return v1::Encoding_Name(which.param); });

}  // namespace
}  // namespace gradd
