#include "core/sync/aggregate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "core/codec/dense.h"
#include "core/optim/optimizer.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

constexpr int64_t kSummedElements = 2 * kTileElements + 321;

const std::vector<float> kHalves = {0.5F, 0.5F};

struct Worker {
  std::vector<float> gradient;
  std::shared_ptr<const StagedPush> push;
};

std::shared_ptr<const StagedPush> MakePush(const v1::PushHeader& header,
                                           const std::vector<float>& gradient) {
  auto push = std::make_shared<StagedPush>(header, VectorLayout(kSummedElements));
  auto bytes = std::make_shared<std::vector<float>>(gradient);
  const Payload::Slice slice(reinterpret_cast<const std::byte*>(bytes->data()),
                             bytes->size() * sizeof(float));
  EXPECT_TRUE(push->Add(v1::ParameterChunk(), Payload({slice}, bytes)).ok());
  return push;
}

Worker MakeWorker(unsigned seed, int64_t examples, double loss) {
  std::mt19937 random(seed);
  Worker worker;
  for (int64_t i = 0; i < kSummedElements; ++i) {
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
  for (int64_t at = begin; at < kSummedElements; at += kTileElements) {
    const int64_t size = std::min(kTileElements, kSummedElements - at);
    const float* const tile = reader.Next(size);
    result.insert(result.end(), tile, tile + size);
  }
  return result;
}

TEST(AggregateTest, IsTheSumOfPushesTimesTheirCoefficients) {
  const Worker a = MakeWorker(1, 30, 2.0);
  const Worker b = MakeWorker(2, 10, 4.0);
  const Worker c = MakeWorker(3, 60, 1.0);
  const Aggregate aggregate({a.push, b.push, c.push}, {0.3F, 0.1F, 0.6F});
  const std::vector<float> mean = ReadAll(aggregate, 0);
  for (size_t i = 0; i < mean.size(); ++i) {
    EXPECT_NEAR(mean[i], 0.3 * a.gradient[i] + 0.1 * b.gradient[i] + 0.6 * c.gradient[i], 2e-7);
  }
}

TEST(AggregateTest, OnePushIsTakenBitForBitUnlessItHasACoefficient) {
  const Worker a = MakeWorker(1, 7, 2.0);
  EXPECT_EQ(ReadAll(Aggregate({a.push}, {1}), 0), a.gradient);
  std::vector<float> quarter = a.gradient;
  for (float& value : quarter) value *= 0.25F;
  EXPECT_EQ(ReadAll(Aggregate({a.push}, {0.25F}), 0), quarter);
}

TEST(AggregateTest, ReadingFromTheMiddleGivesTheSameBits) {
  const Worker a = MakeWorker(1, 30, 0);
  const Worker b = MakeWorker(2, 11, 0);
  const Aggregate aggregate({a.push, b.push}, kHalves);
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
        static_cast<size_t>(kSummedElements * DenseElementBytes(encoding)));
    EncodeDense(encoding, worker.gradient.data(), kSummedElements, bytes->data());
    std::vector<float> values(kSummedElements);
    DecodeDense(encoding, bytes->data(), kSummedElements, values.data());
    v1::ParameterChunk chunk;
    chunk.set_encoding(encoding);
    auto push = std::make_shared<StagedPush>(worker.push->header(), VectorLayout(kSummedElements));
    const Payload::Slice slice(bytes->data(), bytes->size());
    ASSERT_TRUE(push->Add(chunk, Payload({slice}, bytes)).ok());
    encoded.push_back(push);
    decoded.push_back(MakePush(worker.push->header(), values));
  }
  const std::vector<float>& shares = kHalves;
  const Aggregate aggregate(encoded, shares);
  const std::vector<float> expected = ReadAll(Aggregate(decoded, shares), 0);
  EXPECT_EQ(ReadAll(aggregate, 0), expected);
  EXPECT_EQ(ReadAll(aggregate, kTileElements),
            std::vector<float>(expected.begin() + kTileElements, expected.end()));
}

