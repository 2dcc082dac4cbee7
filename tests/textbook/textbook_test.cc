// What is taught about optimizers, on gradd's own. Where a claim does not hold as it is told, the
// test says what holds.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "tests/textbook/descent.h"
#include "worker/data/load.h"
#include "worker/models/dense_network.h"
#include "worker/models/landscape.h"

namespace gradd {
namespace {

constexpr int kNever = std::numeric_limits<int>::max();

// A path over a landscape, the start included.
std::vector<Point> Path(const std::string& optimizer, double rate, Landscape landscape,
                        const Point& start, int steps, double noise = 0, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  Descent descent(optimizer, {static_cast<float>(start[0]), static_cast<float>(start[1])});
  std::vector<Point> path = {start};
  for (int step = 0; step < steps; ++step) {
    const std::vector<float>& at = descent.training_point();
    const Slope slope =
        SlopeAt(landscape, {static_cast<double>(at[0]), static_cast<double>(at[1])});
    std::vector<float> gradient;
    for (const double g : slope.gradient) {
      gradient.push_back(static_cast<float>(g + (noise > 0 ? noise * normal(random) : 0)));
    }
    descent.Step(gradient, rate);
    const std::vector<float>& p = descent.parameters();
    path.push_back({static_cast<double>(p[0]), static_cast<double>(p[1])});
  }
  return path;
}

double ValueAt(Landscape landscape, const Point& point) { return SlopeAt(landscape, point).value; }

// Steps until the value stays below `value`; kNever if it does not.
int StepsToReach(const std::vector<Point>& path, Landscape landscape, double value) {
  int step = static_cast<int>(path.size());
  while (step > 0 && ValueAt(landscape, path[static_cast<size_t>(step) - 1]) < value) --step;
  return step == static_cast<int>(path.size()) ? kNever : step;
}

const char kMomentum[] = "momentum { momentum: 0.9 }";

TEST(TextbookTest, GradientDescentOscillatesInTheNarrowValleyAndMomentumNeedsFewerSteps) {
  // Near the largest rate that the steep side bears, which is 2 / 100.
  const Landscape valley = Landscape::kValley;
  const std::vector<Point> descent = Path("sgd {}", 0.019, valley, {-2, 0.3}, 1000);
  for (size_t step = 1; step < 30; ++step) {
    EXPECT_LT(descent[step][1] * descent[step - 1][1], 0) << "from side to side, step " << step;
    EXPECT_GT(descent[step][0] * descent[step - 1][0], 0) << "and along it one way";
  }
  const int plain = StepsToReach(descent, valley, 1e-6);
  const int momentum = StepsToReach(
      Path("momentum { momentum: 0.8 }", 0.019, valley, {-2, 0.3}, 1000), valley, 1e-6);
  ASSERT_NE(plain, kNever);
  EXPECT_LT(momentum, plain / 3);
}

TEST(TextbookTest, TooLargeARateDivergesAndTooSmallARateCrawls) {
  const Landscape valley = Landscape::kValley;
  const double start = ValueAt(valley, {-2, 0.3});
  EXPECT_GT(ValueAt(valley, Path("sgd {}", 0.0205, valley, {-2, 0.3}, 500).back()), 1e3 * start);
  EXPECT_GT(ValueAt(valley, Path("sgd {}", 1e-5, valley, {-2, 0.3}, 500).back()), start / 3);
  EXPECT_LT(ValueAt(valley, Path("sgd {}", 0.019, valley, {-2, 0.3}, 500).back()), 1e-6 * start);
}

TEST(TextbookTest, GradientDescentStaysInTheLocalMinimumAndNoiseGetsOut) {
  // The minimum of Rastrigin's function near (1, 1), not the one at 0.
  const Point start = {1.2, 0.9};
  const auto leaves = [](const Point& end) {
    return std::abs(end[0] - 1) > 0.3 || std::abs(end[1] - 1) > 0.3;
  };
  const Landscape hills = Landscape::kRastrigin;
  EXPECT_FALSE(leaves(Path("sgd {}", 1e-3, hills, start, 5000).back()));
  int left = 0;
  for (unsigned seed = 1; seed <= 20; ++seed) {
    left += leaves(Path("sgd {}", 1e-3, hills, start, 5000, /*noise=*/150, seed).back()) ? 1 : 0;
  }
  EXPECT_GE(left, 18);
}

TEST(TextbookTest, NearTheSaddleTheGradientVanishesAndMomentumLeavesSooner) {
  const Landscape saddle = Landscape::kSaddle;
  const Point start = {-1.5, 1e-3};
  const std::vector<Point> path = Path("sgd {}", 0.01, saddle, start, 3000);
  // On its way it comes to where the slope is a hundredth of what it was.
  double least = std::numeric_limits<double>::infinity();
  for (const Point& point : path) {
    const Slope slope = SlopeAt(saddle, point);
    least = std::min(least, std::hypot(slope.gradient[0], slope.gradient[1]));
    if (std::abs(point[1]) > 0.5) break;
  }
  const Slope first = SlopeAt(saddle, start);
  EXPECT_LT(least, 0.05 * std::hypot(first.gradient[0], first.gradient[1]));
  const auto steps_to_leave = [](const std::vector<Point>& points) {
    const auto out = std::find_if(points.begin(), points.end(),
                                  [](const Point& point) { return std::abs(point[1]) > 0.5; });
    return out - points.begin();
  };
  EXPECT_LT(steps_to_leave(Path(kMomentum, 0.01, saddle, start, 3000)), steps_to_leave(path) / 3);
}

TEST(TextbookTest, AdaGradsEffectiveRateDecaysToAHaltWhereRmsPropsDoesNot) {
  // A constant slope: what a step moves is the effective rate.
  const auto moves = [](const std::string& optimizer) {
    Descent descent(optimizer, {0});
    std::vector<double> by;
    for (int step = 0; step < 10'000; ++step) {
      const auto before = static_cast<double>(descent.parameters()[0]);
      descent.Step({1}, 0.01);
      by.push_back(before - static_cast<double>(descent.parameters()[0]));
    }
    return by;
  };
  const std::vector<double> ada_grad = moves("ada_grad {}");
  EXPECT_NEAR(ada_grad[99], 0.01 / 10, 1e-6) << "1 / sqrt(steps)";
  EXPECT_NEAR(ada_grad[9999], 0.01 / 100, 1e-5);
  const std::vector<double> rms_prop = moves("rms_prop {}");
  EXPECT_NEAR(rms_prop[9999], 0.01, 1e-4);
}

TEST(TextbookTest, AdamWorksOverAWiderRangeOfRatesThanGradientDescent) {
  // Of rates from 1e-5 to 10, three per decade: how many come near the minimum.
  const auto good_rates = [](const std::string& optimizer, Landscape landscape) {
    int good = 0;
    for (int i = 0; i <= 18; ++i) {
      const double rate = 1e-5 * std::pow(10, i / 3.0);
      const std::vector<Point> path =
          Path(optimizer, rate, landscape, InfoOf(landscape).start, 2000);
      const double end = ValueAt(landscape, path.back());
      good += end < 0.05 * ValueAt(landscape, path.front()) ? 1 : 0;
    }
    return good;
  };
  for (const LandscapeInfo& info : Landscapes()) {
    const int descent = good_rates("sgd {}", info.landscape);
    const int adam = good_rates("adam {}", info.landscape);
    const bool narrow =
        info.landscape == Landscape::kValley || info.landscape == Landscape::kRosenbrock;
    if (info.landscape == Landscape::kRastrigin) {
      // Neither rate nor method leads out of the wrong minima.
      EXPECT_EQ(descent, 0);
      EXPECT_EQ(adam, 0);
    } else {
      EXPECT_GE(adam, descent + 3) << info.name;
      EXPECT_GE(adam, (narrow ? 2 : 1) * descent) << info.name << ": most of all in a valley";
    }
  }
}

TEST(TextbookTest, NesterovWithLookAheadBeatsMomentumAtHighCurvature) {
  // Along the steep side only, with a momentum so large that it swings.
  const Landscape valley = Landscape::kValley;
  const Point start = {0, 1};
  const int momentum =
      StepsToReach(Path("momentum { momentum: 0.95 }", 0.009, valley, start, 3000), valley, 1e-6);
  const int nesterov = StepsToReach(
      Path("nesterov { momentum: 0.95 form: FORM_LOOK_AHEAD }", 0.009, valley, start, 3000), valley,
      1e-6);
  ASSERT_NE(momentum, kNever);
  EXPECT_LT(nesterov, momentum / 2);
  // On a gentle slope the two are much the same.
  const Landscape bowl = Landscape::kBowl;
  const int slow = StepsToReach(Path(kMomentum, 1e-3, bowl, {-2, 1.5}, 20'000), bowl, 1e-6);
  const int look_ahead = StepsToReach(
      Path("nesterov { momentum: 0.9 form: FORM_LOOK_AHEAD }", 1e-3, bowl, {-2, 1.5}, 20'000), bowl,
      1e-6);
  EXPECT_NEAR(look_ahead, slow, 0.05 * slow);
}

// Logistic regression on examples with few of many features, most of which are rare.
class SparseProblem {
 public:
  static constexpr size_t kFeatures = 300;

  SparseProblem() {
    std::mt19937 random(3);
    std::normal_distribution<double> normal;
    std::vector<double> truth(kFeatures);
    for (double& weight : truth) weight = 2 * normal(random);
    for (int i = 0; i < 3000; ++i) {
      Example example;
      double sum = 0;
      for (size_t feature = 0; feature < kFeatures; ++feature) {
        // The first is there in every second example, the hundredth in one of two hundred.
        if (random() % (2 * (feature + 1)) != 0) continue;
        example.features.push_back(feature);
        sum += truth[feature];
      }
      example.label = sum > 0 ? 1 : 0;
      examples_.push_back(example);
    }
  }

  // Mean loss after some epochs over the examples, one at a time.
  double LossAfterTraining(const std::string& optimizer, double rate) const {
    Descent descent(optimizer, std::vector<float>(kFeatures));
    for (int epoch = 0; epoch < 2; ++epoch) {
      for (const Example& example : examples_) {
        std::vector<float> gradient(kFeatures);
        const double error = Predict(example, descent.parameters()) - example.label;
        for (const size_t feature : example.features) gradient[feature] = static_cast<float>(error);
        descent.Step(gradient, rate);
      }
    }
    double loss = 0;
    for (const Example& example : examples_) {
      const double p = Predict(example, descent.parameters());
      loss -= std::log(std::max(example.label == 1 ? p : 1 - p, 1e-12));
    }
    return loss / static_cast<double>(examples_.size());
  }

 private:
  struct Example {
    std::vector<size_t> features;
    double label = 0;
  };
  static double Predict(const Example& example, const std::vector<float>& weights) {
    double sum = 0;
    for (const size_t feature : example.features) sum += static_cast<double>(weights[feature]);
    return 1 / (1 + std::exp(-sum));
  }
  std::vector<Example> examples_;
};

TEST(TextbookTest, AdaGradBeatsOneFixedRateOnSparseFeatures) {
  const SparseProblem problem;
  const auto best = [&](const std::string& optimizer) {
    double least = std::numeric_limits<double>::infinity();
    for (const double rate : {0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0}) {
      least = std::min(least, problem.LossAfterTraining(optimizer, rate));
    }
    return least;
  };
  EXPECT_LT(best("ada_grad {}"), 0.9 * best("sgd {}"));
}

// Softmax regression on some of Fashion-MNIST.
class BatchesTest : public testing::Test {
 protected:
  static constexpr int64_t kExamples = 2000;

  BatchesTest() {
    DataOptions options;
    const auto data = LoadData(options);
    EXPECT_TRUE(data.ok()) << data.status();
    if (data.ok()) data->train.GatherRange(0, kExamples, &all_);
  }
  // Examples from `begin` on.
  BatchView<float> Part(int64_t begin, int64_t count) const {
    BatchView<float> view;
    view.examples = count;
    const auto features = static_cast<size_t>(kPixels);
    const auto first = static_cast<size_t>(begin);
    view.features = absl::MakeConstSpan(all_.features)
                        .subspan(first * features, static_cast<size_t>(count) * features);
    view.labels = absl::MakeConstSpan(all_.labels).subspan(first, static_cast<size_t>(count));
    return view;
  }
  struct Outcome {
    double after_one_epoch = 0;  // Mean loss over all examples.
    double noise = 0;            // Of the gradient at the start, relative to the mean gradient.
    int steps = 0;               // Of the epoch.
  };
  Outcome Train(int64_t batch, double rate) {
    DenseNetwork<float> model(kPixels, {}, 10, Loss::kSoftmaxCrossEntropy);
    std::vector<float> full(static_cast<size_t>(model.parameter_count()));
    Descent descent("sgd {}", std::vector<float>(full.size()));
    model.LossAndGradient(descent.parameters(), Part(0, kExamples), absl::MakeSpan(full));
    std::vector<float> gradient(full.size());
    Outcome outcome;
    double deviation = 0;
    double norm = 0;
    for (const float g : full) norm += static_cast<double>(g) * static_cast<double>(g);
    for (int64_t begin = 0; begin < kExamples; begin += batch) {
      const std::vector<float> start(full.size());
      model.LossAndGradient(start, Part(begin, batch), absl::MakeSpan(gradient));
      for (size_t i = 0; i < full.size(); ++i) {
        deviation += std::pow(static_cast<double>(gradient[i] - full[i]), 2);
      }
      model.LossAndGradient(descent.parameters(), Part(begin, batch), absl::MakeSpan(gradient));
      descent.Step(gradient, rate);
      ++outcome.steps;
    }
    outcome.noise = std::sqrt(deviation / outcome.steps / norm);
    outcome.after_one_epoch =
        model.Evaluate(descent.parameters(), Part(0, kExamples)).loss / kExamples;
    return outcome;
  }

  static constexpr int64_t kPixels = 784;
  Batch all_;
};

TEST_F(BatchesTest, MiniBatchesSitBetweenFullBatchAndSingleExamplesInCostAndNoise) {
  const Outcome full = Train(kExamples, 0.01);
  const Outcome mini = Train(50, 0.01);
  const Outcome single = Train(1, 0.01);
  // Cost of a step: the examples that it looks at. Noise of its direction: 1 / sqrt(examples).
  EXPECT_EQ(full.steps, 1);
  EXPECT_EQ(mini.steps, 40);
  EXPECT_EQ(single.steps, 2000);
  EXPECT_NEAR(full.noise, 0, 1e-3);
  EXPECT_GT(mini.noise, 0.1);
  EXPECT_NEAR(single.noise / mini.noise, std::sqrt(50), 0.5);
  // For the same examples, mini-batches come further than the full batch by far; single examples,
  // at a rate that suits mini-batches, are tossed about and end worse.
  EXPECT_LT(mini.after_one_epoch, full.after_one_epoch / 1.5);
  EXPECT_GT(single.after_one_epoch, mini.after_one_epoch);
}

}  // namespace
}  // namespace gradd
