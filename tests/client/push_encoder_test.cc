#include "client/push_encoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/sync/staged_push.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

using testing::ElementsAre;
using Kind = PushEncoding::Kind;

constexpr int64_t kElements = 600'001;
constexpr Kind kAllKinds[] = {Kind::kFloat32, Kind::kBfloat16, Kind::kFloat16, Kind::kInt8,
                              Kind::kTopK,    Kind::kRandomK,  Kind::kRows};

PushEncoding EncodingOf(Kind kind, double fraction = 0.01, uint64_t seed = 1) {
  PushEncoding encoding;
  encoding.kind = kind;
  encoding.fraction = fraction;
  encoding.seed = seed;
  return encoding;
}

std::vector<float> Gradient(size_t size, int seed) {
  std::vector<float> gradient(size);
  for (size_t i = 0; i < size; ++i) {
    gradient[i] = static_cast<float>((i * 7919 + static_cast<size_t>(seed)) % 1000) / 500 - 1;
  }
  return gradient;
}

// What one sending of a push consists of.
struct Sent {
  std::vector<std::string> messages;  // Chunk and data.
  std::vector<float> values;          // As the server reads them.
};

Sent Send(PushEncoder* encoder, const Layout& layout, int64_t max_chunk_bytes = kMaxChunkBytes) {
  Sent sent;
  const int64_t elements = layout.element_count();
  StagedPush staged(v1::PushHeader(), layout);
  encoder->Rewind(max_chunk_bytes);
  while (!encoder->done()) {
    v1::ParameterChunk chunk;
    const Payload data = encoder->Next(&chunk);
    EXPECT_LE(static_cast<int64_t>(data.size_bytes()), max_chunk_bytes);
    std::string message = chunk.SerializeAsString();
    for (const Payload::Slice& slice : data.slices()) {
      message.append(reinterpret_cast<const char*>(slice.data()), slice.size());
    }
    sent.messages.push_back(std::move(message));
    const absl::Status added = staged.Add(chunk, data);
    EXPECT_TRUE(added.ok()) << added;
  }
  EXPECT_TRUE(staged.CheckComplete().ok());
  std::vector<float> scratch(static_cast<size_t>(elements));
  const float* const values = StagedPush::Reader(staged, 0).Next(elements, scratch.data());
  sent.values.assign(values, values + elements);
  return sent;
}

Sent Send(PushEncoder* encoder, int64_t elements, int64_t max_chunk_bytes = kMaxChunkBytes) {
  return Send(encoder, VectorLayout(elements), max_chunk_bytes);
}

TEST(PushEncoderTest, APushThatIsSentAgainIsTheSameBytes) {
  for (const Kind kind : kAllKinds) {
    SCOPED_TRACE(static_cast<int>(kind));
    const auto encoder = PushEncoder::Create(EncodingOf(kind), VectorLayout(kElements));
    for (int64_t sequence = 1; sequence <= 3; ++sequence) {
      const std::vector<float> gradient = Gradient(kElements, static_cast<int>(sequence));
      ASSERT_TRUE(encoder->Begin(sequence, gradient, nullptr).ok());
      const Sent first = Send(encoder.get(), kElements);
      EXPECT_EQ(Send(encoder.get(), kElements).messages, first.messages);
      EXPECT_EQ(Send(encoder.get(), kElements, kMinChunkBytes * 20).values, first.values);
      encoder->Finish(/*applied=*/true);
    }
  }
}

