#include "core/codec/error_feedback.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <vector>

#include "core/base/error.h"
#include "core/codec/random_k.h"
#include "core/codec/top_k.h"

namespace gradd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Whole numbers, so that sums are exact in any order.
std::vector<float> WholeNumbers(size_t size, std::mt19937* random) {
  std::vector<float> values(size);
  for (float& value : values) value = static_cast<float>((*random)() % 2001) - 1000;
  return values;
}

TEST(ErrorFeedbackTest, WhatWasSentAndWhatIsLeftAreAllGradients) {
  constexpr size_t kElements = 5000;
  std::mt19937 random(1);
  ErrorFeedback feedback(kElements);
  TopK top_k;
  std::vector<float> given(kElements);
  std::vector<float> applied(kElements);
  for (uint64_t push = 0; push < 200; ++push) {
    const std::vector<float> gradient = WholeNumbers(kElements, &random);
    for (size_t i = 0; i < kElements; ++i) given[i] += gradient[i];
    ASSERT_TRUE(feedback.Add(gradient).ok());
    std::vector<uint32_t> indices;
    if (push % 2 == 0) {
      top_k.Select(feedback.residual(), 50, &indices);
    } else {
      RandomK(kElements, 50, push, &indices);
    }
    std::vector<float> values(indices.size());
    feedback.Take(indices, absl::MakeSpan(values));
    if (push % 5 == 0) {
      feedback.GiveBack(indices, values);
    } else {
      for (size_t i = 0; i < indices.size(); ++i) applied[indices[i]] += values[i];
    }
    for (size_t i = 0; i < kElements; ++i) {
      ASSERT_EQ(applied[i] + feedback.residual()[i], given[i]) << "push " << push;
    }
  }
}

TEST(ErrorFeedbackTest, WhatIsGivenBackIsThereBitForBit) {
  ErrorFeedback feedback(3);
  ASSERT_TRUE(feedback.Add({0.1F, 1e-30F, -7}).ok());
  const std::vector<float> before(feedback.residual().begin(), feedback.residual().end());
  std::vector<float> values(2);
  feedback.Take({0, 2}, absl::MakeSpan(values));
  EXPECT_THAT(feedback.residual(), ElementsAre(0, 1e-30F, 0));
  feedback.GiveBack({0, 2}, values);
  EXPECT_EQ(std::vector<float>(feedback.residual().begin(), feedback.residual().end()), before);
}

TEST(ErrorFeedbackTest, AGradientThatIsNotFiniteChangesNothing) {
  ErrorFeedback feedback(4);
  ASSERT_TRUE(feedback.Add({1, 2, 3, 3e38F}).ok());
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const absl::Status status = feedback.Add({1, 1, nan, 0});
  EXPECT_EQ(ReasonOf(status), "NON_FINITE");
  EXPECT_THAT(status.message(), HasSubstr("element 2 is nan"));
  EXPECT_THAT(feedback.Add({0, 0, 0, 3e38F}).message(), HasSubstr("element 3 is 3e+38, and inf"));
  EXPECT_THAT(feedback.residual(), ElementsAre(1, 2, 3, 3e38F));
}

}  // namespace
}  // namespace gradd
