#include "core/codec/int8.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "tests/core/codec/codec_data.h"

namespace gradd {
namespace {

std::vector<std::byte> Encode(const std::vector<float>& values, uint64_t seed, int64_t first = 0) {
  const auto size = static_cast<int64_t>(values.size());
  std::vector<std::byte> out(static_cast<size_t>(Int8Bytes(size)));
  EncodeInt8(values.data(), size, seed, first, out.data());
  return out;
}

float ScaleAt(const std::byte* group) {
  float scale;
  std::memcpy(&scale, group, sizeof(scale));
  return scale;
}

std::vector<float> Decode(const std::vector<std::byte>& bytes, int64_t size) {
  std::vector<float> values(static_cast<size_t>(size));
  const std::byte* group = bytes.data();
  for (int64_t at = 0; at < size; at += kInt8GroupElements) {
    const int64_t count = std::min(kInt8GroupElements, size - at);
    DecodeInt8(group + kInt8ScaleBytes, count, ScaleAt(group), values.data() + at);
    group += Int8Bytes(count);
  }
  return values;
}

TEST(Int8Test, EveryLengthAndAlignmentIsWithinOneScale) {
  for (const int64_t size : {0, 1, 2, 3, 15, 16, 17, 31, 2047, 2048, 2049, 4095, 4096, 4097}) {
    const std::vector<float> values = RandomValues(size, static_cast<unsigned>(size));
    const std::vector<std::byte> aligned = Encode(values, 7);
    AtEveryAlignment(Int8Bytes(size), [&](std::byte* out) {
      EncodeInt8(values.data(), size, 7, 0, out);
      ASSERT_TRUE(std::equal(aligned.begin(), aligned.end(), out));
    });
    const std::vector<float> decoded = Decode(aligned, size);
    for (int64_t i = 0; i < size; ++i) {
      const std::byte* const group =
          aligned.data() + i / kInt8GroupElements * Int8Bytes(kInt8GroupElements);
      const auto k = static_cast<size_t>(i);
      ASSERT_NEAR(decoded[k], values[k], ScaleAt(group) * 1.0001) << i;
    }
  }
}

TEST(Int8Test, TheLargestMagnitudeFits) {
  for (const float largest : {2.0F, 1e-30F, 1e30F, std::numeric_limits<float>::max()}) {
    const std::vector<float> values = {0.5F * largest, -largest, 0.25F * largest, largest};
    for (uint64_t seed = 0; seed < 2000; ++seed) {
      const std::vector<float> decoded = Decode(Encode(values, seed), 4);
      ASSERT_NEAR(decoded[1] / largest, -1, 1.0 / 126) << largest << ", seed " << seed;
      ASSERT_NEAR(decoded[3] / largest, 1, 1.0 / 126) << largest << ", seed " << seed;
    }
  }
}

TEST(Int8Test, RoundingIsUnbiased) {
  const std::vector<float> values = {1, 0.3F, -0.3F, 0.001F, -0.0001F, 0.12345F, -0.999F, 0};
  constexpr int kSeeds = 20'000;
  std::vector<double> sums(values.size());
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    const std::vector<float> decoded = Decode(Encode(values, seed), 8);
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += decoded[i];
  }
  // The deviation of one rounding is at most half a scale.
  const double tolerance = 5 * (0.5 / 127) / std::sqrt(kSeeds);
  for (size_t i = 0; i < sums.size(); ++i) {
    EXPECT_NEAR(sums[i] / kSeeds, values[i], tolerance) << i;
  }
}

TEST(Int8Test, RoundingIsUnbiasedOverTheElementsOfOneGroup) {
  std::vector<float> values(kInt8GroupElements, 0.3F);
  values[0] = 1;
  double sum = 0;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    for (const float value : Decode(Encode(values, seed), kInt8GroupElements)) sum += value;
  }
  const double mean = (sum / 50 - 1) / (kInt8GroupElements - 1);
  EXPECT_NEAR(mean, 0.3, 5 * (0.5 / 127) / std::sqrt(50.0 * kInt8GroupElements));
}

TEST(Int8Test, DependsOnSeedAndIndexAlone) {
  const std::vector<float> values = RandomValues(3 * kInt8GroupElements, 3);
  const std::vector<std::byte> whole = Encode(values, 5);
  EXPECT_EQ(Encode(values, 5), whole);
  EXPECT_NE(Encode(values, 6), whole);
  // The second group alone, at its place and at another one.
  const std::vector<float> part(values.begin() + kInt8GroupElements,
                                values.begin() + 2 * kInt8GroupElements);
  const auto group = whole.begin() + Int8Bytes(kInt8GroupElements);
  const std::vector<std::byte> second(group, group + Int8Bytes(kInt8GroupElements));
  EXPECT_EQ(Encode(part, 5, kInt8GroupElements), second);
  EXPECT_NE(Encode(part, 5, 0), second);
}

TEST(Int8Test, ExtremeGroupsStayFinite) {
  const float max = std::numeric_limits<float>::max();
  const float tiny = std::numeric_limits<float>::denorm_min();
  for (const float largest : {max, std::nextafter(max, 0.0F), 1e-37F, 1e-38F, 1e-44F, tiny, 0.0F}) {
    const std::vector<float> values = {largest, -largest, largest / 3, 0, largest / 1000};
    for (uint64_t seed = 0; seed < 50; ++seed) {
      for (const float value : Decode(Encode(values, seed), 5)) {
        ASSERT_TRUE(std::isfinite(value)) << largest;
        ASSERT_LE(std::abs(value), largest * 1.0001F + 1.2e-38F) << largest;
      }
    }
  }
  EXPECT_EQ(Decode(Encode({0, 0, -0.0F}, 1), 3), std::vector<float>({0, 0, 0}));
}

TEST(Int8Test, AGroupThatIsNotFiniteHasAScaleThatIsNotFinite) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    std::vector<float> values(2 * kInt8GroupElements, 1);
    values[3000] = bad;
    const std::vector<std::byte> encoded = Encode(values, 1);
    EXPECT_TRUE(std::isfinite(ScaleAt(encoded.data())));
    EXPECT_FALSE(std::isfinite(ScaleAt(encoded.data() + Int8Bytes(kInt8GroupElements))));
  }
}

}  // namespace
}  // namespace gradd
