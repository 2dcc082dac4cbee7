#include "worker/data/synthetic.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "worker/data/random.h"

namespace gradd {
namespace {

using testing::Each;
using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::Not;

Batch All(const Dataset& dataset) {
  Batch batch;
  dataset.GatherRange(0, dataset.examples(), &batch);
  return batch;
}

TEST(SyntheticTest, TheSeedDecidesEverything) {
  SyntheticOptions options;
  options.examples = 50;
  options.seed = 3;
  const TrainAndTest data = MakeSynthetic(options).value();
  const TrainAndTest same = MakeSynthetic(options).value();
  EXPECT_EQ(All(data.train).features, All(same.train).features);
  EXPECT_EQ(All(data.train).labels, All(same.train).labels);
  EXPECT_EQ(All(data.test).features, All(same.test).features);
  options.seed = 4;
  EXPECT_NE(All(MakeSynthetic(options)->train).features, All(data.train).features);
}

TEST(SyntheticTest, TrainingAndTestExamplesDiffer) {
  SyntheticOptions options;
  options.examples = options.test_examples = 10;
  const TrainAndTest data = MakeSynthetic(options).value();
  EXPECT_NE(All(data.train).features, All(data.test).features);
}

TEST(SyntheticTest, ClassesAreCloudsThatTrainingAndTestSetShare) {
  SyntheticOptions options;
  options.examples = 200;
  options.test_examples = 100;
  options.classes = 4;
  options.noise = 0;
  const TrainAndTest data = MakeSynthetic(options).value();
  EXPECT_EQ(data.train.classes(), 4);
  const Batch train = All(data.train);
  const Batch test = All(data.test);
  const auto row = [&](const Batch& batch, size_t i) {
    return absl::MakeSpan(batch.features).subspan(i * 20, 20);
  };
  // Without noise an example is its class's centre.
  for (size_t i = 0; i < 100; ++i) {
    for (size_t j = 0; j < 200; ++j) {
      if (test.labels[i] == train.labels[j]) {
        ASSERT_THAT(row(test, i), ElementsAreArray(row(train, j)));
      } else {
        ASSERT_THAT(row(test, i), Not(ElementsAreArray(row(train, j))));
      }
    }
  }
}

TEST(SyntheticTest, RegressionWithoutNoiseIsLinear) {
  SyntheticOptions options;
  options.examples = 3;
  options.test_examples = 0;
  options.features = 1;
  options.classes = 0;
  options.noise = 0;
  const Batch batch = All(MakeSynthetic(options)->train);
  const auto slope = [&](size_t i, size_t j) {
    return (batch.targets[i] - batch.targets[j]) / (batch.features[i] - batch.features[j]);
  };
  EXPECT_NEAR(slope(0, 1), slope(1, 2), 1e-4);
  EXPECT_TRUE(batch.labels.empty());
}

TEST(SyntheticTest, NearlyNormalHasTheMomentsOfANormalDistribution) {
  Random random(1, 1);
  constexpr int kCount = 200'000;
  double sum = 0;
  double squares = 0;
  double fourth = 0;
  for (int i = 0; i < kCount; ++i) {
    const double value = static_cast<double>(random.NearlyNormal());
    sum += value;
    squares += value * value;
    fourth += value * value * value * value;
  }
  EXPECT_NEAR(sum / kCount, 0, 0.01);
  EXPECT_NEAR(squares / kCount, 1, 0.015);
  EXPECT_NEAR(fourth / kCount, 2.9, 0.1);  // 3 for a true one.
}

TEST(SyntheticTest, AbsurdSizesAreRefused) {
  const auto error = [](auto change) {
    SyntheticOptions options;
    change(&options);
    return std::string(MakeSynthetic(options).status().message());
  };
  EXPECT_THAT(error([](auto* o) { o->examples = 0; }), HasSubstr("examples: 0"));
  EXPECT_THAT(error([](auto* o) { o->test_examples = -1; }), HasSubstr("test examples: -1"));
  EXPECT_THAT(error([](auto* o) { o->features = 0; }), HasSubstr("features: 0"));
  EXPECT_THAT(error([](auto* o) { o->classes = -1; }), HasSubstr("classes: -1"));
  EXPECT_THAT(error([](auto* o) { o->features = std::numeric_limits<int64_t>::max(); }),
              HasSubstr("features: 9223372036854775807"));
  EXPECT_THAT(error([](auto* o) { o->examples = o->features = 1 << 20; }),
              HasSubstr("at most 2147483648 numbers expected"));
  EXPECT_THAT(error([](auto* o) { o->noise = std::nanf(""); }), HasSubstr("noise: nan"));
}

}  // namespace
}  // namespace gradd
