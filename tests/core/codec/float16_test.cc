#include "core/codec/float16.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tests/core/codec/codec_data.h"

namespace gradd {
namespace {

uint16_t EncodeHalf(float value) {
  std::byte out[kFloat16Bytes];
  EncodeFloat16(&value, 1, out);
  uint16_t half;
  std::memcpy(&half, out, sizeof(half));
  return half;
}

float DecodeHalf(uint16_t half) {
  std::byte in[kFloat16Bytes];
  std::memcpy(in, &half, sizeof(half));
  float value = 0;
  DecodeFloat16(in, 1, &value);
  return value;
}

// IEEE 754, clause 3.4, in double.
double Reference(uint32_t half) {
  const double sign = (half & 0x8000) != 0 ? -1 : 1;
  const int exponent = static_cast<int>(half >> 10 & 0x1F);
  const int mantissa = static_cast<int>(half & 0x3FF);
  if (exponent == 31) {
    return mantissa == 0 ? sign * std::numeric_limits<double>::infinity()
                         : std::numeric_limits<double>::quiet_NaN();
  }
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

TEST(Float16Test, AllValuesAreDecodedExactlyAndSurviveARoundTrip) {
  for (uint32_t half = 0; half <= 0xFFFF; ++half) {
    const float value = DecodeHalf(static_cast<uint16_t>(half));
    const double expected = Reference(half);
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(value)) << half;
      ASSERT_TRUE(std::isnan(DecodeHalf(EncodeHalf(value)))) << half;
      continue;
    }
    ASSERT_EQ(static_cast<double>(value), expected) << half;
    ASSERT_EQ(std::signbit(value), (half & 0x8000) != 0) << half;
    ASSERT_EQ(EncodeHalf(value), half);
  }
}

// Between two neighbours lies a tie; just below and above it, the nearer one is right.
TEST(Float16Test, RoundsToTheNearestAndTiesToEvenBetweenAllNeighbours) {
  for (uint16_t half = 0; half < 0x7BFF; ++half) {
    const auto next = static_cast<uint16_t>(half + 1);
    const auto middle = static_cast<float>((Reference(half) + Reference(next)) / 2);
    ASSERT_EQ(EncodeHalf(middle), half % 2 == 0 ? half : next) << half;
    ASSERT_EQ(EncodeHalf(std::nextafter(middle, 0.0F)), half);
    ASSERT_EQ(EncodeHalf(std::nextafter(middle, 1e9F)), next);
    ASSERT_EQ(EncodeHalf(-middle), 0x8000 | (half % 2 == 0 ? half : next));
  }
}

TEST(Float16Test, FiniteStaysFiniteAndTheRestStaysWhatItIs) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float large :
       {65504.0F, 65519.0F, 65520.0F, 65536.0F, 1e10F, 3e38F, std::numeric_limits<float>::max()}) {
    EXPECT_EQ(DecodeHalf(EncodeHalf(large)), 65504.0F) << large;
    EXPECT_EQ(DecodeHalf(EncodeHalf(-large)), -65504.0F) << large;
  }
  EXPECT_EQ(EncodeHalf(infinity), 0x7C00);
  EXPECT_EQ(EncodeHalf(-infinity), 0xFC00);
  for (const uint32_t nan : {0x7F800001U, 0xFFC00000U, 0x7FFFFFFFU, 0xFF80FFFFU}) {
    EXPECT_TRUE(std::isnan(DecodeHalf(EncodeHalf(FloatOf(nan))))) << nan;
  }
  EXPECT_EQ(EncodeHalf(std::numeric_limits<float>::denorm_min()), 0);
  EXPECT_EQ(EncodeHalf(-1e-30F), 0x8000);
}

TEST(Float16Test, CountsWhatIsBeyondItsRangeAndWhatIsAtItsEnd) {
  const float infinity = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const int64_t size : {1, 7, 64, 3000}) {
    std::vector<float> values(static_cast<size_t>(size), 65519.0F);  // Rounds down.
    std::vector<std::byte> out(values.size() * 2);
    EXPECT_EQ(EncodeFloat16(values.data(), size, out.data()), 0);
    EXPECT_EQ(CountLargestFloat16(out.data(), size), size);
    for (const float beyond : {65520.0F, -65520.0F, 3e38F}) {
      values.back() = beyond;
      EXPECT_EQ(EncodeFloat16(values.data(), size, out.data()), 1) << beyond;
      EXPECT_EQ(CountLargestFloat16(out.data(), size), size);
    }
    for (const float special : {infinity, -infinity, nan, 65503.0F - 32, 0.0F}) {
      values.back() = special;
      EXPECT_EQ(EncodeFloat16(values.data(), size, out.data()), 0) << special;
      EXPECT_EQ(CountLargestFloat16(out.data(), size), size - 1) << special;
    }
  }
}

TEST(Float16Test, SpecialValuesDoNotChangeTheirNeighbours) {
  std::vector<float> values = RandomValues(100, 1);
  values[50] = std::numeric_limits<float>::quiet_NaN();
  values[51] = std::numeric_limits<float>::infinity();
  std::vector<std::byte> encoded(200);
  EncodeFloat16(values.data(), 100, encoded.data());
  std::vector<float> decoded(100);
  DecodeFloat16(encoded.data(), 100, decoded.data());
  for (size_t i = 0; i < values.size(); ++i) {
    if (i == 50) continue;
    EXPECT_EQ(decoded[i], DecodeHalf(EncodeHalf(values[i]))) << i;
  }
  EXPECT_TRUE(std::isnan(decoded[50]));
}

TEST(Float16Test, EveryLengthAndAlignmentGivesTheSame) {
  for (int64_t size = 0; size <= 70; ++size) {
    const std::vector<float> values = RandomValues(size, static_cast<unsigned>(size));
    AtEveryAlignment(size * kFloat16Bytes, [&](std::byte* out) {
      EncodeFloat16(values.data(), size, out);
      std::vector<float> decoded(values.size() + 1, 77);
      DecodeFloat16(out, size, decoded.data());
      for (size_t i = 0; i < values.size(); ++i) {
        ASSERT_EQ(decoded[i], DecodeHalf(EncodeHalf(values[i])));
        ASSERT_NEAR(decoded[i], values[i], std::abs(values[i]) / 2048 + 0x1p-25);
      }
      ASSERT_EQ(decoded.back(), 77);
    });
  }
}

}  // namespace
}  // namespace gradd
