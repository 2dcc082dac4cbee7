#include "core/data/data_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "core/base/error.h"

namespace gradd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

v1::DataSet DataSpec(int64_t examples, int64_t batch_size, int64_t epochs, uint64_t seed = 0) {
  v1::DataSet spec;
  spec.set_examples(examples);
  spec.set_batch_size(batch_size);
  spec.set_epochs(epochs);
  spec.set_seed(seed);
  return spec;
}

TEST(DataSetTest, TheLastBatchOfAnEpochHasWhatIsLeft) {
  const DataSet data(DataSpec(10, 4, 3));
  EXPECT_EQ(data.batches_per_epoch(), 3);
  EXPECT_EQ(data.batches(), 9);
  EXPECT_EQ(data.EpochOf(2), 0);
  EXPECT_EQ(data.EpochOf(3), 1);
  for (int64_t batch = 0; batch < 9; ++batch) {
    EXPECT_EQ(data.ExamplesIn(batch, 1), batch % 3 == 2 ? 2 : 4) << batch;
    EXPECT_EQ(data.ExamplesOf(batch).size(), batch % 3 == 2 ? 2U : 4U) << batch;
  }
  for (int64_t first = 0; first < 9; ++first) {
    int64_t sum = 0;
    for (int64_t count = 0; first + count <= 9; ++count) {
      EXPECT_EQ(data.ExamplesIn(first, count), sum) << first << " " << count;
      if (first + count < 9) sum += data.ExamplesIn(first + count, 1);
    }
  }
}

TEST(DataSetTest, BatchesThatFitHaveAllTheSameSize) {
  const DataSet data(DataSpec(12, 4, 2));
  EXPECT_EQ(data.batches_per_epoch(), 3);
  EXPECT_EQ(data.ExamplesIn(0, 6), 24);
  EXPECT_EQ(DataSet(DataSpec(5, 5, 2)).ExamplesIn(1, 1), 5);
  EXPECT_EQ(DataSet(DataSpec(1, 1, 4)).ExamplesIn(0, 4), 4);
}

TEST(DataSetTest, TheBatchesOfAnEpochHaveEveryExampleOnce) {
  const DataSet data(DataSpec(103, 10, 3, /*seed=*/9));
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    std::vector<int64_t> all;
    for (int64_t k = 0; k < 11; ++k) {
      const std::vector<int64_t> examples = data.ExamplesOf(epoch * 11 + k);
      all.insert(all.end(), examples.begin(), examples.end());
    }
    std::sort(all.begin(), all.end());
    std::vector<int64_t> expected(103);
    std::iota(expected.begin(), expected.end(), 0);
    EXPECT_EQ(all, expected);
  }
}

// The same as docs/data.md has.
TEST(DataSetTest, ABatchIsConsecutivePlacesOfItsEpoch) {
  EXPECT_THAT(DataSet(DataSpec(10, 4, 1)).ExamplesOf(1), ElementsAre(4, 2, 9, 6));
  EXPECT_THAT(DataSet(DataSpec(10, 4, 2, 3)).ExamplesOf(5), ElementsAre(5, 7));
}

TEST(DataSetTest, WhatIsOutOfRangeIsNamed) {
  const auto refusal = [](const v1::DataSet& spec) {
    const absl::Status status = ValidateDataSet(spec);
    EXPECT_EQ(ReasonOf(status), "DATA_INVALID");
    return std::string(status.message());
  };
  EXPECT_EQ(refusal(DataSpec(0, 1, 1)), "data.examples: not set, expected in [1, 2^40]");
  EXPECT_EQ(refusal(DataSpec(-1, 1, 1)), "data.examples: -1 is outside [1, 2^40]");
  EXPECT_THAT(refusal(DataSpec((int64_t{1} << 40) + 1, 1, 1)), HasSubstr("data.examples"));
  EXPECT_EQ(refusal(DataSpec(10, 0, 1)),
            "data.batch_size: not set, expected in [1, 10], the examples");
  EXPECT_EQ(refusal(DataSpec(10, 11, 1)), "data.batch_size: 11 is outside [1, 10], the examples");
  EXPECT_EQ(refusal(DataSpec(10, 4, 0)),
            "data.epochs: not set, expected in [1, 3002399751580330], at 3 batches each");
  EXPECT_EQ(refusal(DataSpec(10, 4, -2)),
            "data.epochs: -2 is outside [1, 3002399751580330], at 3 batches each");
  EXPECT_THAT(refusal(DataSpec(10, 4, 3002399751580331)), HasSubstr("data.epochs"));
  v1::DataSet spec = DataSpec(10, 4, 1);
  spec.set_most_skips(0);
  EXPECT_EQ(refusal(spec), "data.most_skips: 0 is outside [1, 1000]");
  spec.set_most_skips(1001);
  EXPECT_THAT(refusal(spec), HasSubstr("data.most_skips: 1001"));
}

TEST(DataSetTest, TheLargestOnesCountWithoutOverflow) {
  const int64_t most = int64_t{1} << 40;
  EXPECT_TRUE(ValidateDataSet(DataSpec(most, most, int64_t{1} << 53)).ok());
  EXPECT_TRUE(ValidateDataSet(DataSpec(most, 1, int64_t{1} << 13)).ok());
  const DataSet data(DataSpec(most, most - 1, int64_t{1} << 52));
  EXPECT_EQ(data.batches(), int64_t{1} << 53);
  EXPECT_EQ(data.ExamplesIn(data.batches() - 1, 1), 1);
  EXPECT_EQ(data.ExamplesIn(data.batches() - 2, 2), most);
}

}  // namespace
}  // namespace gradd
