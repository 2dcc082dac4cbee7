#include "core/step/delay_compensation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "core/base/thread_pool.h"
#include "core/codec/dense.h"
#include "core/codec/rows.h"
#include "core/step/base_snapshots.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

constexpr float kStrength = 0.75F;

// Any bytes, as they come off the wire.
Payload PayloadOf(std::vector<std::byte> bytes) {
  auto kept = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
  return Payload({{kept->data(), kept->size()}}, kept);
}

std::vector<float> RandomValues(size_t size, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<float> values(size);
  for (float& value : values) value = std::uniform_real_distribution<float>(-2, 2)(random);
  return values;
}

// Of one vector, in blocks.
class DelayCompensationTest : public testing::Test {
 protected:
  std::shared_ptr<const Snapshot> SnapshotOf(const std::vector<float>& values, int64_t step) {
    auto snapshot = std::make_shared<Snapshot>();
    snapshot->step = step;
    snapshot->element_count = static_cast<int64_t>(values.size());
    snapshot->block_elements = kBlock;
    for (size_t begin = 0; begin < values.size(); begin += kBlock) {
      const size_t size = std::min<size_t>(kBlock, values.size() - begin);
      snapshot->parameters.push_back(blocks_->Allocate(static_cast<int64_t>(size)));
      std::copy_n(values.begin() + static_cast<ptrdiff_t>(begin), size,
                  snapshot->parameters.back().data());
    }
    return snapshot;
  }
  // What the corrected elements must be, from those of the push as they are decoded.
  static std::vector<float> Expected(const StagedPush& push, const std::vector<float>& base,
                                     const std::vector<float>& now) {
    std::vector<float> values = Decoded(push);
    for (size_t i = 0; i < values.size(); ++i) {
      const float g = values[i];
      const float change = now[i] - base[i];
      const float scaled = kStrength * change;
      const float once = g * scaled;
      const float more = once * g;
      values[i] = g + more;
    }
    return values;
  }
  static std::vector<float> Decoded(const StagedPush& push) {
    std::vector<float> values(static_cast<size_t>(push.elements()));
    StagedPush::Reader reader(push, 0);
    std::vector<float> scratch(1);
    for (float& value : values) value = *reader.Next(1, scratch.data());
    return values;
  }

  static constexpr int64_t kBlock = 1024;
  const std::shared_ptr<BlockPool> blocks_ = BlockPool::Create();
  const std::shared_ptr<MemoryBudget> budget_ = MemoryBudget::Create({});
  ThreadPool pool_{2};
};

struct EncodedChunk {
  v1::ParameterChunk chunk;
  std::vector<std::byte> data;
};

// `values` from `begin` on as one chunk.
EncodedChunk Encode(v1::Encoding encoding, const std::vector<float>& values, int64_t begin) {
  EncodedChunk encoded;
  encoded.chunk.set_offset(begin);
  encoded.chunk.set_encoding(encoding);
  const auto size = static_cast<int64_t>(values.size());
  if (encoding == v1::ENCODING_SPARSE) {
    encoded.chunk.set_element_count(size);
    std::vector<uint32_t> words;
    for (uint32_t i = 0; i < values.size(); i += 7) words.push_back(i);
    const size_t count = words.size();
    words.resize(2 * count);
    for (size_t i = 0; i < count; ++i) std::memcpy(&words[count + i], &values[words[i]], 4);
    encoded.data.resize(words.size() * 4);
    std::memcpy(encoded.data.data(), words.data(), encoded.data.size());
    return encoded;
  }
  encoded.data.resize(static_cast<size_t>(size * DenseElementBytes(encoding)));
  EncodeDense(encoding, values.data(), size, encoded.data.data());
  return encoded;
}

TEST_F(DelayCompensationTest, IsTheFormulaElementByElementInEachEncoding) {
  constexpr int64_t kElements = 5000;
  const std::vector<float> gradient = RandomValues(kElements, 1);
  const std::vector<float> base = RandomValues(kElements, 2);
  const std::vector<float> now = RandomValues(kElements, 3);
  for (const v1::Encoding encoding :
       {v1::ENCODING_FLOAT32, v1::ENCODING_BFLOAT16, v1::ENCODING_FLOAT16, v1::ENCODING_SPARSE}) {
    SCOPED_TRACE(v1::Encoding_Name(encoding));
    v1::PushHeader header;
    header.set_sequence(9);
    StagedPush push(header, VectorLayout(kElements));
    // In two chunks that end anywhere.
    for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 1777}, {1777, kElements}}) {
      EncodedChunk encoded =
          Encode(encoding, {gradient.begin() + begin, gradient.begin() + end}, begin);
      const absl::Status added = push.Add(encoded.chunk, PayloadOf(std::move(encoded.data)));
      ASSERT_TRUE(added.ok()) << added;
    }
    const auto corrected =
        CompensateDelay(push, kStrength, *SnapshotOf(base, 1), *SnapshotOf(now, 4), blocks_.get(),
                        budget_.get(), &pool_);
    ASSERT_NE(corrected, nullptr);
    EXPECT_EQ(corrected->header().sequence(), 9);
    EXPECT_TRUE(corrected->CheckComplete().ok());
    const std::vector<float> values = Decoded(*corrected);
    EXPECT_EQ(values, Expected(push, base, now));
    EXPECT_EQ(corrected->largest(),
              LargestMagnitude(values.data(), static_cast<int64_t>(values.size())));
  }
}

