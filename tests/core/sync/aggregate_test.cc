#include "core/sync/aggregate.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <vector>

#include "core/codec/dense.h"
#include "core/optim/optimizer.h"

namespace gradd {
namespace {

constexpr int64_t kElements = 2 * kTileElements + 321;

struct Worker {
  std::vector<float> gradient;
  std::shared_ptr<const StagedPush> push;
};

std::shared_ptr<const StagedPush> MakePush(const v1::PushHeader& header,
                                           const std::vector<float>& gradient) {
  auto push = std::make_shared<StagedPush>(header, kElements);
  auto bytes = std::make_shared<std::vector<float>>(gradient);
  const Payload::Slice slice(reinterpret_cast<const std::byte*>(bytes->data()),
                             bytes->size() * sizeof(float));
  EXPECT_TRUE(push->Add(v1::ParameterChunk(), Payload({slice}, bytes)).ok());
  return push;
}

Worker MakeWorker(unsigned seed, int64_t examples, double loss) {
  std::mt19937 random(seed);
  Worker worker;
  for (int64_t i = 0; i < kElements; ++i) {
    worker.gradient.push_back(static_cast<float>(random() % 20001) / 10000 - 1);
  }
  v1::PushHeader header;
  header.set_examples(examples);
  header.set_loss(loss);
  worker.push = MakePush(header, worker.gradient);
  return worker;
}

std::vector<float> ReadAll(const Aggregate& aggregate, int64_t begin) {
  std::vector<float> result;
  Aggregate::Reader reader(aggregate, begin);
  for (int64_t at = begin; at < kElements; at += kTileElements) {
    const int64_t size = std::min(kTileElements, kElements - at);
    const float* const tile = reader.Next(size);
    result.insert(result.end(), tile, tile + size);
  }
  return result;
}

TEST(AggregateTest, IsTheMeanWeightedByExamples) {
  const Worker a = MakeWorker(1, 30, 2.0);
  const Worker b = MakeWorker(2, 10, 4.0);
  const Worker c = MakeWorker(3, 60, 1.0);
  const Aggregate aggregate({a.push, b.push, c.push});
  EXPECT_EQ(aggregate.examples(), 100);
  EXPECT_DOUBLE_EQ(aggregate.loss(), 0.3 * 2 + 0.1 * 4 + 0.6 * 1);
  const std::vector<float> mean = ReadAll(aggregate, 0);
  for (size_t i = 0; i < mean.size(); ++i) {
    EXPECT_NEAR(mean[i], 0.3 * a.gradient[i] + 0.1 * b.gradient[i] + 0.6 * c.gradient[i], 2e-7);
  }
}

TEST(AggregateTest, OnePushIsTakenBitForBit) {
  const Worker a = MakeWorker(1, 7, 2.0);
  EXPECT_EQ(ReadAll(Aggregate({a.push}), 0), a.gradient);
}

TEST(AggregateTest, ReadingFromTheMiddleGivesTheSameBits) {
  const Worker a = MakeWorker(1, 30, 0);
  const Worker b = MakeWorker(2, 11, 0);
  const Aggregate aggregate({a.push, b.push});
  const std::vector<float> whole = ReadAll(aggregate, 0);
  const std::vector<float> tail = ReadAll(aggregate, kTileElements);
  EXPECT_EQ(std::vector<float>(whole.begin() + kTileElements, whole.end()), tail);
}

TEST(AggregateTest, EncodedPushesAreSummedAsWhatTheyMean) {
  std::vector<std::shared_ptr<const StagedPush>> encoded;
  std::vector<std::shared_ptr<const StagedPush>> decoded;
  for (const v1::Encoding encoding : {v1::ENCODING_BFLOAT16, v1::ENCODING_FLOAT16}) {
    const Worker worker = MakeWorker(static_cast<unsigned>(encoding), 7, 0);
    auto bytes = std::make_shared<std::vector<std::byte>>(
        static_cast<size_t>(kElements * DenseElementBytes(encoding)));
    EncodeDense(encoding, worker.gradient.data(), kElements, bytes->data());
    std::vector<float> values(kElements);
    DecodeDense(encoding, bytes->data(), kElements, values.data());
    v1::ParameterChunk chunk;
    chunk.set_encoding(encoding);
    auto push = std::make_shared<StagedPush>(worker.push->header(), kElements);
    const Payload::Slice slice(bytes->data(), bytes->size());
    ASSERT_TRUE(push->Add(chunk, Payload({slice}, bytes)).ok());
    encoded.push_back(push);
    decoded.push_back(MakePush(worker.push->header(), values));
  }
  const Aggregate aggregate(encoded);
  const std::vector<float> expected = ReadAll(Aggregate(decoded), 0);
  EXPECT_EQ(ReadAll(aggregate, 0), expected);
  EXPECT_EQ(ReadAll(aggregate, kTileElements),
            std::vector<float>(expected.begin() + kTileElements, expected.end()));
}

TEST(AggregateTest, ExampleCountsNearTheLimitDoNotOverflow) {
  const Worker a = MakeWorker(1, int64_t{1} << 40, 1);
  const Worker b = MakeWorker(2, int64_t{1} << 40, 3);
  const Aggregate aggregate({a.push, b.push});
  EXPECT_EQ(aggregate.examples(), int64_t{1} << 41);
  EXPECT_DOUBLE_EQ(aggregate.loss(), 2);
}

}  // namespace
}  // namespace gradd
