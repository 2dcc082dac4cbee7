#include "worker/models/landscape.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/support/landscapes.h"
#include "worker/models/landscape_model.h"

namespace gradd {
namespace {

class LandscapeTest : public testing::TestWithParam<LandscapeInfo> {};

TEST_P(LandscapeTest, TheGradientIsTheSlopeOfTheValue) {
  std::mt19937 random(1);
  std::uniform_real_distribution<double> uniform(-2.5, 2.5);
  constexpr double kStep = 1e-5;
  for (int i = 0; i < 200; ++i) {
    const Point point = {uniform(random), uniform(random)};
    const Slope slope = SlopeAt(GetParam().landscape, point);
    for (size_t axis = 0; axis < 2; ++axis) {
      Point up = point;
      Point down = point;
      up[axis] += kStep;
      down[axis] -= kStep;
      const double expected =
          (SlopeAt(GetParam().landscape, up).value - SlopeAt(GetParam().landscape, down).value) /
          (2 * kStep);
      ASSERT_NEAR(slope.gradient[axis], expected, 1e-6 * (1 + std::abs(expected)) + 1e-5)
          << point[0] << " " << point[1] << " axis " << axis;
    }
  }
}

TEST_P(LandscapeTest, APathBeginsWhereItCanGo) {
  const LandscapeInfo& info = InfoOf(GetParam().landscape);
  EXPECT_EQ(info.name, GetParam().name);
  const Slope slope = SlopeAt(info.landscape, info.start);
  EXPECT_GT(std::hypot(slope.gradient[0], slope.gradient[1]), 0.05);
}

INSTANTIATE_TEST_SUITE_P(All, LandscapeTest, testing::ValuesIn(Landscapes()), LandscapeName);

TEST(LandscapesTest, HaveTheirMinimaAndSaddlesWhereTheBooksSay) {
  const auto expect = [](Landscape landscape, const Point& point, double value) {
    const Slope slope = SlopeAt(landscape, point);
    const std::string& name = InfoOf(landscape).name;
    EXPECT_NEAR(slope.value, value, 1e-9) << name;
    EXPECT_NEAR(slope.gradient[0], 0, 1e-4) << name;
    EXPECT_NEAR(slope.gradient[1], 0, 1e-4) << name;
  };
  expect(Landscape::kBowl, {0, 0}, 0);
  expect(Landscape::kValley, {0, 0}, 0);
  expect(Landscape::kRosenbrock, {1, 1}, 0);
  expect(Landscape::kBeale, {3, 0.5}, 0);
  expect(Landscape::kHimmelblau, {3, 2}, 0);
  expect(Landscape::kHimmelblau, {-2.805118, 3.131312}, 0);
  expect(Landscape::kHimmelblau, {-3.779310, -3.283186}, 0);
  expect(Landscape::kHimmelblau, {3.584428, -1.848126}, 0);
  expect(Landscape::kSaddle, {0, 0}, 0);
  expect(Landscape::kSaddle, {0, 1}, -0.25);
  expect(Landscape::kSaddle, {0, -1}, -0.25);
  expect(Landscape::kMonkeySaddle, {0, 0}, 0);
  expect(Landscape::kPlateau, {0, 0}, 0);
  expect(Landscape::kRastrigin, {0, 0}, 0);
}

TEST(LandscapesTest, AreAllThereOnce) {
  std::set<std::string> names;
  for (const LandscapeInfo& info : Landscapes()) names.insert(info.name);
  EXPECT_EQ(names.size(), 9U);
}

TEST(LandscapeModelTest, StartsAtItsPointAndAddsTheNoiseOfItsExamples) {
  LandscapeModel model(Landscape::kValley, {-2, 0.5});
  ASSERT_EQ(model.layout().tensors_size(), 2);
  EXPECT_EQ(model.layout().tensors(0).initializer().constant(), -2);
  EXPECT_EQ(model.layout().tensors(1).initializer().constant(), 0.5);
  EXPECT_EQ(model.parameter_count(), 2);

  const std::vector<float> point = {2, 0.25F};
  const std::vector<float> noise = {1, 2, 3, -6};
  BatchView<float> batch;
  batch.examples = 2;
  batch.features = noise;
  std::vector<float> gradient(2);
  const double loss = model.LossAndGradient(point, batch, absl::MakeSpan(gradient));
  EXPECT_EQ(gradient, std::vector<float>({2 + 2, 25 - 2}));
  const double value = (4 + 100 * 0.0625) / 2;
  EXPECT_DOUBLE_EQ(loss, value + 2 * 2 - 2 * 0.25);
  const EvaluationSums sums = model.Evaluate(point, batch);
  EXPECT_EQ(sums.examples, 2);
  EXPECT_DOUBLE_EQ(sums.loss, 2 * value + 4 * 2 - 4 * 0.25);
}

}  // namespace
}  // namespace gradd
