#include "worker/models/dense_network.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace gradd {
namespace {

using testing::ElementsAre;

// One model and the data it is checked on.
struct Case {
  const char* name;
  int64_t features;
  std::vector<int64_t> hidden;
  int64_t outputs;
  Loss loss;
  int64_t examples;
};

void PrintTo(const Case& c, std::ostream* os) { *os << c.name; }

template <typename Scalar>
struct Examples {
  std::vector<Scalar> features;
  std::vector<int32_t> labels;
  std::vector<Scalar> targets;
  BatchView<Scalar> View(int64_t begin, int64_t end) const {
    const size_t width = features.size() / std::max(labels.size(), targets.size());
    const size_t first = static_cast<size_t>(begin);
    const size_t count = static_cast<size_t>(end - begin);
    return {
        end - begin, absl::MakeSpan(features).subspan(first * width, count * width),
        labels.empty() ? absl::Span<const int32_t>() : absl::MakeSpan(labels).subspan(first, count),
        targets.empty() ? absl::Span<const Scalar>()
                        : absl::MakeSpan(targets).subspan(first, count)};
  }
};

constexpr unsigned kSeed = 20240607;

template <typename Scalar>
Examples<Scalar> RandomExamples(const Case& c, std::mt19937* random) {
  std::normal_distribution<double> normal;
  Examples<Scalar> examples;
  examples.features.resize(static_cast<size_t>(c.examples * c.features));
  for (Scalar& value : examples.features) value = static_cast<Scalar>(normal(*random));
  for (int64_t i = 0; i < c.examples; ++i) {
    if (c.loss == Loss::kSoftmaxCrossEntropy) {
      examples.labels.push_back(
          static_cast<int32_t>((*random)() % static_cast<unsigned>(c.outputs)));
    } else {
      examples.targets.push_back(static_cast<Scalar>(normal(*random)));
    }
  }
  return examples;
}

template <typename Scalar>
std::vector<Scalar> RandomParameters(int64_t count, std::mt19937* random) {
  std::normal_distribution<double> normal(0, 0.5);
  std::vector<Scalar> parameters(static_cast<size_t>(count));
  for (Scalar& value : parameters) value = static_cast<Scalar>(normal(*random));
  return parameters;
}

class DenseNetworkTest : public testing::TestWithParam<Case> {
 protected:
  DenseNetworkTest() { RecordProperty("seed", std::to_string(kSeed)); }
  std::mt19937 random_{kSeed};
};

TEST_P(DenseNetworkTest, GradientIsTheSlopeOfTheLoss) {
  const Case& c = GetParam();
  DenseNetwork<double> model(c.features, c.hidden, c.outputs, c.loss);
  const Examples<double> examples = RandomExamples<double>(c, &random_);
  const BatchView<double> batch = examples.View(0, c.examples);
  std::vector<double> parameters = RandomParameters<double>(model.parameter_count(), &random_);
  std::vector<double> gradient(parameters.size(), 1e30);
  const double loss = model.LossAndGradient(parameters, batch, absl::MakeSpan(gradient));
  const auto mean_loss = [&] {
    return model.Evaluate(parameters, batch).loss / static_cast<double>(c.examples);
  };
  EXPECT_NEAR(mean_loss(), loss, 1e-12 * (1 + loss));
  constexpr double kDistance = 1e-6;
  for (size_t i = 0; i < parameters.size(); ++i) {
    const double value = parameters[i];
    parameters[i] = value + kDistance;
    const double above = mean_loss();
    parameters[i] = value - kDistance;
    const double below = mean_loss();
    parameters[i] = value;
    EXPECT_NEAR(gradient[i], (above - below) / (2 * kDistance), 1e-7 * (1 + std::abs(gradient[i])))
        << "parameter " << i << ", seed " << kSeed;
  }
}

TEST_P(DenseNetworkTest, FloatAgreesWithDouble) {
  const Case& c = GetParam();
  DenseNetwork<double> exact(c.features, c.hidden, c.outputs, c.loss);
  DenseNetwork<float> model(c.features, c.hidden, c.outputs, c.loss);
  const Examples<float> examples = RandomExamples<float>(c, &random_);
  const std::vector<float> parameters = RandomParameters<float>(model.parameter_count(), &random_);
  Examples<double> wide;
  wide.features.assign(examples.features.begin(), examples.features.end());
  wide.labels = examples.labels;
  wide.targets.assign(examples.targets.begin(), examples.targets.end());
  const std::vector<double> wide_parameters(parameters.begin(), parameters.end());

  std::vector<float> gradient(parameters.size());
  std::vector<double> expected(parameters.size());
  const double loss =
      model.LossAndGradient(parameters, examples.View(0, c.examples), absl::MakeSpan(gradient));
  const double expected_loss =
      exact.LossAndGradient(wide_parameters, wide.View(0, c.examples), absl::MakeSpan(expected));
  EXPECT_NEAR(loss, expected_loss, 1e-5 * (1 + expected_loss));
  for (size_t i = 0; i < gradient.size(); ++i) {
    EXPECT_NEAR(gradient[i], expected[i], 1e-5 * (1 + std::abs(expected[i]))) << "parameter " << i;
  }
}

TEST_P(DenseNetworkTest, PartsOfABatchAddUpToTheWhole) {
  const Case& c = GetParam();
  DenseNetwork<double> model(c.features, c.hidden, c.outputs, c.loss);
  const Examples<double> examples = RandomExamples<double>(c, &random_);
  const std::vector<double> parameters =
      RandomParameters<double>(model.parameter_count(), &random_);
  std::vector<double> whole(parameters.size());
  const double loss =
      model.LossAndGradient(parameters, examples.View(0, c.examples), absl::MakeSpan(whole));
  std::vector<double> parts(parameters.size());
  double sum = 0;
  const int64_t middle = c.examples / 3;
  for (const auto& [begin, end] : {std::pair(int64_t{0}, middle), std::pair(middle, c.examples)}) {
    sum += model.AddGradient(parameters, examples.View(begin, end),
                             1.0 / static_cast<double>(c.examples), absl::MakeSpan(parts));
  }
  EXPECT_NEAR(sum / static_cast<double>(c.examples), loss, 1e-12);
  for (size_t i = 0; i < whole.size(); ++i) EXPECT_NEAR(parts[i], whole[i], 1e-12);
}

// Same bits, from the first to the last: no tolerance.
TEST(DenseNetworkThreadsTest, TheNumberOfThreadsDoesNotShow) {
  const Case c{"Tiled", 300, {150, 130}, 10, Loss::kSoftmaxCrossEntropy, 500};
  std::mt19937 random(kSeed);
  const Examples<float> examples = RandomExamples<float>(c, &random);
  std::vector<float> parameters;
  std::vector<float> expected;
  double expected_loss = 0;
  for (const int threads : {0, 1, 2, 3, 7}) {
    std::unique_ptr<ThreadPool> pool;
    if (threads > 0) pool = std::make_unique<ThreadPool>(threads);
    DenseNetwork<float> model(c.features, c.hidden, c.outputs, c.loss, pool.get());
    if (parameters.empty()) {
      parameters = RandomParameters<float>(model.parameter_count(), &random);
    }
    std::vector<float> gradient(parameters.size());
    const double loss =
        model.LossAndGradient(parameters, examples.View(0, c.examples), absl::MakeSpan(gradient));
    const double evaluated = model.Evaluate(parameters, examples.View(0, c.examples)).loss;
    EXPECT_NEAR(evaluated / static_cast<double>(c.examples), loss, 1e-6 * loss);
    if (threads == 0) {
      expected = gradient;
      expected_loss = loss;
    }
    EXPECT_EQ(loss, expected_loss) << threads;
    EXPECT_TRUE(gradient == expected) << threads;
  }
}

TEST_P(DenseNetworkTest, LayoutCoversTheParameters) {
  const Case& c = GetParam();
  const DenseNetwork<float> model(c.features, c.hidden, c.outputs, c.loss);
  int64_t elements = 0;
  for (const v1::Tensor& tensor : model.layout().tensors()) {
    int64_t product = 1;
    for (const int64_t dimension : tensor.shape()) product *= dimension;
    elements += product;
  }
  EXPECT_EQ(elements, model.parameter_count());
}

INSTANTIATE_TEST_SUITE_P(
    Models, DenseNetworkTest,
    testing::Values(Case{"SoftmaxRegression", 5, {}, 3, Loss::kSoftmaxCrossEntropy, 9},
                    Case{"OneHiddenLayer", 7, {6}, 4, Loss::kSoftmaxCrossEntropy, 11},
                    Case{"ThreeHiddenLayers", 6, {9, 8, 5}, 3, Loss::kSoftmaxCrossEntropy, 10},
                    // Large enough that products are handed to BLAS.
                    Case{"BlasSized", 30, {24, 17}, 10, Loss::kSoftmaxCrossEntropy, 32},
                    Case{"SeveralTiles", 131, {3, 140}, 2, Loss::kSoftmaxCrossEntropy, 257},
                    Case{"OneExample", 12, {10}, 3, Loss::kSoftmaxCrossEntropy, 1},
                    Case{"LinearRegression", 8, {}, 1, Loss::kSquaredError, 12},
                    Case{"LinearRegressionOfOneFeature", 1, {}, 1, Loss::kSquaredError, 5},
                    Case{"DeepRegression", 6, {5}, 1, Loss::kSquaredError, 12}),
    [](const testing::TestParamInfo<Case>& tested) { return tested.param.name; });

TEST(LinearRegressionTest, LossIsTheSquaredErrorWithoutAFactor) {
  DenseNetwork<double> model(2, {}, 1, Loss::kSquaredError);
  const Examples<double> examples{{1, 2, 3, 4}, {}, {1, 10}};
  // Outputs 1*2 + 2*1 + 0.5 = 4.5 and 3*2 + 4*1 + 0.5 = 10.5: errors 3.5 and 0.5.
  const std::vector<double> parameters = {2, 1, 0.5};
  std::vector<double> gradient(3);
  EXPECT_DOUBLE_EQ(model.LossAndGradient(parameters, examples.View(0, 2), absl::MakeSpan(gradient)),
                   (12.25 + 0.25) / 2);
  EXPECT_THAT(gradient, ElementsAre(3.5 + 1.5, 7 + 2, 3.5 + 0.5));
}

TEST(SoftmaxRegressionTest, LossOfZeroParametersIsTheLogarithmOfTheClasses) {
  DenseNetwork<double> model(2, {}, 10, Loss::kSoftmaxCrossEntropy);
  const Examples<double> examples{{1, 2, 3, 4}, {0, 9}, {}};
  const std::vector<double> parameters(30);
  EXPECT_NEAR(model.Evaluate(parameters, examples.View(0, 2)).loss, 2 * std::log(10.0), 1e-12);
}

TEST(SoftmaxRegressionTest, CountsHits) {
  DenseNetwork<double> model(1, {}, 2, Loss::kSoftmaxCrossEntropy);
  const Examples<double> examples{{1, -1, 2}, {1, 0, 0}, {}};
  const std::vector<double> parameters = {-1, 1, 0, 0};  // Class 1 for positive features.
  EXPECT_EQ(model.Evaluate(parameters, examples.View(0, 3)).correct, 2);
  EXPECT_EQ(model.Evaluate(parameters, examples.View(0, 3)).examples, 3);
}

TEST(SoftmaxRegressionTest, HugeScoresDoNotOverflow) {
  DenseNetwork<float> model(1, {}, 2, Loss::kSoftmaxCrossEntropy);
  const Examples<float> examples{{1e30F}, {0}, {}};
  const std::vector<float> parameters = {0, 1, 0, 0};
  std::vector<float> gradient(4);
  const double loss =
      model.LossAndGradient(parameters, examples.View(0, 1), absl::MakeSpan(gradient));
  EXPECT_FLOAT_EQ(static_cast<float>(loss), 1e30F);
  EXPECT_EQ(gradient[2], -1);
  EXPECT_EQ(gradient[3], 1);
}

TEST(DenseNetworkLayoutTest, NamesShapesAndInitialValues) {
  const v1::Layout layout = DenseNetwork<float>(24, {8}, 16, Loss::kSoftmaxCrossEntropy).layout();
  ASSERT_EQ(layout.tensors_size(), 4);
  EXPECT_EQ(layout.tensors(0).name(), "layer1/weights");
  EXPECT_THAT(layout.tensors(0).shape(), ElementsAre(24, 8));
  EXPECT_FLOAT_EQ(layout.tensors(0).initializer().uniform().low(), -0.5F);  // sqrt(6 / 24)
  EXPECT_FLOAT_EQ(layout.tensors(0).initializer().uniform().high(), 0.5F);
  EXPECT_EQ(layout.tensors(1).name(), "layer1/bias");
  EXPECT_THAT(layout.tensors(1).shape(), ElementsAre(8));
  EXPECT_FALSE(layout.tensors(1).has_initializer());
  EXPECT_EQ(layout.tensors(2).name(), "layer2/weights");
  EXPECT_THAT(layout.tensors(2).shape(), ElementsAre(8, 16));
  EXPECT_FLOAT_EQ(layout.tensors(2).initializer().uniform().high(), 0.5F);  // sqrt(6 / 24)
  EXPECT_EQ(layout.tensors(3).name(), "layer2/bias");
  EXPECT_FALSE(layout.tensors(3).has_initializer());
}

TEST(DenseNetworkLayoutTest, AModelWithoutHiddenLayersStartsAtZero) {
  const DenseNetwork<float> model(4, {}, 3, Loss::kSoftmaxCrossEntropy);
  for (const v1::Tensor& tensor : model.layout().tensors()) {
    EXPECT_FALSE(tensor.has_initializer()) << tensor.name();
  }
}

}  // namespace
}  // namespace gradd
