#include "worker/data/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace gradd {
namespace {

using testing::ElementsAre;
using testing::FloatEq;
using testing::FloatNear;
using testing::Pointwise;

Dataset Table() { return Dataset::OfFloats(2, {1, 10, 3, 10, 5, 10}, {0, 1, 1}, 2); }

TEST(DatasetTest, GathersByIndexAndByRange) {
  const Dataset dataset = Table();
  Batch batch;
  dataset.Gather({2, 0, 2}, &batch);
  EXPECT_EQ(batch.examples, 3);
  EXPECT_THAT(batch.features, ElementsAre(5, 10, 1, 10, 5, 10));
  EXPECT_THAT(batch.labels, ElementsAre(1, 0, 1));
  EXPECT_TRUE(batch.targets.empty());
  dataset.GatherRange(1, 2, &batch);
  EXPECT_EQ(batch.examples, 2);
  EXPECT_THAT(batch.features, ElementsAre(3, 10, 5, 10));
  EXPECT_THAT(batch.labels, ElementsAre(1, 1));
}

TEST(DatasetTest, ABatchKeepsItsMemory) {
  const Dataset dataset = Table();
  Batch batch;
  dataset.Gather({2, 0, 2}, &batch);
  const float* memory = batch.features.data();
  dataset.Gather({1}, &batch);
  dataset.Gather({0, 1, 2}, &batch);
  EXPECT_EQ(batch.features.data(), memory);
}

TEST(DatasetTest, StandardizationPerFeatureLeavesConstantsAtZero) {
  Dataset dataset = Table();
  dataset.set_scaling(dataset.ScalingFor(Standardization::kFeature));
  Batch batch;
  dataset.GatherRange(0, 3, &batch);
  const float one = std::sqrt(1.5F);  // Deviation of 1, 3, 5 is sqrt(8 / 3).
  EXPECT_THAT(batch.features, Pointwise(FloatNear(1e-6F), {-one, 0.0F, 0.0F, 0.0F, one, 0.0F}));
}

TEST(DatasetTest, GlobalStandardizationTakesAllNumbersTogether) {
  Dataset dataset = Dataset::OfFloats(2, {0, 2, 4, 6}, std::vector<float>{1, 2});
  dataset.set_scaling(dataset.ScalingFor(Standardization::kGlobal));
  Batch batch;
  dataset.GatherRange(0, 2, &batch);
  const float unit = 1 / std::sqrt(5.0F);
  EXPECT_THAT(batch.features, Pointwise(FloatNear(1e-6F), {-3 * unit, -unit, unit, 3 * unit}));
  EXPECT_THAT(batch.targets, ElementsAre(1, 2));
}

TEST(DatasetTest, BytesBecomeUnitIntervalOrStandard) {
  Dataset dataset = Dataset::OfBytes(2, {0, 255, 255, 0}, {0, 1}, 2);
  dataset.set_scaling(dataset.ScalingFor(Standardization::kNone));
  Batch batch;
  dataset.GatherRange(0, 2, &batch);
  EXPECT_THAT(batch.features, Pointwise(FloatEq(), {0.0F, 1.0F, 1.0F, 0.0F}));
  dataset.set_scaling(dataset.ScalingFor(Standardization::kGlobal));
  dataset.GatherRange(0, 2, &batch);
  EXPECT_THAT(batch.features, Pointwise(FloatEq(), {-1.0F, 1.0F, 1.0F, -1.0F}));
}

}  // namespace
}  // namespace gradd
