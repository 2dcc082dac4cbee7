#include "core/diagnostics/agreement.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "tests/core/diagnostics/measured_gradients.h"

namespace gradd {
namespace {

std::vector<double> AgreementsOf(const std::vector<Gradient>& gradients) {
  const std::vector<MeasuredPush> pushes = Measured(gradients);
  const MeasuredMean mean(pushes);
  std::vector<double> cosines;
  cosines.reserve(pushes.size());
  for (const MeasuredPush& push : pushes) {
    cosines.push_back(AgreementOf(push, mean).value_or(std::nan("")));
  }
  return cosines;
}

TEST(AgreementTest, OneOfFourThatIsReversedIsNamed) {
  const std::vector<double> g = {1, -2, 3};
  const std::vector<Gradient> gradients = {{8, g}, {8, g}, {8, {-1, 2, -3}}, {8, g}};
  const std::vector<double> cosines = AgreementsOf(gradients);
  for (const size_t same : {0, 1, 3}) EXPECT_NEAR(cosines[same], 1, 1e-12);
  EXPECT_NEAR(cosines[2], -1, 1e-12);
  const auto lowest = LowestAgreementOf(Measured(gradients));
  ASSERT_TRUE(lowest.has_value());
  EXPECT_EQ(lowest->worker, "w2");
  EXPECT_NEAR(lowest->cosine, -1, 1e-12);
}

TEST(AgreementTest, IsTheCosineWithTheWeightedMeanOfTheOthers) {
  // The others' means: of w0, (10 (0, 2) + 30 (1, 0)) / 40 = (0.75, 0.5).
  const std::vector<double> cosines = AgreementsOf({{20, {1, 1}}, {10, {0, 2}}, {30, {1, 0}}});
  EXPECT_NEAR(cosines[0], (0.75 + 0.5) / std::sqrt(2 * 0.8125), 1e-12);
  EXPECT_NEAR(cosines[1], 0.4 / std::hypot(1, 0.4), 1e-12);
  EXPECT_NEAR(cosines[2], (20.0 / 30) / std::hypot(20.0 / 30, 40.0 / 30), 1e-12);
}

TEST(AgreementTest, OrthogonalGradientsDoNotAgree) {
  for (const double cosine : AgreementsOf({{1, {3, 0}}, {5, {0, 2}}})) {
    EXPECT_NEAR(cosine, 0, 1e-12);
  }
}

TEST(AgreementTest, IsUnknownWhereThereIsNoDirection) {
  EXPECT_FALSE(LowestAgreementOf({}).has_value());
  EXPECT_FALSE(LowestAgreementOf(Measured({{4, {1, 2}}})).has_value());
  const std::vector<double> cosines = AgreementsOf({{1, {0, 0}}, {1, {1, 2}}});
  EXPECT_TRUE(std::isnan(cosines[0]));
  EXPECT_TRUE(std::isnan(cosines[1]));
  // The others cancel each other out.
  EXPECT_TRUE(std::isnan(AgreementsOf({{1, {1, 2}}, {1, {3, 4}}, {1, {-3, -4}}})[0]));
  EXPECT_FALSE(LowestAgreementOf(Measured({{1, {0}}, {1, {0}}})).has_value());
}

TEST(AgreementTest, RoundingsDoNotMakeItMoreThanOne) {
  std::vector<MeasuredPush> pushes = Measured({{1, {1}}, {1, {1}}, {1, {1}}});
  for (MeasuredPush& push : pushes) push.with_mean *= 1 + 1e-7;
  const auto lowest = LowestAgreementOf(pushes);
  ASSERT_TRUE(lowest.has_value());
  EXPECT_LE(lowest->cosine, 1);
  EXPECT_NEAR(lowest->cosine, 1, 1e-6);
}

}  // namespace
}  // namespace gradd