TEST_F(DelayCompensationTest, RowsThatAreNotThereStayMissing) {
  constexpr int64_t kRows = 100;
  constexpr int64_t kWidth = 30;
  const Layout layout = MatrixLayout(kRows, kWidth);
  const std::vector<float> gradient = RandomValues(kRows * kWidth, 1);
  const std::vector<float> base = RandomValues(kRows * kWidth, 2);
  const std::vector<float> now = RandomValues(kRows * kWidth, 3);
  for (const std::vector<uint32_t>& rows :
       {std::vector<uint32_t>{3, 34, 35, 99}, std::vector<uint32_t>{}}) {
    StagedPush push({}, layout);
    v1::ParameterChunk chunk;
    chunk.set_encoding(v1::ENCODING_ROWS);
    chunk.set_element_count(kRows * kWidth);
    std::vector<std::byte> data(rows.size() * static_cast<size_t>(RowBytes(kWidth)));
    EncodeRows(rows, gradient.data(), kWidth, 0, data.data());
    ASSERT_TRUE(push.Add(chunk, PayloadOf(std::move(data))).ok());
    const auto corrected =
        CompensateDelay(push, kStrength, *SnapshotOf(base, 1), *SnapshotOf(now, 4), blocks_.get(),
                        budget_.get(), &pool_);
    ASSERT_NE(corrected, nullptr);
    EXPECT_EQ(Decoded(*corrected), Expected(push, base, now));
    const auto lazy = [](int64_t) { return true; };
    EXPECT_TRUE(corrected->HasLazyRows(lazy));
    StagedPush::SpanReader spans(*corrected, lazy, 0);
    for (size_t i = 0; i < rows.size();) {
      EXPECT_EQ(spans.begin(), rows[i] * kWidth);
      while (i + 1 < rows.size() && rows[i + 1] == rows[i] + 1) ++i;
      EXPECT_EQ(spans.end(), (rows[i] + 1) * kWidth);
      spans.Seek(spans.end());
      ++i;
    }
    EXPECT_EQ(spans.begin(), StagedPush::SpanReader::kNone);
  }
}

TEST_F(DelayCompensationTest, AHugeElementStaysAsItIsWhereNothingHasChanged) {
  StagedPush push({}, VectorLayout(2));
  EncodedChunk encoded = Encode(v1::ENCODING_FLOAT32, {1e30F, -3e38F}, 0);
  ASSERT_TRUE(push.Add(encoded.chunk, PayloadOf(std::move(encoded.data))).ok());
  const auto corrected =
      CompensateDelay(push, kStrength, *SnapshotOf({5, 5}, 1), *SnapshotOf({5, 5}, 2),
                      blocks_.get(), budget_.get(), &pool_);
  EXPECT_EQ(Decoded(*corrected), std::vector<float>({1e30F, -3e38F}));
}

// Of opposite infinities, too, which are no number together.
TEST_F(DelayCompensationTest, WhatIsNotFiniteIsInfinitelyLarge) {
  for (const float change : {-1.0F, 1.0F}) {
    StagedPush push({}, VectorLayout(2));
    EncodedChunk encoded = Encode(v1::ENCODING_FLOAT32, {1, 1e30F}, 0);
    ASSERT_TRUE(push.Add(encoded.chunk, PayloadOf(std::move(encoded.data))).ok());
    const auto corrected =
        CompensateDelay(push, kStrength, *SnapshotOf({0, 0}, 1), *SnapshotOf({change, change}, 2),
                        blocks_.get(), budget_.get(), &pool_);
    EXPECT_EQ(corrected->largest(), std::numeric_limits<float>::infinity());
  }
}

// All that it takes is claimed, and given back with it.
TEST_F(DelayCompensationTest, ClaimsWhatItTakes) {
  StagedPush push({}, VectorLayout(64));
  EncodedChunk encoded = Encode(v1::ENCODING_FLOAT32, RandomValues(64, 1), 0);
  ASSERT_TRUE(push.Add(encoded.chunk, PayloadOf(std::move(encoded.data))).ok());
  const std::vector<float> zeros(64);
  const auto correct = [&](MemoryBudget* budget) {
    return CompensateDelay(push, kStrength, *SnapshotOf(zeros, 1), *SnapshotOf(zeros, 2),
                           blocks_.get(), budget, &pool_);
  };
  auto corrected = correct(budget_.get());
  EXPECT_EQ(budget_->taken_bytes(), 64 * 4);
  corrected.reset();
  EXPECT_EQ(budget_->taken_bytes(), 0);
  MemoryBudget::Limits limits;
  limits.total = 64 * 4 - 1;
  EXPECT_EQ(correct(MemoryBudget::Create(limits).get()), nullptr);
}

TEST_F(DelayCompensationTest, TheLastStepsAreKept) {
  BaseSnapshots bases;
  EXPECT_EQ(bases.oldest(7), 7);
  bases.Keep(2);
  for (int64_t step = 3; step < 6; ++step) bases.Add(SnapshotOf({1}, step));
  bases.Add(SnapshotOf({1}, 5));  // A step that could not be made begins once more.
  EXPECT_EQ(bases.oldest(7), 4);
  EXPECT_EQ(bases.Find(3), nullptr);
  EXPECT_EQ(bases.Find(4)->step, 4);
  EXPECT_EQ(bases.Find(5)->step, 5);
  EXPECT_EQ(bases.Find(6), nullptr);
  bases.Keep(1);
  EXPECT_EQ(bases.oldest(7), 5);
  bases.Keep(0);
  EXPECT_EQ(bases.oldest(7), 7);
  EXPECT_EQ(BaseSnapshots::BytesFor(0, 10), 0);
  EXPECT_EQ(BaseSnapshots::BytesFor(3, 10), 4 * 40);
}

}  // namespace
}  // namespace gradd
