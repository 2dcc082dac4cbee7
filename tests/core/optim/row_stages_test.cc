#include "core/optim/row_stages.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/base/error.h"

namespace gradd {
namespace {

using testing::ElementsAre;
using testing::FloatEq;

absl::StatusOr<std::vector<std::unique_ptr<TensorTransform>>> Make(const std::string& text) {
  v1::Optimizer spec;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &spec)) << text;
  return MakeRowStages(spec);
}

std::vector<float> Apply(const TensorTransform& stage, const TensorShape& shape,
                         const std::vector<float>& gradient, const std::vector<float>& parameters) {
  std::vector<float> result(gradient.size());
  stage.Transform({}, shape, {gradient.data(), parameters.data(), result.data(), {}});
  return result;
}

TEST(CentralizeGradientTest, TakesTheMeanOffEveryRowOfAMatrix) {
  const CentralizeGradient stage;
  EXPECT_THAT(Apply(stage, {{2, 3}}, {1, 2, 6, -1, 0, 1}, {}), ElementsAre(-2, -1, 3, -1, 0, 1));
  EXPECT_THAT(Apply(stage, {{2, 1, 3}}, {1, 2, 6, -1, 0, 1}, {}), ElementsAre(-2, -1, 3, -1, 0, 1));
}

TEST(CentralizeGradientTest, LeavesVectorsAndScalarsAlone) {
  const CentralizeGradient stage;
  EXPECT_THAT(Apply(stage, {{3}}, {1, 2, 6}, {}), ElementsAre(1, 2, 6));
  EXPECT_THAT(Apply(stage, {}, {5}, {}), ElementsAre(5));
}

TEST(AdaptiveClippingTest, ClipsEachRowToAShareOfItsParametersNorm) {
  const AdaptiveClipping stage(0.5);
  // Rows of norm 5 and 0.05 over parameters of norm 5 and 2; the third one's count as 0.001.
  EXPECT_THAT(Apply(stage, {{3, 2}}, {3, 4, 0.03F, 0.04F, 3, 4}, {4, 3, 0, 2, 0, 0}),
              ElementsAre(FloatEq(1.5F), FloatEq(2), FloatEq(0.03F), FloatEq(0.04F), FloatEq(3e-4F),
                          FloatEq(4e-4F)));
}

TEST(AdaptiveClippingTest, TakesAVectorAsAWhole) {
  const AdaptiveClipping stage(1);
  EXPECT_THAT(Apply(stage, {{2}}, {30, 40}, {3, 4}), ElementsAre(FloatEq(3), FloatEq(4)));
}

TEST(MakeRowStagesTest, CentralizesBeforeItClips) {
  const auto stages = Make("centralize_gradient: true adaptive_clipping: 0.01");
  ASSERT_TRUE(stages.ok()) << stages.status();
  ASSERT_EQ(stages->size(), 2U);
  EXPECT_NE(dynamic_cast<const CentralizeGradient*>((*stages)[0].get()), nullptr);
  EXPECT_NE(dynamic_cast<const AdaptiveClipping*>((*stages)[1].get()), nullptr);
  EXPECT_TRUE(Make("")->empty());
}

TEST(MakeRowStagesTest, RefusesClippingOutsideItsRange) {
  for (const char* value : {"0", "-1", "nan", "inf", "1e7"}) {
    const absl::Status status = Make(std::string("adaptive_clipping: ") + value).status();
    EXPECT_EQ(ReasonOf(status), "OUT_OF_RANGE") << value;
    EXPECT_THAT(status.message(), testing::HasSubstr("optimizer.adaptive_clipping: "));
  }
}

}  // namespace
}  // namespace gradd
