#include "core/sync/staged_push.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
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
#include "core/codec/dense.h"
#include "core/codec/int8.h"
#include "core/codec/sparse.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

using testing::HasSubstr;

constexpr int64_t kStagedElements = 10'000;

using Bytes = std::vector<std::byte>;

template <typename Number>
Bytes BytesOf(const std::vector<Number>& numbers) {
  const auto* const first = reinterpret_cast<const std::byte*>(numbers.data());
  return {first, first + numbers.size() * sizeof(Number)};
}

// `data` cut into slices of random sizes that need not be aligned.
Payload RandomSlices(const Bytes& data, std::mt19937* random, size_t max_slice_bytes) {
  // One byte in front, so that even the first slice is not aligned.
  auto bytes = std::make_shared<Bytes>(1 + data.size());
  std::copy(data.begin(), data.end(), bytes->begin() + 1);
  std::vector<Payload::Slice> slices;
  for (size_t at = 1; at < bytes->size();) {
    const size_t size = std::min<size_t>(1 + (*random)() % max_slice_bytes, bytes->size() - at);
    slices.emplace_back(bytes->data() + at, size);
    at += size;
  }
  return Payload(std::move(slices), bytes);
}

Payload RandomSlices(const std::vector<float>& values, std::mt19937* random,
                     size_t max_slice_bytes) {
  return RandomSlices(BytesOf(values), random, max_slice_bytes);
}

Payload OneSlice(const std::vector<float>& values) {
  auto copy = std::make_shared<std::vector<float>>(values);
  const Payload::Slice slice(reinterpret_cast<const std::byte*>(copy->data()),
                             copy->size() * sizeof(float));
  return Payload({slice}, copy);
}

Payload Raw(const Bytes& bytes) {
  auto copy = std::make_shared<Bytes>(bytes);
  const Payload::Slice slice(copy->data(), copy->size());
  return Payload({slice}, copy);
}

v1::ParameterChunk Chunk(int64_t offset, v1::Encoding encoding = v1::ENCODING_FLOAT32,
                         int64_t element_count = 0) {
  v1::ParameterChunk chunk;
  chunk.set_offset(offset);
  chunk.set_encoding(encoding);
  chunk.set_element_count(element_count);
  return chunk;
}

// Indices or row numbers, and what belongs to them.
Bytes Pairs(const std::vector<uint32_t>& indices, const std::vector<float>& values) {
  Bytes bytes = BytesOf(indices);
  const Bytes tail = BytesOf(values);
  bytes.insert(bytes.end(), tail.begin(), tail.end());
  return bytes;
}

constexpr int64_t kRowElements = 16;

// A chunk in some encoding, and what it means.
struct Encoded {
  v1::ParameterChunk chunk;
  Bytes data;
  std::vector<float> values;
};

Encoded Encode(v1::Encoding encoding, int64_t offset, int64_t size, std::mt19937* random) {
  Encoded result;
  std::vector<float> values(static_cast<size_t>(size));
  for (float& value : values) value = static_cast<float>((*random)() % 2001) / 100 - 10;
  result.values.resize(values.size());
  result.chunk = Chunk(offset, encoding, (*random)() % 2 == 0 ? size : 0);
  if (encoding == v1::ENCODING_SPARSE) {
    result.chunk.set_element_count(size);
    // From nearly none to all.
    const uint32_t gap = 1U << ((*random)() % 12);
    std::vector<uint32_t> indices;
    std::vector<float> kept;
    for (uint32_t i = static_cast<uint32_t>((*random)() % gap); i < size;
         i += 1 + static_cast<uint32_t>((*random)() % gap)) {
      indices.push_back(i);
      kept.push_back(values[i]);
      result.values[i] = values[i];
    }
    result.data = Pairs(indices, kept);
  } else if (encoding == v1::ENCODING_ROWS) {
    result.chunk.set_element_count(size);
    std::vector<uint32_t> rows;
    std::vector<float> kept;
    for (uint32_t row = 0; row < size / kRowElements; ++row) {
      if ((*random)() % 3 == 0) continue;
      rows.push_back(row);
      const int64_t begin = row * kRowElements;
      kept.insert(kept.end(), values.begin() + begin, values.begin() + begin + kRowElements);
      std::copy_n(values.begin() + begin, kRowElements, result.values.begin() + begin);
    }
    result.data = Pairs(rows, kept);
  } else if (encoding == v1::ENCODING_INT8) {
    result.data.resize(static_cast<size_t>(Int8Bytes(size)));
    EncodeInt8(values.data(), size, (*random)(), offset, result.data.data());
    for (int64_t at = 0; at < size; at += kInt8GroupElements) {
      const std::byte* const group = result.data.data() + Int8Bytes(at);
      float scale = 0;
      std::memcpy(&scale, group, sizeof(scale));
      DecodeInt8(group + kInt8ScaleBytes, std::min(kInt8GroupElements, size - at), scale,
                 result.values.data() + at);
    }
  } else {
    result.data.resize(static_cast<size_t>(size * DenseElementBytes(encoding)));
    EncodeDense(encoding, values.data(), size, result.data.data());
    DecodeDense(encoding, result.data.data(), size, result.values.data());
  }
  return result;
}