TEST(PushEncoderTest, APushThatIsGivenUpHalfwayLeavesNothingBehind) {
  for (const Kind kind : kAllKinds) {
    SCOPED_TRACE(static_cast<int>(kind));
    const auto encoder = PushEncoder::Create(EncodingOf(kind), VectorLayout(kElements));
    const auto begin = [&](PushEncoder* which, absl::Span<const float> gradient) {
      EXPECT_TRUE(which->Begin(1, gradient, nullptr).ok());
    };
    // The connection is lost, and later the push is refused, after any number of chunks. From then
    // on the gradient is the caller's again.
    for (const int chunks : {0, 1, 2, 5, 12}) {
      std::vector<float> gradient = Gradient(kElements, chunks);
      begin(encoder.get(), gradient);
      for (int times = 0; times < 2; ++times) {
        encoder->Rewind(20 * kMinChunkBytes);
        for (int i = 0; i < chunks && !encoder->done(); ++i) {
          v1::ParameterChunk chunk;
          encoder->Next(&chunk);
        }
      }
      encoder->Finish(/*applied=*/true);
      std::fill(gradient.begin(), gradient.end(), std::numeric_limits<float>::max());
    }
    if (kind == Kind::kTopK || kind == Kind::kRandomK) continue;  // These keep what is not sent.
    const std::vector<float> gradient = Gradient(kElements, 7);
    begin(encoder.get(), gradient);
    const auto fresh = PushEncoder::Create(EncodingOf(kind), VectorLayout(kElements));
    begin(fresh.get(), gradient);
    EXPECT_EQ(Send(encoder.get(), kElements).messages, Send(fresh.get(), kElements).messages);
    encoder->Finish(/*applied=*/true);
    fresh->Finish(/*applied=*/true);
  }
}

