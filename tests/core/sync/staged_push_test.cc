#include "core/sync/staged_push.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "core/base/error.h"

namespace gradd {
namespace {

using testing::HasSubstr;

constexpr int64_t kElements = 10'000;

// The bytes of some floats, cut into slices of random sizes that need not be aligned.
Payload RandomSlices(const std::vector<float>& values, std::mt19937* random,
                     size_t max_slice_bytes) {
  auto bytes = std::make_shared<std::vector<std::byte>>(values.size() * sizeof(float) + 1);
  // One byte in front, so that even the first slice is not aligned.
  std::memcpy(bytes->data() + 1, values.data(), values.size() * sizeof(float));
  std::vector<Payload::Slice> slices;
  for (size_t at = 1; at < bytes->size();) {
    const size_t size = std::min<size_t>(1 + (*random)() % max_slice_bytes, bytes->size() - at);
    slices.emplace_back(bytes->data() + at, size);
    at += size;
  }
  return Payload(std::move(slices), bytes);
}

Payload OneSlice(const std::vector<float>& values) {
  auto copy = std::make_shared<std::vector<float>>(values);
  const Payload::Slice slice(reinterpret_cast<const std::byte*>(copy->data()),
                             copy->size() * sizeof(float));
  return Payload({slice}, copy);
}

v1::ParameterChunk Chunk(int64_t offset) {
  v1::ParameterChunk chunk;
  chunk.set_offset(offset);
  chunk.set_encoding(v1::ENCODING_FLOAT32);
  return chunk;
}

std::vector<float> Ramp(int64_t size, float first) {
  std::vector<float> values(static_cast<size_t>(size));
  std::iota(values.begin(), values.end(), first);
  return values;
}

StagedPush NewPush(int64_t elements = kElements) { return {v1::PushHeader(), elements}; }

std::string ReasonFor(StagedPush* push, int64_t offset, const std::vector<float>& values) {
  const absl::Status status = push->Add(Chunk(offset), OneSlice(values));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  return ReasonOf(status);
}

TEST(StagedPushTest, GivesBackWhatCameInAnyOrderAndAnySlices) {
  const std::vector<float> values = Ramp(kElements, -500);
  for (unsigned seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    StagedPush push = NewPush();
    std::vector<std::pair<int64_t, int64_t>> chunks;
    for (int64_t at = 0; at < kElements;) {
      const int64_t size = std::min<int64_t>(200 + random() % 800, kElements - at);
      chunks.emplace_back(at, size);
      at += size;
    }
    std::shuffle(chunks.begin(), chunks.end(), random);
    for (const auto& [offset, size] : chunks) {
      const std::vector<float> part(values.begin() + offset, values.begin() + offset + size);
      ASSERT_TRUE(push.Add(Chunk(offset), RandomSlices(part, &random, 1 + random() % 500)).ok());
    }
    ASSERT_TRUE(push.CheckComplete().ok());

    const int64_t begin = random() % kElements;
    StagedPush::Reader reader(push, begin);
    std::vector<float> scratch(kElements);
    for (int64_t at = begin; at < kElements;) {
      const int64_t size = std::min<int64_t>(1 + random() % 700, kElements - at);
      const float* const read = reader.Next(size, scratch.data());
      for (int64_t i = 0; i < size; ++i) {
        ASSERT_EQ(read[i], values[static_cast<size_t>(at + i)]) << at << " + " << i;
      }
      at += size;
    }
  }
}

TEST(StagedPushTest, DoesNotCopyWhatLiesInOnePiece) {
  StagedPush push = NewPush();
  const Payload data = OneSlice(Ramp(kElements, 0));
  ASSERT_TRUE(push.Add(Chunk(0), data).ok());
  StagedPush::Reader reader(push, 100);
  float scratch[8];
  EXPECT_EQ(static_cast<const void*>(reader.Next(8, scratch)),
            static_cast<const void*>(data.slices()[0].data() + 100 * sizeof(float)));
}

TEST(StagedPushTest, ManyTinySlicesTakeNoMoreMemoryThanTheirData) {
  std::mt19937 random(1);
  StagedPush push = NewPush();
  const Payload tiny = RandomSlices(Ramp(kElements, 0), &random, 1);
  std::weak_ptr<const void> original = tiny.owner();
  ASSERT_TRUE(push.Add(Chunk(0), tiny).ok());
  const_cast<Payload&>(tiny) = Payload();
  EXPECT_TRUE(original.expired()) << "the push still holds the tiny slices";
  StagedPush::Reader reader(push, kElements - 1);
  float scratch[1];
  EXPECT_EQ(*reader.Next(1, scratch), kElements - 1);
}

TEST(StagedPushTest, NormIsTheSameHoweverTheChunkIsSliced) {
  std::mt19937 random(2);
  std::vector<float> values(5000);
  double expected = 0;
  for (float& value : values) {
    value = static_cast<float>(random() % 1000) / 7 - 70;
    expected += static_cast<double>(value) * value;
  }
  StagedPush whole = NewPush(5000);
  ASSERT_TRUE(whole.Add(Chunk(0), OneSlice(values)).ok());
  EXPECT_NEAR(whole.squared_norm(), expected, expected * 1e-6);
  for (const size_t max_slice : {3, 100, 5000}) {
    StagedPush sliced = NewPush(5000);
    ASSERT_TRUE(sliced.Add(Chunk(0), RandomSlices(values, &random, max_slice)).ok());
    EXPECT_EQ(sliced.squared_norm(), whole.squared_norm());
  }
}

TEST(StagedPushTest, RefusesChunksOutOfRange) {
  StagedPush push = NewPush();
  EXPECT_EQ(ReasonFor(&push, -1, {1}), "CHUNK_OUT_OF_RANGE");
  EXPECT_EQ(ReasonFor(&push, kElements, {1}), "CHUNK_OUT_OF_RANGE");
  EXPECT_EQ(ReasonFor(&push, kElements - 1, {1, 2}), "CHUNK_OUT_OF_RANGE");
  EXPECT_EQ(ReasonFor(&push, std::numeric_limits<int64_t>::max(), {1}), "CHUNK_OUT_OF_RANGE");
  EXPECT_EQ(ReasonFor(&push, std::numeric_limits<int64_t>::min(), {1}), "CHUNK_OUT_OF_RANGE");
  EXPECT_THAT(push.Add(Chunk(kElements - 1), OneSlice({1, 2})).message(),
              HasSubstr("chunk offset 9999 + 2 elements exceeds the layout's 10000"));
}

TEST(StagedPushTest, RefusesOverlappingChunks) {
  StagedPush push = NewPush();
  ASSERT_TRUE(push.Add(Chunk(100), OneSlice(Ramp(50, 0))).ok());
  EXPECT_EQ(ReasonFor(&push, 100, Ramp(50, 0)), "CHUNK_OVERLAP");
  EXPECT_EQ(ReasonFor(&push, 149, {1}), "CHUNK_OVERLAP");
  EXPECT_EQ(ReasonFor(&push, 99, {1, 2}), "CHUNK_OVERLAP");
  EXPECT_EQ(ReasonFor(&push, 0, Ramp(1000, 0)), "CHUNK_OVERLAP");
  EXPECT_THAT(push.Add(Chunk(120), OneSlice({1})).message(),
              HasSubstr("elements 120 to 120 overlaps an earlier one of elements 100 to 149"));
  EXPECT_TRUE(push.Add(Chunk(150), OneSlice({1})).ok());
  EXPECT_TRUE(push.Add(Chunk(99), OneSlice({1})).ok());
}

TEST(StagedPushTest, NamesTheFirstMissingElement) {
  StagedPush push = NewPush();
  EXPECT_THAT(push.CheckComplete().message(), HasSubstr("the first missing one is 0"));
  ASSERT_TRUE(push.Add(Chunk(0), OneSlice(Ramp(10, 0))).ok());
  ASSERT_TRUE(push.Add(Chunk(11), OneSlice(Ramp(kElements - 11, 0))).ok());
  EXPECT_THAT(push.CheckComplete().message(),
              HasSubstr("committed with 9999 of 10000 elements; the first missing one is 10"));
  EXPECT_EQ(ReasonOf(push.CheckComplete()), "CHUNK_MISSING");
}

TEST(StagedPushTest, RefusesEveryValueThatIsNotFinite) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    for (const size_t at : {0, 7, 8, 2047, 2048, 4999}) {
      StagedPush push = NewPush();
      std::vector<float> values = Ramp(5000, 0);
      values[at] = bad;
      const absl::Status status = push.Add(Chunk(1000), OneSlice(values));
      EXPECT_EQ(ReasonOf(status), "NON_FINITE");
      EXPECT_THAT(status.message(), HasSubstr("element " + std::to_string(1000 + at) + " is "));
    }
  }
}

