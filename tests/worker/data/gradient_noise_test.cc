#include "worker/data/gradient_noise.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

namespace gradd {
namespace {

TEST(GradientNoiseTest, HasItsDeviationAndMeanZero) {
  const TrainAndTest data = *MakeGradientNoise(0.5F, 7);
  ASSERT_EQ(data.train.examples(), 10'000);
  ASSERT_EQ(data.train.features(), 2);
  Batch batch;
  data.train.GatherRange(0, 10'000, &batch);
  for (size_t axis = 0; axis < 2; ++axis) {
    double sum = 0;
    double squares = 0;
    for (size_t i = axis; i < batch.features.size(); i += 2) {
      const auto value = static_cast<double>(batch.features[i]);
      sum += value;
      squares += value * value;
    }
    EXPECT_NEAR(sum / 10'000, 0, 0.02);
    EXPECT_NEAR(std::sqrt(squares / 10'000), 0.5, 0.02);
  }
  data.test.GatherRange(0, 1, &batch);
  EXPECT_THAT(batch.features, testing::ElementsAre(0, 0));
}

TEST(GradientNoiseTest, DeviationsThatAreNoneAreRefused) {
  for (const float deviation : {-1.0F, std::nanf(""), std::numeric_limits<float>::infinity()}) {
    EXPECT_THAT(std::string(MakeGradientNoise(deviation, 0).status().message()),
                testing::HasSubstr("a finite number of at least 0 expected"));
  }
}

}  // namespace
}  // namespace gradd
