#include "worker/data/batch_sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace gradd {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::Not;

constexpr uint64_t kSeed = 7;

BatchSampler Make(int64_t examples, int64_t workers, int64_t rank, int64_t batch,
                  uint64_t seed = kSeed) {
  return BatchSampler::Create({examples, workers, rank, batch, seed}).value();
}

std::vector<uint32_t> BatchOf(BatchSampler sampler, int64_t sequence) {
  const absl::Span<const uint32_t> batch = sampler.Batch(sequence);
  return {batch.begin(), batch.end()};
}

TEST(BatchSamplerTest, ASequenceIsAlwaysTheSameMiniBatch) {
  BatchSampler in_order = Make(103, 2, 1, 5);
  std::vector<std::vector<uint32_t>> batches;
  for (int64_t sequence = 1; sequence <= 50; ++sequence) {
    const absl::Span<const uint32_t> batch = in_order.Batch(sequence);
    batches.emplace_back(batch.begin(), batch.end());
  }
  BatchSampler backwards = Make(103, 2, 1, 5);
  for (int64_t sequence = 50; sequence >= 1; --sequence) {
    const std::vector<uint32_t>& expected = batches[static_cast<size_t>(sequence) - 1];
    EXPECT_THAT(backwards.Batch(sequence), ElementsAreArray(expected)) << sequence;
    EXPECT_EQ(BatchOf(Make(103, 2, 1, 5), sequence), expected) << sequence;
  }
}