TEST(PushEncoderTest, EveryLengthIsCoveredOnce) {
  for (const Kind kind : kAllKinds) {
    for (const int64_t elements : {1, 2, 511, 2047, 2048, 2049, 300'000}) {
      const auto encoder = PushEncoder::Create(EncodingOf(kind, 0.3), VectorLayout(elements));
      const std::vector<float> gradient = Gradient(static_cast<size_t>(elements), 1);
      ASSERT_TRUE(encoder->Begin(1, gradient, nullptr).ok());
      Send(encoder.get(), elements, 20 * kMinChunkBytes);
      encoder->Finish(/*applied=*/true);
    }
  }
}

TEST(PushEncoderTest, Float32IsBorrowedAndItsOwnerIsLetGoAtTheEnd) {
  const auto encoder = PushEncoder::Create({}, VectorLayout(10));
  const auto owner = std::make_shared<const std::vector<float>>(Gradient(10, 1));
  ASSERT_TRUE(encoder->Begin(1, *owner, owner).ok());
  encoder->Rewind(kMinChunkBytes);
  {
    v1::ParameterChunk chunk;
    const Payload data = encoder->Next(&chunk);
    EXPECT_EQ(static_cast<const void*>(data.slices()[0].data()), owner->data());
    EXPECT_EQ(owner.use_count(), 3);
  }
  encoder->Finish(/*applied=*/true);
  EXPECT_EQ(owner.use_count(), 1);
}

TEST(PushEncoderTest, WhatTopKLeavesComesLater) {
  const auto encoder = PushEncoder::Create(EncodingOf(Kind::kTopK, 0.5), VectorLayout(4));
  ASSERT_TRUE(encoder->Begin(1, {4, -3, 2, -1}, nullptr).ok());
  EXPECT_THAT(Send(encoder.get(), 4).values, ElementsAre(4, -3, 0, 0));
  encoder->Finish(/*applied=*/true);
  ASSERT_TRUE(encoder->Begin(2, {0, 0, 0, 0}, nullptr).ok());
  EXPECT_THAT(Send(encoder.get(), 4).values, ElementsAre(0, 0, 2, -1));
  encoder->Finish(/*applied=*/false);
  ASSERT_TRUE(encoder->Begin(3, {0, 9, 1, 0}, nullptr).ok());
  EXPECT_THAT(Send(encoder.get(), 4).values, ElementsAre(0, 9, 3, 0)) << "not applied, so it stays";
  encoder->Finish(/*applied=*/true);
}

TEST(PushEncoderTest, ASparseGradientThatIsNotFiniteIsRefusedAndForgotten) {
  const auto encoder = PushEncoder::Create(EncodingOf(Kind::kTopK, 1), VectorLayout(2));
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(ReasonOf(encoder->Begin(1, {1, nan}, nullptr)), "NON_FINITE");
  ASSERT_TRUE(encoder->Begin(1, {5, 6}, nullptr).ok());
  EXPECT_THAT(Send(encoder.get(), 2).values, ElementsAre(5, 6));
}

TEST(PushEncoderTest, RowsThatAreNotAllZeroArriveWhateverTheTensors) {
  for (unsigned seed = 0; seed < 50; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    v1::Layout message;
    for (unsigned i = 0; i <= random() % 5; ++i) {
      v1::Tensor& tensor = *message.add_tensors();
      tensor.set_name("t" + std::to_string(i));
      tensor.add_shape(1 + random() % 300);
      // From single elements to rows that do not fit a chunk.
      if (random() % 3 != 0) tensor.add_shape(int64_t{1} << (random() % 15));
    }
    const Layout layout = *Layout::Create(message, int64_t{1} << 30);
    std::vector<float> gradient(static_cast<size_t>(layout.element_count()));
    const unsigned density = 1U << (random() % 8);
    for (size_t i = 0; i < gradient.size(); i += 1 + random() % (2 * density)) gradient[i] = 1;
    const auto encoder = PushEncoder::Create(EncodingOf(Kind::kRows), layout);
    ASSERT_TRUE(encoder->Begin(1, gradient, nullptr).ok());
    EXPECT_EQ(Send(encoder.get(), layout).values, gradient);
    EXPECT_EQ(Send(encoder.get(), layout, 40 * kMinChunkBytes).values, gradient);
    encoder->Finish(/*applied=*/true);
  }
}

TEST(PushEncoderTest, OnlyRowsThatAreNotAllZeroAreSent) {
  const Layout layout = MatrixLayout(100'000, 64);
  std::vector<float> gradient(100'000 * 64);
  for (size_t row = 7; row < 100'000; row += 1000) gradient[row * 64 + 63] = 1;
  const auto encoder = PushEncoder::Create(EncodingOf(Kind::kRows), layout);
  ASSERT_TRUE(encoder->Begin(1, gradient, nullptr).ok());
  const Sent sent = Send(encoder.get(), layout);
  EXPECT_EQ(sent.values, gradient);
  ASSERT_EQ(sent.messages.size(), 1U);
  EXPECT_LT(sent.messages[0].size(), 100 * 65 * 4 + 50U);
  encoder->Rewind(kMaxChunkBytes);
  v1::ParameterChunk chunk;
  encoder->Next(&chunk);
  EXPECT_EQ(chunk.encoding(), v1::ENCODING_ROWS);
}

TEST(PushEncoderTest, SeedAndSequenceChooseWhatIsRandom) {
  const std::vector<float> gradient = Gradient(10'000, 1);
  for (const Kind kind : {Kind::kInt8, Kind::kRandomK}) {
    const auto messages = [&](uint64_t seed, int64_t sequence) {
      const auto encoder = PushEncoder::Create(EncodingOf(kind, 0.01, seed), VectorLayout(10'000));
      EXPECT_TRUE(encoder->Begin(sequence, gradient, nullptr).ok());
      return Send(encoder.get(), 10'000).messages;
    };
    EXPECT_EQ(messages(1, 1), messages(1, 1));
    EXPECT_NE(messages(1, 1), messages(1, 2));
    EXPECT_NE(messages(1, 1), messages(2, 1));
  }
}

TEST(PushEncodingTest, FractionsOutOfRangeAreNamed) {
  for (const double fraction : {0.0, -1.0, 1.01, std::numeric_limits<double>::quiet_NaN()}) {
    EXPECT_THAT(std::string(ValidatePushEncoding(EncodingOf(Kind::kTopK, fraction)).message()),
                testing::HasSubstr("push_encoding.fraction: "));
  }
  EXPECT_TRUE(ValidatePushEncoding(EncodingOf(Kind::kTopK, 1)).ok());
}

}  // namespace
}  // namespace gradd
