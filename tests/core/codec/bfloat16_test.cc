#include "core/codec/bfloat16.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tests/core/codec/codec_data.h"

namespace gradd {
namespace {

uint16_t Encode(float value) {
  std::byte out[kBfloat16Bytes];
  EncodeBfloat16(&value, 1, out);
  uint16_t half;
  std::memcpy(&half, out, sizeof(half));
  return half;
}

float Decode(uint16_t half) {
  std::byte in[kBfloat16Bytes];
  std::memcpy(in, &half, sizeof(half));
  float value = 0;
  DecodeBfloat16(in, 1, &value);
  return value;
}

TEST(Bfloat16Test, EveryValueSurvivesARoundTrip) {
  for (uint32_t half = 0; half <= 0xFFFF; ++half) {
    const float value = Decode(static_cast<uint16_t>(half));
    ASSERT_EQ(BitsOf(value), half << 16);
    if (std::isnan(value)) {
      ASSERT_TRUE(std::isnan(Decode(Encode(value))));
    } else {
      ASSERT_EQ(Encode(value), half);
    }
  }
}

TEST(Bfloat16Test, RoundsToTheNearestAndTiesToEven) {
  EXPECT_EQ(Encode(FloatOf(0x3F807FFF)), 0x3F80);
  EXPECT_EQ(Encode(FloatOf(0x3F808000)), 0x3F80) << "a tie, down to even";
  EXPECT_EQ(Encode(FloatOf(0x3F808001)), 0x3F81);
  EXPECT_EQ(Encode(FloatOf(0x3F818000)), 0x3F82) << "a tie, up to even";
  EXPECT_EQ(Encode(FloatOf(0xBF818000)), 0xBF82);
  EXPECT_EQ(Encode(FloatOf(0x3FFFFFFF)), 0x4000) << "into the next exponent";
  EXPECT_EQ(Encode(FloatOf(0x00008001)), 0x0001) << "a subnormal";
  EXPECT_EQ(Encode(-0.0F), 0x8000);
}

TEST(Bfloat16Test, FiniteStaysFiniteAndTheRestStaysWhatItIs) {
  const float max = std::numeric_limits<float>::max();
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(Encode(max), 0x7F7F);
  EXPECT_EQ(Encode(-max), 0xFF7F);
  EXPECT_EQ(Encode(FloatOf(0x7F7F8000)), 0x7F7F);
  EXPECT_EQ(Encode(FloatOf(0x7F7F7FFF)), 0x7F7F);
  EXPECT_EQ(Encode(infinity), 0x7F80);
  EXPECT_EQ(Encode(-infinity), 0xFF80);
  for (const uint32_t nan : {0x7F800001U, 0xFFC00000U, 0x7FFFFFFFU, 0xFF80FFFFU}) {
    EXPECT_TRUE(std::isnan(Decode(Encode(FloatOf(nan))))) << nan;
  }
}

TEST(Bfloat16Test, AnExtremeValueDoesNotChangeItsNeighbours) {
  std::vector<float> values = RandomValues(100, 1);
  values[50] = std::numeric_limits<float>::max();
  std::vector<std::byte> encoded(200);
  EncodeBfloat16(values.data(), 100, encoded.data());
  for (size_t i = 0; i < values.size(); ++i) {
    uint16_t half;
    std::memcpy(&half, encoded.data() + 2 * i, sizeof(half));
    EXPECT_EQ(half, Encode(values[i])) << i;
  }
}

TEST(Bfloat16Test, EveryLengthAndAlignmentGivesTheSame) {
  for (int64_t size = 0; size <= 70; ++size) {
    const std::vector<float> values = RandomValues(size, static_cast<unsigned>(size));
    AtEveryAlignment(size * kBfloat16Bytes, [&](std::byte* out) {
      EncodeBfloat16(values.data(), size, out);
      std::vector<float> decoded(values.size() + 1, 77);
      DecodeBfloat16(out, size, decoded.data());
      for (size_t i = 0; i < values.size(); ++i) {
        ASSERT_EQ(decoded[i], Decode(Encode(values[i])));
        ASSERT_NEAR(decoded[i], values[i], std::abs(values[i]) / 256);
      }
      ASSERT_EQ(decoded.back(), 77);
    });
  }
}

}  // namespace
}  // namespace gradd