std::vector<float> Ramp(int64_t size, float first) {
  std::vector<float> values(static_cast<size_t>(size));
  std::iota(values.begin(), values.end(), first);
  return values;
}

StagedPush NewPush(int64_t elements = kStagedElements) {
  return {v1::PushHeader(), VectorLayout(elements)};
}

std::string ReasonFor(StagedPush* push, int64_t offset, const std::vector<float>& values) {
  const absl::Status status = push->Add(Chunk(offset), OneSlice(values));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  return ReasonOf(status);
}

TEST(StagedPushTest, GivesBackWhatCameInAnyOrderAndAnySlices) {
  const std::vector<float> values = Ramp(kStagedElements, -500);
  for (unsigned seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    StagedPush push = NewPush();
    std::vector<std::pair<int64_t, int64_t>> chunks;
    for (int64_t at = 0; at < kStagedElements;) {
      const int64_t size = std::min<int64_t>(200 + random() % 800, kStagedElements - at);
      chunks.emplace_back(at, size);
      at += size;
    }
    std::shuffle(chunks.begin(), chunks.end(), random);
    for (const auto& [offset, size] : chunks) {
      const std::vector<float> part(values.begin() + offset, values.begin() + offset + size);
      ASSERT_TRUE(push.Add(Chunk(offset), RandomSlices(part, &random, 1 + random() % 500)).ok());
    }
    ASSERT_TRUE(push.CheckComplete().ok());

    const int64_t begin = random() % kStagedElements;
    StagedPush::Reader reader(push, begin);
    std::vector<float> scratch(kStagedElements);
    for (int64_t at = begin; at < kStagedElements;) {
      const int64_t size = std::min<int64_t>(1 + random() % 700, kStagedElements - at);
      const UnalignedFloat* const read = reader.Next(size, scratch.data());
      for (int64_t i = 0; i < size; ++i) {
        ASSERT_EQ(static_cast<float>(read[i]), values[static_cast<size_t>(at + i)])
            << at << " + " << i;
      }
      at += size;
    }
  }
}

