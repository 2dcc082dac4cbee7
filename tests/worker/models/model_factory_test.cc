#include "worker/models/model_factory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

namespace gradd {
namespace {

using testing::HasSubstr;

TEST(ModelFactoryTest, BuildsEachModel) {
  EXPECT_EQ((*CreateModel({ModelKind::kSoftmax, {}}, 784, 10))->parameter_count(), 7850);
  EXPECT_EQ((*CreateModel({ModelKind::kMlp, {256, 128}}, 784, 10))->parameter_count(),
            785 * 256 + 257 * 128 + 129 * 10);
  EXPECT_EQ((*CreateModel({ModelKind::kLinear, {}}, 5, 0))->parameter_count(), 6);
  EXPECT_EQ((*CreateModel({ModelKind::kLandscape, {}}, 2, 0))->parameter_count(), 2);
}

TEST(ModelFactoryTest, WhatDoesNotFitIsRefused) {
  const auto error = [](const ModelOptions& options, int64_t features, int64_t classes) {
    return std::string(CreateModel(options, features, classes).status().message());
  };
  EXPECT_THAT(error({ModelKind::kMlp, {}}, 5, 2), HasSubstr("0 hidden layers"));
  EXPECT_THAT(error({ModelKind::kMlp, {4, 0}}, 5, 2), HasSubstr("a hidden layer of width 0"));
  EXPECT_THAT(error({ModelKind::kMlp, {int64_t{1} << 40}}, 5, 2),
              HasSubstr("a hidden layer of width 1099511627776"));
  EXPECT_THAT(error({ModelKind::kSoftmax, {4}}, 5, 2), HasSubstr("they need model mlp"));
  EXPECT_THAT(error({ModelKind::kLinear, {4}}, 5, 0), HasSubstr("they need model mlp"));
  EXPECT_THAT(error({ModelKind::kLinear, {}}, 5, 3), HasSubstr("numeric targets expected"));
  ModelOptions nowhere = {ModelKind::kLandscape, {}};
  nowhere.start = Point({std::nan(""), 1});
  EXPECT_THAT(error(nowhere, 2, 0), HasSubstr("start nan,1, finite numbers expected"));
  EXPECT_THAT(error({ModelKind::kLandscape, {4}}, 2, 0), HasSubstr("they need model mlp"));
  EXPECT_THAT(error({ModelKind::kSoftmax, {}}, 5, 0), HasSubstr("the data has 0 classes"));
  EXPECT_THAT(error({ModelKind::kSoftmax, {}}, 5, 1), HasSubstr("the data has 1 class"));
  EXPECT_THAT(error({ModelKind::kSoftmax, {}}, 0, 2), HasSubstr("the data has 0 features"));
}

}  // namespace
}  // namespace gradd