// Changing these numbers breaks every run that is to go on after an upgrade.
TEST(BatchSamplerTest, MiniBatchesAreTheSameOnEveryMachineAndInEveryVersion) {
  EXPECT_THAT(BatchOf(Make(10, 1, 0, 10), 1), ElementsAre(0, 1, 2, 4, 9, 5, 8, 6, 3, 7));
  EXPECT_THAT(BatchOf(Make(10, 1, 0, 10), 2), ElementsAre(0, 1, 7, 6, 9, 5, 2, 4, 8, 3));
  EXPECT_THAT(BatchOf(Make(60000, 2, 1, 4), 123'456), ElementsAre(929, 39665, 51199, 36594));
}

TEST(BatchSamplerTest, TwoWorkersSeeWhatOneWithTwiceTheBatchSees) {
  BatchSampler one = Make(1000, 1, 0, 32);
  BatchSampler first = Make(1000, 2, 0, 16);
  BatchSampler second = Make(1000, 2, 1, 16);
  for (int64_t sequence = 1; sequence <= 3 * one.steps_per_epoch(); ++sequence) {
    std::vector<uint32_t> both = BatchOf(first, sequence);
    const std::vector<uint32_t> rest = BatchOf(second, sequence);
    both.insert(both.end(), rest.begin(), rest.end());
    EXPECT_THAT(one.Batch(sequence), ElementsAreArray(both)) << sequence;
  }
}

TEST(BatchSamplerTest, AnEpochUsesNoExampleTwiceAndAllThatMakeWholeSteps) {
  constexpr int64_t kExamples = 107;
  constexpr int64_t kWorkers = 3;
  constexpr int64_t kBatch = 5;
  const int64_t steps = Make(kExamples, kWorkers, 0, kBatch).steps_per_epoch();
  EXPECT_EQ(steps, 7);
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    std::vector<uint32_t> seen;
    for (int64_t rank = 0; rank < kWorkers; ++rank) {
      for (int64_t step = 1; step <= steps; ++step) {
        const std::vector<uint32_t> batch =
            BatchOf(Make(kExamples, kWorkers, rank, kBatch), epoch * steps + step);
        EXPECT_EQ(batch.size(), kBatch);
        seen.insert(seen.end(), batch.begin(), batch.end());
      }
    }
    std::sort(seen.begin(), seen.end());
    EXPECT_EQ(std::unique(seen.begin(), seen.end()), seen.end());
    EXPECT_EQ(seen.size(), 105);
    EXPECT_LT(seen.back(), kExamples);
  }
}

TEST(BatchSamplerTest, EpochsAndSeedsShuffleDifferently) {
  const std::vector<uint32_t> batch = BatchOf(Make(100, 1, 0, 100), 1);
  EXPECT_THAT(BatchOf(Make(100, 1, 0, 100), 2), Not(ElementsAreArray(batch)));
  EXPECT_THAT(BatchOf(Make(100, 1, 0, 100, kSeed + 1), 1), Not(ElementsAreArray(batch)));
  // Neighbouring seeds must not give each other's epochs.
  EXPECT_THAT(BatchOf(Make(100, 1, 0, 100, kSeed + 1), 1),
              Not(ElementsAreArray(BatchOf(Make(100, 1, 0, 100, kSeed), 2))));
}

TEST(BatchSamplerTest, EveryPositionIsEquallyLikelyForEveryExample) {
  constexpr uint32_t kExamples = 8;
  constexpr int kEpochs = 8000;
  std::vector<std::vector<int>> counts(kExamples, std::vector<int>(kExamples));
  BatchSampler sampler = Make(kExamples, 1, 0, kExamples);
  for (int64_t epoch = 1; epoch <= kEpochs; ++epoch) {
    const absl::Span<const uint32_t> batch = sampler.Batch(epoch);
    for (size_t i = 0; i < kExamples; ++i) ++counts[i][batch[i]];
  }
  // 1000 expected in each cell with a deviation of 30.
  for (const std::vector<int>& row : counts) {
    for (const int count : row) EXPECT_NEAR(count, 1000, 150) << "seed " << kSeed;
  }
}

TEST(BatchSamplerTest, TheFullBatchIsAContiguousShareInNaturalOrder) {
  EXPECT_THAT(BatchOf(Make(10, 3, 0, 0), 1), ElementsAre(0, 1, 2));
  EXPECT_THAT(BatchOf(Make(10, 3, 1, 0), 1), ElementsAre(3, 4, 5));
  EXPECT_THAT(BatchOf(Make(10, 3, 2, 0), 1), ElementsAre(6, 7, 8, 9));
  EXPECT_THAT(BatchOf(Make(10, 3, 2, 0), 77), ElementsAre(6, 7, 8, 9));
  EXPECT_EQ(Make(10, 3, 2, 0).batch_examples(), 4);
}

TEST(BatchSamplerTest, StochasticBatchesHaveOneExample) {
  BatchSampler sampler = Make(5, 2, 1, 1);
  EXPECT_EQ(sampler.batch_examples(), 1);
  EXPECT_EQ(sampler.steps_per_epoch(), 2);
  EXPECT_EQ(sampler.Batch(9).size(), 1);
}

TEST(BatchSamplerTest, WhatDoesNotFitIsRefused) {
  const auto error = [](int64_t examples, int64_t workers, int64_t rank, int64_t batch) {
    return std::string(
        BatchSampler::Create({examples, workers, rank, batch, kSeed}).status().message());
  };
  EXPECT_EQ(error(101, 2, 0, 51),
            "batch: 51, at most 50 expected, a worker's share of 101 training examples among 2 "
            "workers");
  EXPECT_THAT(error(101, 2, 0, -1), HasSubstr("batch: -1"));
  EXPECT_THAT(error(101, 2, 2, 5), HasSubstr("rank: 2, between 0 and workers - 1 = 1 expected"));
  EXPECT_THAT(error(101, 2, -1, 5), HasSubstr("rank: -1"));
  EXPECT_THAT(error(101, 0, 0, 5), HasSubstr("workers: 0"));
  EXPECT_THAT(error(3, 4, 0, 0), HasSubstr("workers: 4, between 1 and the 3 training examples"));
  EXPECT_THAT(error(0, 1, 0, 0), HasSubstr("the training set has 0 examples"));
  EXPECT_THAT(error(int64_t{1} << 40, 1, 0, 0), HasSubstr("the training set has 1099511627776"));
}

}  // namespace
}  // namespace gradd