TEST(StagedPushTest, ChunksOfAnyEncodingsInAnySlicesAreReadAsWhatTheyMean) {
  constexpr int64_t kLength = 3'126 * kRowElements;
  const Layout layout = MatrixLayout(3'126, kRowElements);
  for (unsigned seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    StagedPush push(v1::PushHeader(), layout);
    std::vector<Encoded> chunks;
    for (int64_t at = 0; at < kLength;) {
      // Whole groups, so that each may be INT8.
      const int64_t groups = 1 + random() % 4;
      const int64_t size = std::min<int64_t>(groups * kInt8GroupElements, kLength - at);
      chunks.push_back(Encode(static_cast<v1::Encoding>(1 + random() % 6), at, size, &random));
      at += size;
    }
    std::vector<float> expected;
    for (const Encoded& chunk : chunks) {
      expected.insert(expected.end(), chunk.values.begin(), chunk.values.end());
    }
    std::shuffle(chunks.begin(), chunks.end(), random);
    for (const Encoded& chunk : chunks) {
      const absl::Status added =
          push.Add(chunk.chunk, RandomSlices(chunk.data, &random, 1 + random() % 3000));
      ASSERT_TRUE(added.ok()) << added;
    }
    ASSERT_TRUE(push.CheckComplete().ok());

    const int64_t begin = random() % kLength;
    StagedPush::Reader reader(push, begin);
    std::vector<float> scratch(kLength);
    for (int64_t at = begin; at < kLength;) {
      const int64_t size = std::min<int64_t>(1 + random() % 5000, kLength - at);
      const UnalignedFloat* const read = reader.Next(size, scratch.data());
      for (int64_t i = 0; i < size; ++i) {
        ASSERT_EQ(static_cast<float>(read[i]), expected[static_cast<size_t>(at + i)])
            << at << " + " << i;
      }
      at += size;
    }
  }
}

TEST(StagedPushTest, KnowsItsLargestMagnitudeInEveryEncoding) {
  const Layout layout = MatrixLayout(1'000, kRowElements);
  for (int encoding = v1::ENCODING_FLOAT32; encoding <= v1::ENCODING_ROWS; ++encoding) {
    for (unsigned seed = 0; seed < 10; ++seed) {
      std::mt19937 random(seed);
      StagedPush push(v1::PushHeader(), layout);
      const Encoded chunk =
          Encode(static_cast<v1::Encoding>(encoding), 0, kInt8GroupElements, &random);
      ASSERT_TRUE(push.Add(chunk.chunk, RandomSlices(chunk.data, &random, 500)).ok());
      float largest = 0;
      for (const float value : chunk.values) largest = std::max(largest, std::abs(value));
      // Of INT8, what the scale allows for.
      const float bound = encoding == v1::ENCODING_INT8 ? largest * 1.01F : largest;
      EXPECT_GE(push.largest(), largest) << encoding;
      EXPECT_LE(push.largest(), bound) << encoding;
    }
  }
  StagedPush known = NewPush(2);
  ASSERT_TRUE(known.AddChecked(0, OneSlice({3, -5}), 5).ok());
  EXPECT_EQ(known.largest(), 5);
}

TEST(StagedPushTest, CountsWhatIsAtTheEndOfFloat16) {
  const std::vector<float> values = {1, 65504, -65504, 1e9F, 65503.0F - 32, 0};
  StagedPush push = NewPush(12);
  Bytes data(values.size() * 2);
  EncodeDense(v1::ENCODING_FLOAT16, values.data(), 6, data.data());
  std::mt19937 random(1);
  ASSERT_TRUE(push.Add(Chunk(0, v1::ENCODING_FLOAT16), RandomSlices(data, &random, 5)).ok());
  EXPECT_EQ(push.saturated(), 3);
  // As float32 these are numbers like any other.
  ASSERT_TRUE(push.Add(Chunk(6), OneSlice(values)).ok());
  EXPECT_EQ(push.saturated(), 3);
}

TEST(StagedPushTest, DoesNotCopyWhatLiesInOnePiece) {
  StagedPush push = NewPush();
  const Payload data = OneSlice(Ramp(kStagedElements, 0));
  ASSERT_TRUE(push.Add(Chunk(0), data).ok());
  StagedPush::Reader reader(push, 100);
  float scratch[8];
  EXPECT_EQ(static_cast<const void*>(reader.Next(8, scratch)),
            static_cast<const void*>(data.slices()[0].data() + 100 * sizeof(float)));
}

TEST(StagedPushTest, ManyTinySlicesTakeNoMoreMemoryThanTheirData) {
  std::mt19937 random(1);
  StagedPush push = NewPush();
  const Payload tiny = RandomSlices(Ramp(kStagedElements, 0), &random, 1);
  std::weak_ptr<const void> original = tiny.owner();
  ASSERT_TRUE(push.Add(Chunk(0), tiny).ok());
  const_cast<Payload&>(tiny) = Payload();
  EXPECT_TRUE(original.expired()) << "the push still holds the tiny slices";
  StagedPush::Reader reader(push, kStagedElements - 1);
  float scratch[1];
  EXPECT_EQ(static_cast<float>(*reader.Next(1, scratch)), kStagedElements - 1);
}

TEST(StagedPushTest, RefusesChunksOutOfRange) {
  StagedPush push = NewPush();
  EXPECT_EQ(ReasonFor(&push, -1, {1}), "CHUNK_OUT_OF_RANGE");
  EXPECT_EQ(ReasonFor(&push, kStagedElements, {1}), "CHUNK_OUT_OF_RANGE");
  EXPECT_EQ(ReasonFor(&push, kStagedElements - 1, {1, 2}), "CHUNK_OUT_OF_RANGE");
  EXPECT_EQ(ReasonFor(&push, std::numeric_limits<int64_t>::max(), {1}), "CHUNK_OUT_OF_RANGE");
  EXPECT_EQ(ReasonFor(&push, std::numeric_limits<int64_t>::min(), {1}), "CHUNK_OUT_OF_RANGE");
  EXPECT_THAT(push.Add(Chunk(kStagedElements - 1), OneSlice({1, 2})).message(),
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
  ASSERT_TRUE(push.Add(Chunk(11), OneSlice(Ramp(kStagedElements - 11, 0))).ok());
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
  ASSERT_TRUE(push.Add(Chunk(0), OneSlice(std::vector<float>(kStagedElements, -max))).ok());
  EXPECT_TRUE(push.CheckComplete().ok());
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

class StagedEncodingTest : public testing::Test {
 protected:
  // What is wrong with a chunk, as "REASON: message".
  static std::string Refusal(const v1::ParameterChunk& chunk, const Bytes& data) {
    StagedPush push = NewPush();
    const absl::Status status = push.Add(chunk, Raw(data));
    return ReasonOf(status) + ": " + std::string(status.message());
  }
  // A chunk of INT8 whose groups have these scales and bytes of 127.
  static Bytes Groups(const std::vector<float>& scales, int64_t size) {
    Bytes data(static_cast<size_t>(Int8Bytes(size)), std::byte{127});
    for (size_t i = 0; i < scales.size(); ++i) {
      std::memcpy(data.data() + i * (kInt8GroupElements + kInt8ScaleBytes), &scales[i], 4);
    }
    return data;
  }
  static constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  static constexpr float kInfinity = std::numeric_limits<float>::infinity();
};

TEST_F(StagedEncodingTest, RefusesLengthsThatFitNoElements) {
  for (const v1::Encoding encoding : {v1::ENCODING_BFLOAT16, v1::ENCODING_FLOAT16}) {
    for (const size_t size : {0, 1, 3, 4001}) {
      EXPECT_THAT(Refusal(Chunk(0, encoding), Bytes(size)),
                  HasSubstr("CHUNK_SIZE: chunk at offset 0 has " + std::to_string(size) +
                            " bytes, expected a positive multiple of 2"));
    }
  }
  for (const size_t size : {0, 1, 4, 2053, 2056, 4105}) {
    EXPECT_THAT(Refusal(Chunk(0, v1::ENCODING_INT8), Bytes(size)), HasSubstr("CHUNK_SIZE")) << size;
  }
  for (const size_t size : {1, 4, 7, 12}) {
    EXPECT_THAT(Refusal(Chunk(0, v1::ENCODING_SPARSE, 100), Bytes(size)), HasSubstr("CHUNK_SIZE"));
  }
}

TEST_F(StagedEncodingTest, RefusesElementCountsThatDiffer) {
  EXPECT_THAT(Refusal(Chunk(0, v1::ENCODING_FLOAT32, 2), Bytes(4)),
              HasSubstr("CHUNK_SIZE: chunk at offset 0 has 1 elements, and an element_count of 2"));
  EXPECT_THAT(Refusal(Chunk(0, v1::ENCODING_BFLOAT16, -1), Bytes(4)), HasSubstr("CHUNK_SIZE"));
  EXPECT_THAT(Refusal(Chunk(0, v1::ENCODING_INT8, 4), Bytes(5)), HasSubstr("CHUNK_SIZE"));
  const int64_t too_many = (int64_t{1} << 32) + 1;
  for (const int64_t count :
       {int64_t{0}, int64_t{-1}, too_many, std::numeric_limits<int64_t>::min()}) {
    EXPECT_THAT(Refusal(Chunk(0, v1::ENCODING_SPARSE, count), {}), HasSubstr("CHUNK_SIZE"))
        << count;
  }
  EXPECT_THAT(Refusal(Chunk(0, v1::ENCODING_SPARSE, 1), Pairs({0, 1}, {1, 1})),
              HasSubstr("CHUNK_SIZE"))
      << "more pairs than elements";
}

TEST_F(StagedEncodingTest, RefusesEncodedChunksOutOfRange) {
  EXPECT_THAT(Refusal(Chunk(kStagedElements - 1, v1::ENCODING_BFLOAT16), Bytes(4)),
              HasSubstr("CHUNK_OUT_OF_RANGE"));
  EXPECT_THAT(Refusal(Chunk(0, v1::ENCODING_SPARSE, kStagedElements + 1), {}),
              HasSubstr("CHUNK_OUT_OF_RANGE"));
  EXPECT_THAT(Refusal(Chunk(std::numeric_limits<int64_t>::max(), v1::ENCODING_SPARSE, 5), {}),
              HasSubstr("CHUNK_OUT_OF_RANGE"));
}

TEST_F(StagedEncodingTest, RefusesInt8ThatCutsGroups) {
  EXPECT_THAT(
      Refusal(Chunk(1, v1::ENCODING_INT8), Groups({1}, 2048)),
      HasSubstr("CHUNK_MISALIGNED: chunk of INT8 elements 1 to 2048, expected to begin at a "
                "multiple of 2048"));
  EXPECT_THAT(Refusal(Chunk(0, v1::ENCODING_INT8), Groups({1}, 2047)),
              HasSubstr("CHUNK_MISALIGNED"));
  const int64_t tail = 4 * kInt8GroupElements;
  StagedPush push = NewPush();
  EXPECT_TRUE(
      push.Add(Chunk(tail, v1::ENCODING_INT8), Raw(Groups({1}, kStagedElements - tail))).ok());
}

TEST_F(StagedEncodingTest, RefusesScalesThatAreNotFiniteOrNegative) {
  for (const float scale : {kNan, kInfinity, -kInfinity, -1.0F}) {
    EXPECT_THAT(Refusal(Chunk(2048, v1::ENCODING_INT8), Groups({1, scale}, 4096)),
                HasSubstr(std::string(std::isfinite(scale) ? "SCALE_INVALID" : "NON_FINITE") +
                          ": the scale of the group at element 4096 is "));
  }
  EXPECT_THAT(Refusal(Chunk(0, v1::ENCODING_INT8), Groups({3e38F}, 2048)),
              HasSubstr("NON_FINITE: element 0 is inf"));
}

TEST_F(StagedEncodingTest, RefusesIndicesOutOfRangeRepeatedAndNotAscending) {
  const auto refusal = [](const std::vector<uint32_t>& indices) {
    return Refusal(Chunk(1000, v1::ENCODING_SPARSE, 500),
                   Pairs(indices, std::vector<float>(indices.size(), 1)));
  };
  EXPECT_THAT(refusal({0, 500}),
              HasSubstr("INDEX_OUT_OF_RANGE: chunk at offset 1000 has index 500, "
                        "expected less than 500"));
  EXPECT_THAT(refusal({0xFFFFFFFF}), HasSubstr("INDEX_OUT_OF_RANGE"));
  EXPECT_THAT(refusal({3, 7, 7}),
              HasSubstr("INDEX_REPEATED: chunk at offset 1000 has index 7 after 7"));
  EXPECT_THAT(refusal({3, 7, 6}), HasSubstr("INDEX_NOT_ASCENDING: chunk at offset 1000 has index 6 "
                                            "after 7"));
}

TEST_F(StagedEncodingTest, RefusesEncodedValuesThatAreNotFinite) {
  for (const float bad : {kNan, kInfinity, -kInfinity}) {
    EXPECT_THAT(Refusal(Chunk(10, v1::ENCODING_SPARSE, 100), Pairs({4, 9}, {1, bad})),
                HasSubstr("NON_FINITE: element 19 is "));
    for (const v1::Encoding encoding : {v1::ENCODING_BFLOAT16, v1::ENCODING_FLOAT16}) {
      std::vector<float> values(700, 1);
      values[600] = bad;
      Bytes data(1400);
      EncodeDense(encoding, values.data(), 700, data.data());
      EXPECT_THAT(Refusal(Chunk(10, encoding), data), HasSubstr("NON_FINITE: element 610 is "));
    }
  }
}

TEST_F(StagedEncodingTest, RefusesOverlapsOfDifferentEncodings) {
  StagedPush push = NewPush();
  ASSERT_TRUE(push.Add(Chunk(100, v1::ENCODING_SPARSE, 5000), Raw(Bytes())).ok());
  EXPECT_EQ(ReasonFor(&push, 5099, {1}), "CHUNK_OVERLAP");
  EXPECT_EQ(ReasonOf(push.Add(Chunk(99, v1::ENCODING_BFLOAT16), Raw(Bytes(4)))), "CHUNK_OVERLAP");
  EXPECT_TRUE(push.Add(Chunk(5100), OneSlice({1.0F})).ok());
}

TEST_F(StagedEncodingTest, AnEmptySparseChunkIsAllZeros) {
  StagedPush push = NewPush();
  ASSERT_TRUE(push.Add(Chunk(0, v1::ENCODING_SPARSE, kStagedElements), Payload()).ok());
  ASSERT_TRUE(push.CheckComplete().ok());
  std::vector<float> scratch(kStagedElements, 77);
  StagedPush::Reader reader(push, 0);
  const UnalignedFloat* const read = reader.Next(kStagedElements, scratch.data());
  EXPECT_EQ(std::vector<float>(read, read + kStagedElements), std::vector<float>(kStagedElements));
}

class StagedRowsTest : public testing::Test {
 protected:
  // Tensors of 10 rows of 3, of 4 rows of 2 * 2, and a scalar: elements 0 to 29, 30 to 45, and 46.
  static const Layout& ThreeTensors() {
    static const auto* const layout = [] {
      v1::Layout message;
      const auto add = [&message](const std::string& name, const std::vector<int64_t>& shape) {
        v1::Tensor& tensor = *message.add_tensors();
        tensor.set_name(name);
        tensor.mutable_shape()->Add(shape.begin(), shape.end());
      };
      add("a", {10, 3});
      add("b", {4, 2, 2});
      add("c", {});
      return new Layout(*Layout::Create(message, 100));
    }();
    return *layout;
  }
  static std::string Refusal(int64_t offset, int64_t element_count, const Bytes& data) {
    StagedPush push(v1::PushHeader(), ThreeTensors());
    const absl::Status status =
        push.Add(Chunk(offset, v1::ENCODING_ROWS, element_count), Raw(data));
    return ReasonOf(status) + ": " + std::string(status.message());
  }
};

TEST_F(StagedRowsTest, ATensorMayComeInSeveralChunksOfWholeRows) {
  StagedPush push(v1::PushHeader(), ThreeTensors());
  const auto add = [&push](int64_t offset, int64_t size, const std::vector<uint32_t>& rows,
                           const std::vector<float>& values) {
    const absl::Status added =
        push.Add(Chunk(offset, v1::ENCODING_ROWS, size), Raw(Pairs(rows, values)));
    EXPECT_TRUE(added.ok()) << added;
  };
  add(12, 18, {1, 2}, {1, 2, 3, 4, 5, 6});
  add(0, 12, {3}, {7, 8, 9});
  add(30, 16, {}, {});
  add(46, 1, {0}, {10});
  ASSERT_TRUE(push.CheckComplete().ok());
  std::vector<float> expected(47);
  std::iota(expected.begin() + 15, expected.begin() + 21, 1.0F);
  std::iota(expected.begin() + 9, expected.begin() + 12, 7.0F);
  expected[46] = 10;
  std::vector<float> scratch(47);
  StagedPush::Reader reader(push, 0);
  const UnalignedFloat* const read = reader.Next(47, scratch.data());
  EXPECT_EQ(std::vector<float>(read, read + 47), expected);

  EXPECT_FALSE(push.HasLazyRows([](int64_t) { return false; }));
  EXPECT_TRUE(push.HasLazyRows([](int64_t element) { return element == 46; }));
  const StagedPush::Lazy lazy = [](int64_t element) { return element < 30; };
  StagedPush::SpanReader spans(push, lazy, 0);
  std::vector<std::pair<int64_t, int64_t>> found;
  for (; spans.begin() != StagedPush::SpanReader::kNone; spans.Seek(spans.end())) {
    found.emplace_back(spans.begin(), spans.end());
    const UnalignedFloat* const values =
        spans.Read(spans.begin(), spans.end() - spans.begin(), scratch.data());
    for (int64_t i = spans.begin(); i < spans.end(); ++i) {
      EXPECT_EQ(static_cast<float>(values[i - spans.begin()]), expected[static_cast<size_t>(i)]);
    }
  }
  EXPECT_THAT(found, testing::ElementsAre(std::pair{9, 12}, std::pair{15, 21}, std::pair{30, 46},
                                          std::pair{46, 47}))
      << "tensors that are not lazy have zeros";
}

TEST_F(StagedRowsTest, RefusesRowsOutOfRangeRepeatedAndNotAscending) {
  EXPECT_THAT(Refusal(12, 18, Pairs({1, 6}, Ramp(6, 0))),
              HasSubstr("ROW_OUT_OF_RANGE: chunk at offset 12 has row 6, expected less than 6"));
  EXPECT_THAT(Refusal(0, 30, Pairs({0xFFFFFFFF}, Ramp(3, 0))), HasSubstr("ROW_OUT_OF_RANGE"));
  EXPECT_THAT(Refusal(0, 30, Pairs({3, 4, 4}, Ramp(9, 0))),
              HasSubstr("ROW_REPEATED: chunk at offset 0 has row 4 after 4"));
  EXPECT_THAT(Refusal(0, 30, Pairs({3, 7, 5}, Ramp(9, 0))),
              HasSubstr("ROW_NOT_ASCENDING: chunk at offset 0 has row 5 after 7"));
}

TEST_F(StagedRowsTest, RefusesWhatAreNotWholeRowsOfOneTensor) {
  for (const auto& [offset, count] :
       std::vector<std::pair<int64_t, int64_t>>{{1, 29},
                                                {0, 29},
                                                {0, 46},
                                                {31, 4},
                                                {0, 0},
                                                {0, -3},
                                                {27, std::numeric_limits<int64_t>::max()}}) {
    EXPECT_THAT(Refusal(offset, count, {}), HasSubstr("CHUNK_MISALIGNED"))
        << offset << " " << count;
  }
  EXPECT_THAT(Refusal(33, 3, {}),
              HasSubstr("CHUNK_MISALIGNED: chunk of ROWS at offset 33 with an element_count of 3, "
                        "expected whole rows of 4 elements of the tensor of elements 30 to 45"));
  for (const int64_t offset : {int64_t{-1}, int64_t{47}, std::numeric_limits<int64_t>::max()}) {
    EXPECT_THAT(Refusal(offset, 1, {}), HasSubstr("CHUNK_OUT_OF_RANGE"));
  }
}

TEST_F(StagedRowsTest, RefusesLengthsThatFitNoRowsAndTooManyBytes) {
  EXPECT_THAT(Refusal(0, 30, Bytes(17)),
              HasSubstr("CHUNK_SIZE: chunk at offset 0 has 17 bytes, expected 16 for each of at "
                        "most 10 rows"));
  EXPECT_THAT(Refusal(0, 3, Pairs({0, 1}, Ramp(6, 0))), HasSubstr("CHUNK_SIZE"));
  // One element and its number take twice as much as the element.
  constexpr uint32_t kRows = 1024;
  StagedPush push = NewPush(kRows);
  std::vector<uint32_t> rows(kRows);
  std::iota(rows.begin(), rows.end(), 0U);
  EXPECT_EQ(
      ReasonOf(push.Add(Chunk(0, v1::ENCODING_ROWS, kRows), Raw(Pairs(rows, Ramp(kRows, 0))))),
      "CHUNK_SIZE");
  constexpr uint32_t kMost = kRows / 4 * 3;
  rows.resize(kMost);
  EXPECT_TRUE(push.Add(Chunk(0, v1::ENCODING_ROWS, kRows), Raw(Pairs(rows, Ramp(kMost, 0)))).ok());
}

TEST_F(StagedRowsTest, RefusesRowsThatAreNotFinite) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    EXPECT_THAT(Refusal(12, 18, Pairs({1, 3}, {1, 2, 3, 4, bad, 6})),
                HasSubstr("NON_FINITE: element 22 is "));
  }
}

TEST(StagedPushTest, BoundsTheNumberOfChunks) {
  StagedPush push = NewPush();
  int64_t accepted = 0;
  while (push.Add(Chunk(accepted), OneSlice({1})).ok()) ++accepted;
  EXPECT_EQ(accepted, MaxChunks(VectorLayout(kStagedElements)));
  EXPECT_EQ(ReasonFor(&push, accepted, {1}), "TOO_MANY_CHUNKS");
  // The largest vector in chunks of a quarter of the largest size still fits.
  EXPECT_GE(MaxChunks(VectorLayout(int64_t{1} << 31)), (int64_t{1} << 31) / (kMaxChunkBytes / 16));
}

}  // namespace
}  // namespace gradd