TEST(StagedPushTest, TakesTheLargestFloats) {
  StagedPush push = NewPush();
  const float max = std::numeric_limits<float>::max();
  ASSERT_TRUE(push.Add(Chunk(0), OneSlice(std::vector<float>(kElements, -max))).ok());
  EXPECT_TRUE(std::isfinite(push.squared_norm()));
}

TEST(StagedPushTest, RefusesEmptyRaggedAndOversizedChunks) {
  StagedPush push = NewPush(1 << 20);
  EXPECT_EQ(ReasonFor(&push, 0, {}), "CHUNK_SIZE");
  EXPECT_EQ(ReasonFor(&push, 0, Ramp(kMaxChunkBytes / 4 + 1, 0)), "CHUNK_SIZE");
  const std::byte bytes[5] = {};
  EXPECT_EQ(ReasonOf(push.Add(Chunk(0), Payload({Payload::Slice(bytes, 5)}, nullptr))),
            "CHUNK_SIZE");
}

TEST(StagedPushTest, RefusesUnknownEncodings) {
  StagedPush push = NewPush();
  v1::ParameterChunk chunk = Chunk(0);
  chunk.set_encoding(static_cast<v1::Encoding>(77));
  EXPECT_EQ(ReasonOf(push.Add(chunk, OneSlice({1}))), "ENCODING_UNSUPPORTED");
}

TEST(StagedPushTest, BoundsTheNumberOfChunks) {
  StagedPush push = NewPush();
  int64_t accepted = 0;
  while (push.Add(Chunk(accepted), OneSlice({1})).ok()) ++accepted;
  EXPECT_EQ(accepted, MaxChunks(kElements));
  EXPECT_EQ(ReasonFor(&push, accepted, {1}), "TOO_MANY_CHUNKS");
  // The largest vector in chunks of a quarter of the largest size still fits.
  EXPECT_GE(MaxChunks(int64_t{1} << 31), (int64_t{1} << 31) / (kMaxChunkBytes / 16));
}

}  // namespace
}  // namespace gradd