// A push of some rows of the first tensor of `layout` and of the whole second one.
std::shared_ptr<const StagedPush> MakeRowsPush(const Layout& layout, std::mt19937* random,
                                               std::vector<float>* dense,
                                               std::vector<bool>* there) {
  const Layout::Place tensor = layout.TensorAt(0);
  const auto row_elements = static_cast<size_t>(tensor.row_elements);
  v1::PushHeader header;
  header.set_examples(1 + (*random)() % 9);
  auto push = std::make_shared<StagedPush>(header, layout);
  dense->assign(static_cast<size_t>(layout.element_count()), 0);
  there->assign(dense->size(), true);
  std::vector<uint32_t> rows;
  std::vector<float> values;
  const auto next = [random] { return static_cast<float>((*random)() % 2001) / 1000 - 1; };
  const unsigned gap = 1U << ((*random)() % 6);
  for (size_t row = 0; row < static_cast<size_t>(tensor.end) / row_elements; ++row) {
    const bool sent = (*random)() % gap == 0;
    if (sent) rows.push_back(static_cast<uint32_t>(row));
    for (size_t i = row * row_elements; i < (row + 1) * row_elements; ++i) {
      (*there)[i] = sent;
      if (sent) values.push_back((*dense)[i] = next());
    }
  }
  auto words = std::make_shared<std::vector<uint32_t>>(rows);
  words->resize(rows.size() + values.size());
  if (!values.empty()) std::memcpy(&(*words)[rows.size()], values.data(), values.size() * 4);
  v1::ParameterChunk chunk;
  chunk.set_encoding(v1::ENCODING_ROWS);
  chunk.set_element_count(tensor.end);
  const auto add = [&](const void* data, size_t size, std::shared_ptr<const void> owner) {
    const Payload::Slice slice(static_cast<const std::byte*>(data), size);
    const absl::Status added = push->Add(chunk, Payload({slice}, std::move(owner)));
    EXPECT_TRUE(added.ok()) << added;
  };
  add(words->data(), words->size() * 4, words);
  auto rest = std::make_shared<std::vector<float>>();
  for (auto i = static_cast<size_t>(tensor.end); i < dense->size(); ++i) {
    rest->push_back((*dense)[i] = next());
  }
  chunk.Clear();
  chunk.set_offset(tensor.end);
  add(rest->data(), rest->size() * 4, rest);
  EXPECT_TRUE(push->CheckComplete().ok());
  return push;
}

TEST(AggregateTest, SpansAreTheRowsThatSomePushHas) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    v1::Layout message;
    v1::Tensor& a = *message.add_tensors();
    a.set_name("a");
    a.add_shape(1 + random() % 80);
    a.add_shape(seed % 3 == 0 ? 3000 : 2 + random() % 200);
    v1::Tensor& b = *message.add_tensors();
    b.set_name("b");
    b.add_shape(1 + random() % 5000);
    const Layout layout = *Layout::Create(message, int64_t{1} << 30);

    std::vector<std::shared_ptr<const StagedPush>> pushes;
    std::vector<bool> expected(static_cast<size_t>(layout.element_count()));
    for (unsigned i = 0; i <= seed % 3; ++i) {
      std::vector<float> dense;
      std::vector<bool> there;
      pushes.push_back(MakeRowsPush(layout, &random, &dense, &there));
      for (size_t k = 0; k < there.size(); ++k) expected[k] = expected[k] || there[k];
    }
    const std::vector<float> shares(pushes.size(), 1 / static_cast<float>(pushes.size()));
    const Aggregate aggregate(pushes, shares, [](int64_t element) { return element == 0; });
    EXPECT_TRUE(aggregate.has_lazy_rows());
    const int64_t begin = random() % 2 == 0 ? 0 : random() % layout.element_count();
    const int64_t end = begin + (layout.element_count() - begin) / (1 + random() % 2);
    std::vector<float> all;
    const Aggregate whole(pushes, shares);
    EXPECT_FALSE(whole.has_lazy_rows());
    Aggregate::Reader dense(whole, 0);
    for (int64_t at = 0; at < layout.element_count(); at += kTileElements) {
      const int64_t size = std::min(kTileElements, layout.element_count() - at);
      const UnalignedFloat* const values = dense.Next(size);
      all.insert(all.end(), values, values + size);
    }
    std::vector<bool> found(expected.size());
    Aggregate::SpanReader spans(aggregate, begin);
    int64_t last_end = begin;
    for (int64_t at = spans.Seek(end); at < end; at = spans.Seek(end)) {
      ASSERT_GE(at, last_end);
      const int64_t limit = std::min<int64_t>(end, at + 1 + random() % 3000);
      const SpanReader::Span span = spans.Next(limit);
      ASSERT_GE(span.size, 1);
      last_end = at + span.size;
      ASSERT_LE(last_end, limit);
      for (int64_t i = 0; i < span.size; ++i) {
        const auto element = static_cast<size_t>(at + i);
        found[element] = true;
        ASSERT_EQ(static_cast<float>(span.values[i]), all[element]) << element;
      }
    }
    for (int64_t i = 0; i < layout.element_count(); ++i) {
      const auto element = static_cast<size_t>(i);
      ASSERT_EQ(found[element], i >= begin && i < end && expected[element]) << element;
    }
  }
}

}  // namespace
}  // namespace gradd
