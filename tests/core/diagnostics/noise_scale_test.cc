#include "core/diagnostics/noise_scale.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "tests/core/diagnostics/measured_gradients.h"

namespace gradd {
namespace {

TEST(NoiseScaleTest, IsThatOfOneStepAtFirst) {
  // G = 2; S = 9 + 1 - 2 * 4 = 2; N = 4 - 2 / 2 = 3.
  NoiseScale scale;
  EXPECT_FALSE(scale.value().has_value());
  scale.AddStep(Measured({{1, {3}}, {1, {1}}}));
  ASSERT_TRUE(scale.value().has_value());
  EXPECT_NEAR(*scale.value(), 2.0 / 3, 1e-12);
  // The same gradients from other numbers of examples: G = 1.5; S = 9 + 3 - 4 * 2.25 = 3;
  // N = 2.25 - 3 / 4 = 1.5.
  NoiseScale unequal;
  unequal.AddStep(Measured({{1, {3}}, {3, {1}}}));
  EXPECT_NEAR(*unequal.value(), 2, 1e-12);
}

TEST(NoiseScaleTest, BatchesOfDifferentSizesFindTheNoiseThatWasAdded) {
  constexpr size_t kElements = 2000;
  constexpr int kSteps = 600;
  constexpr double kScale = 383;  // tr(Sigma) / |G|^2, with |G| = 1.
  std::mt19937 random(1);
  std::normal_distribution<double> normal;
  const double deviation = std::sqrt(kScale / kElements);  // Of each element, for one example.
  NoiseScale scale;
  for (int step = 0; step < kSteps; ++step) {
    std::vector<Gradient> gradients;
    for (const int64_t examples : {32, 64, 64, 128}) {
      Gradient& gradient = gradients.emplace_back(Gradient{examples, {}});
      for (size_t i = 0; i < kElements; ++i) {
        gradient.values.push_back(1 / std::sqrt(kElements) +
                                  deviation / std::sqrt(examples) * normal(random));
      }
    }
    scale.AddStep(Measured(gradients));
  }
  ASSERT_TRUE(scale.value().has_value());
  EXPECT_NEAR(*scale.value(), kScale, 0.03 * kScale);
}

TEST(NoiseScaleTest, PushesThatAreTheSameHaveNone) {
  NoiseScale scale;
  scale.AddStep(Measured({{1, {3, 1}}, {7, {3, 1}}, {2, {3, 1}}}));
  ASSERT_TRUE(scale.value().has_value());
  EXPECT_NEAR(*scale.value(), 0, 1e-12);
  EXPECT_GE(*scale.value(), 0);
}

TEST(NoiseScaleTest, IsUnknownOfOnePushAndOfAGradientLostInNoise) {
  NoiseScale scale;
  scale.AddStep(Measured({{8, {1, 2}}}));
  EXPECT_FALSE(scale.value().has_value());
  scale.AddStep(Measured({{1, {3}}, {1, {1}}}));
  EXPECT_TRUE(scale.value().has_value());
  scale.AddStep(Measured({{8, {1}}}));  // One worker is left.
  EXPECT_FALSE(scale.value().has_value());
  scale.AddStep({});  // Nobody has measured.
  EXPECT_FALSE(scale.value().has_value());

  NoiseScale lost;
  lost.AddStep(Measured({{1, {1}}, {1, {-1}}}));
  EXPECT_FALSE(lost.value().has_value());
}

TEST(NoiseScaleTest, ReadBackItGoesOnAsItWould) {
  std::mt19937 random(1);
  NoiseScale live;
  for (int step = 0; step < 50; ++step) {
    NoiseScale read;
    state::v1::NoiseScaleState state;
    live.Write(&state);
    ASSERT_TRUE(read.Read(state).ok());
    EXPECT_FALSE(read.value().has_value()) << "before a step";
    const double a = 3 + static_cast<double>(random() % 10);
    for (NoiseScale* const each : {&live, &read}) each->AddStep(Measured({{1, {a}}, {2, {1}}}));
    ASSERT_EQ(read.value(), live.value());
    live = read;
  }
  state::v1::NoiseScaleState state;
  live.Write(&state);
  state.mutable_squared_norm()->set_bias(2);
  const absl::Status status = live.Read(state);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("mean.bias: 2"));
}

}  // namespace
}  // namespace gradd
