#include "core/optim/optimizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/mix.h"
#include "tests/core/optim/optimizer_table.h"
#include "tests/core/optim/optimizer_vectors.h"

namespace gradd {
namespace {

// The problem of tests/golden/generate.py.
double GoldenGradient(double p, int i, int step) {
  const double center = (i % 2 == 0 ? 1 : -1) * (0.5 + 0.2 * i);
  return 0.2 * (i + 1) * (p - center) + 0.1 * std::sin(0.7 * step + i);
}

// Of which that is about the gradient.
template <typename Number>
double GoldenLoss(const std::vector<Number>& p, int step) {
  double loss = 0;
  for (int i = 0; i < 8; ++i) {
    const auto x = static_cast<double>(p[static_cast<size_t>(i)]);
    const double center = (i % 2 == 0 ? 1 : -1) * (0.5 + 0.2 * i);
    loss += 0.1 * (i + 1) * (x - center) * (x - center) + 0.1 * std::sin(0.7 * step + i) * x;
  }
  return loss;
}

// The parameters go from 0 to between 0.5 and 2; on their way through 0 a relative error means
// nothing.
double ErrorOf(double value, double expected) {
  return std::abs(value - expected) / std::max(std::abs(expected), 0.1);
}

// How far the reference goes from itself when its parameters are rounded to float32 in each step.
double GrowthOfRoundings(const OptimizerCase& row) {
  std::vector<double> exact(8, 0);
  std::vector<double> rounded(8, 0);
  std::vector<std::vector<double>> exact_state;
  std::vector<std::vector<double>> rounded_state;
  const auto step_of = [&row](int step, std::vector<double>* p,
                              std::vector<std::vector<double>>* state) {
    std::vector<double> gradient(8);
    for (int i = 0; i < 8; ++i) {
      gradient[static_cast<size_t>(i)] = GoldenGradient((*p)[static_cast<size_t>(i)], i, step);
    }
    row.reference.Step(step + 1, row.learning_rate, GoldenLoss(*p, step), gradient, p, state);
  };
  double worst = 0;
  for (int step = 0; step < 1000; ++step) {
    step_of(step, &exact, &exact_state);
    step_of(step, &rounded, &rounded_state);
    for (double& p : rounded) p = static_cast<double>(static_cast<float>(p));
    for (size_t k = 0; k < 8; ++k) worst = std::max(worst, ErrorOf(rounded[k], exact[k]));
  }
  return worst;
}

class OptimizerTest : public testing::TestWithParam<OptimizerCase> {
 protected:
  const std::unique_ptr<Optimizer> optimizer_ = Make(GetParam().spec);
};

// The rows of the kinds that torch 1.13 has, with all of their options.
std::vector<OptimizerCase> TorchRows() {
  static const auto& kinds = *new std::set<v1::Optimizer::KindCase>(
      {v1::Optimizer::kSgd, v1::Optimizer::kMomentum, v1::Optimizer::kNesterov,
       v1::Optimizer::kRprop, v1::Optimizer::kAsgd, v1::Optimizer::kAdaGrad,
       v1::Optimizer::kRmsProp, v1::Optimizer::kAdam, v1::Optimizer::kAdaDelta,
       v1::Optimizer::kAmsGrad, v1::Optimizer::kAdamW, v1::Optimizer::kAdaMax,
       v1::Optimizer::kNAdam, v1::Optimizer::kRAdam});
  std::vector<OptimizerCase> rows;
  for (const OptimizerCase& row : OptimizerTable()) {
    if (kinds.count(SpecOf(row.spec).kind_case()) > 0) rows.push_back(row);
  }
  return rows;
}

nlohmann::json GoldenTrajectories() {
  std::ifstream file(GRADD_GOLDEN "/optimizers.json");
  return nlohmann::json::parse(file);
}

class GoldenTest : public OptimizerTest {};

TEST_P(GoldenTest, FollowsTorchOverAThousandSteps) {
  const nlohmann::json golden = GoldenTrajectories();
  ASSERT_TRUE(golden.contains(GetParam().name)) << "tests/golden/generate.py has no such case";
  const nlohmann::json& states = golden[GetParam().name];
  Vectors vectors(optimizer_.get(), Values(8, 0));
  for (int step = 0; step < 1000; ++step) {
    Values gradient(8);
    for (int i = 0; i < 8; ++i) {
      gradient[static_cast<size_t>(i)] =
          static_cast<float>(GoldenGradient(vectors.parameters()[static_cast<size_t>(i)], i, step));
    }
    vectors.Step(step, GetParam().learning_rate, gradient);
    if ((step + 1) % 100 != 0) continue;
    for (size_t i = 0; i < 8; ++i) {
      const double expected = states.at(static_cast<size_t>(step / 100)).at(i).get<double>();
      EXPECT_LE(ErrorOf(vectors.parameters()[i], expected), 1e-5)
          << "step " << step + 1 << " element " << i << ": " << vectors.parameters()[i]
          << " against " << expected;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Torch, GoldenTest, testing::ValuesIn(TorchRows()),
                         testing::PrintToStringParamName());

TEST(GoldenTrajectoriesTest, EachBelongsToARow) {
  const std::vector<OptimizerCase> rows = TorchRows();
  const nlohmann::json golden = GoldenTrajectories();
  for (const auto& [name, states] : golden.items()) {
    EXPECT_TRUE(std::any_of(rows.begin(), rows.end(), [&key = name](const OptimizerCase& row) {
      return row.name == key;
    })) << name;
  }
}

TEST_P(OptimizerTest, FollowsTheFormulaInDoubleOverAThousandSteps) {
  Vectors vectors(optimizer_.get(), Values(8, 0));
  std::vector<double> expected(8, 0);
  std::vector<std::vector<double>> state;
  double worst = 0;
  for (int step = 0; step < 1000; ++step) {
    Values gradient(8);
    std::vector<double> same(8);
    std::vector<double> own(8);
    std::vector<double> point = expected;
    for (int i = 0; i < 8; ++i) {
      const auto k = static_cast<size_t>(i);
      if (step > 0 && GetParam().training_state >= 0) {
        point[k] = state[k][static_cast<size_t>(GetParam().training_state)];
      }
      gradient[k] = static_cast<float>(GoldenGradient(vectors.training()[k], i, step));
      same[k] = static_cast<double>(gradient[k]);
      own[k] = GoldenGradient(point[k], i, step);
    }
    const double loss = GoldenLoss(vectors.training(), step);
    // Each follows its own gradient, as in a training run, and the problem holds them together.
    // Where the step jumps both get the same one, and nothing holds them: what stays of roundings
    // is their sum.
    const bool jumps = GetParam().jumps;
    GetParam().reference.Step(step + 1, GetParam().learning_rate,
                              jumps ? loss : GoldenLoss(point, step), jumps ? same : own, &expected,
                              &state);
    vectors.Step(step, GetParam().learning_rate, gradient, loss);
    for (size_t k = 0; k < 8; ++k) {
      worst = std::max(worst, ErrorOf(vectors.parameters()[k], expected[k]));
    }
  }
  RecordProperty("worst", absl::StrCat(worst));
  if (GetParam().roundings_grow) {
    const double grown = GrowthOfRoundings(GetParam());
    RecordProperty("grown", absl::StrCat(grown));
    EXPECT_GT(grown, 1e-7);
    EXPECT_LE(worst, 10 * grown);
    return;
  }
  EXPECT_LE(worst, GetParam().error_bound);
}

TEST_P(OptimizerTest, OneStepIsExactToAFewUnitsInTheLastPlace) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  Values parameters(1000);
  Values gradient(1000);
  for (float& p : parameters) p = normal(random);
  for (float& g : gradient) g = normal(random);
  Vectors vectors(optimizer_.get(), parameters);
  vectors.Step(0, GetParam().learning_rate, gradient, /*loss=*/3);
  std::vector<double> expected(parameters.begin(), parameters.end());
  std::vector<std::vector<double>> state;
  GetParam().reference.Step(1, GetParam().learning_rate, /*loss=*/3,
                            {gradient.begin(), gradient.end()}, &expected, &state);
  for (size_t i = 0; i < parameters.size(); ++i) {
    const double change = std::abs(expected[i] - static_cast<double>(parameters[i]));
    EXPECT_NEAR(vectors.parameters()[i], expected[i],
                GetParam().step_error * change + 1.2e-7 * std::abs(expected[i]));
  }
}

TEST_P(OptimizerTest, ConvergesOnAParabola) {
  Vectors vectors(optimizer_.get(), {3, -2, 5});
  const double decay = 1 / 1.2;  // With weight decay 0.1 on curvature 1, at worst.
  for (int step = 0; step < 20'000; ++step) {
    Values gradient;
    double loss = 0;
    for (const float p : vectors.training()) {
      gradient.push_back(p - 1);
      loss += 0.5 * (p - 1) * (p - 1);
    }
    vectors.Step(step, GetParam().parabola_rate, gradient, loss);
  }
  for (const float p : vectors.parameters()) {
    EXPECT_GE(p, decay - 0.01);
    EXPECT_LE(p, 1.01);
  }
}

TEST_P(OptimizerTest, DescendsRosenbrock) {
  Vectors vectors(optimizer_.get(), {-1.2f, 1});
  const auto loss = [](const Values& at) {
    const double x = at[0];
    const double y = at[1];
    return (1 - x) * (1 - x) + 100 * (y - x * x) * (y - x * x);
  };
  const double initial = loss(vectors.parameters());
  for (int step = 0; step < 50'000; ++step) {
    const double x = vectors.training()[0];
    const double y = vectors.training()[1];
    vectors.Step(step, GetParam().rosenbrock_rate,
                 {static_cast<float>(-2 * (1 - x) - 400 * x * (y - x * x)),
                  static_cast<float>(200 * (y - x * x))},
                 loss(vectors.training()));
  }
  // Weight decay keeps some of them off the minimum at (1, 1).
  EXPECT_LT(loss(vectors.parameters()), initial / 50);
}

Values Random(size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Values values(size);
  for (float& value : values) value = normal(random);
  return values;
}

TEST_P(OptimizerTest, AnyLengthAndAlignmentTouchesItsElementsAlone) {
  constexpr float kSentinel = 12345;
  std::vector<int64_t> lengths(130);
  for (size_t i = 0; i < lengths.size(); ++i) lengths[i] = static_cast<int64_t>(i) + 1;
  for (const int64_t length : {kTileElements - 17, kTileElements - 1, kTileElements}) {
    lengths.push_back(length);
  }
  for (const int64_t length : lengths) {
    const auto size = static_cast<size_t>(length);
    for (const size_t shift : {0, 1, 3}) {
      const Values gradient = Random(size + 8, 1);
      Vectors vectors(optimizer_.get(), Random(size + 8, 2));
      Vectors alone(optimizer_.get(),
                    Values(vectors.parameters().begin() + static_cast<int64_t>(shift),
                           vectors.parameters().begin() + static_cast<int64_t>(shift) + length),
                    static_cast<int64_t>(shift));
      vectors.parameters()[shift + size] = kSentinel;
      for (Values& slot : vectors.slots()) slot[shift + size] = kSentinel;
      const float before = vectors.parameters()[shift > 0 ? shift - 1 : 0];
      vectors.Begin({3, 0.1, 0}, gradient);
      const TileNorms norms = vectors.UpdateRange(gradient, static_cast<int64_t>(shift), length);
      const Values applied = vectors.Applied(gradient);
      const TileNorms expected =
          alone.UpdateRange(Values(applied.begin() + static_cast<int64_t>(shift),
                                   applied.begin() + static_cast<int64_t>(shift) + length),
                            0, length);
      ASSERT_EQ(vectors.parameters()[shift + size], kSentinel) << length;
      for (const Values& slot : vectors.slots()) ASSERT_EQ(slot[shift + size], kSentinel);
      if (shift > 0) {
        ASSERT_EQ(vectors.parameters()[shift - 1], before);
      }
      for (size_t i = 0; i < size; ++i) {
        ASSERT_EQ(vectors.parameters()[shift + i], alone.parameters()[i]) << length << " " << i;
      }
      ASSERT_EQ(norms.gradient, expected.gradient);
      ASSERT_EQ(norms.update, expected.update);
      ASSERT_EQ(norms.parameters, expected.parameters);
    }
  }
}

TEST_P(OptimizerTest, PiecesOfAnyLengthGiveTheBitsOfTheWhole) {
  constexpr size_t kSize = 2000;
  for (unsigned seed = 0; seed < 10; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    Vectors whole(optimizer_.get(), Random(kSize, seed));
    Vectors pieces(optimizer_.get(), Random(kSize, seed));
    for (int step = 0; step < 5; ++step) {
      const Values gradient = Random(kSize, 100 + static_cast<unsigned>(step));
      whole.Step(step, 0.1, gradient);
      pieces.Begin({step, 0.1, 0}, gradient);
      for (int64_t at = 0; at < static_cast<int64_t>(kSize);) {
        const int64_t size =
            std::min<int64_t>(1 + random() % 300, static_cast<int64_t>(kSize) - at);
        pieces.UpdateRange(gradient, at, size);
        at += size;
      }
    }
    EXPECT_EQ(pieces.parameters(), whole.parameters());
    EXPECT_EQ(pieces.slots(), whole.slots());
  }
}

TEST_P(OptimizerTest, InPlaceAndElsewhereGiveTheSameBits) {
  constexpr size_t kSize = 777;
  Vectors in_place(optimizer_.get(), Random(kSize, 1));
  Vectors source(optimizer_.get(), Random(kSize, 1));
  Vectors target(optimizer_.get(), Values(kSize, 0));
  const Values gradient = Random(kSize, 2);
  in_place.Begin({0, 0.1, 0}, gradient);
  const TileNorms expected = in_place.UpdateRange(gradient, 0, kSize);
  std::vector<const float*> in;
  std::vector<float*> out;
  for (Values& slot : source.slots()) in.push_back(slot.data());
  for (Values& slot : target.slots()) out.push_back(slot.data());
  Tile tile;
  tile.size = kSize;
  const Values applied = in_place.Applied(gradient);
  tile.gradient = applied.data();
  tile.parameters_in = source.parameters().data();
  tile.parameters_out = target.parameters().data();
  tile.slots_in = in.data();
  tile.slots_out = out.data();
  TileNorms norms;
  optimizer_->UpdateTile(tile, &norms);
  EXPECT_EQ(target.parameters(), in_place.parameters());
  EXPECT_EQ(target.slots(), in_place.slots());
  EXPECT_EQ(source.parameters(), Random(kSize, 1));
  EXPECT_EQ(norms.update, expected.update);
}

TEST_P(OptimizerTest, NothingToDoIsNoNan) {
  for (const float start : {0.0f, 1.0f}) {
    Vectors vectors(optimizer_.get(), Values(100, start));
    // Also when the loss is at its lower bound, and with the learning rate of a warm-up's start.
    for (int step = 0; step < 3; ++step) vectors.Step(step, 0.1 * step, Values(100, 0), /*loss=*/0);
    for (const float p : vectors.parameters()) ASSERT_TRUE(std::isfinite(p));
    vectors.Step(3, 0.1, Values(100, 1), /*loss=*/1);
    for (const float p : vectors.parameters()) ASSERT_TRUE(std::isfinite(p));
  }
}

TEST_P(OptimizerTest, NormsAreThoseOfGradientUpdateAndParameters) {
  constexpr size_t kSize = kTileElements;
  for (const float scale : {1.0f, 1e-25f, 1e15f}) {
    Vectors vectors(optimizer_.get(), Random(kSize, 1));
    Values gradient = Random(kSize, 2);
    for (float& g : gradient) g *= scale;
    const Values before = vectors.parameters();
    vectors.Begin({0, 1e-3, 0}, gradient);
    const TileNorms norms = vectors.UpdateRange(gradient, 0, kSize);
    const Values applied = vectors.Applied(gradient);
    TileNorms expected;
    for (size_t i = 0; i < kSize; ++i) {
      const auto square = [](double x) { return x * x; };
      expected.gradient += square(applied[i]);
      expected.update += square(vectors.parameters()[i] - before[i]);
      expected.parameters += square(vectors.parameters()[i]);
    }
    EXPECT_NEAR(norms.gradient, expected.gradient, 1e-5 * expected.gradient);
    EXPECT_NEAR(norms.update, expected.update, 1e-5 * expected.update);
    EXPECT_NEAR(norms.parameters, expected.parameters, 1e-5 * expected.parameters);
  }
}

INSTANTIATE_TEST_SUITE_P(Table, OptimizerTest, testing::ValuesIn(OptimizerTable()),
                         testing::PrintToStringParamName());

// A momentum that the schedule cycles takes the place of the optimizer's own.
TEST(CycledMomentumTest, IsWhatTheStepSays) {
  const std::pair<const char*, const char*> kinds[] = {
      {"momentum {}", "momentum { momentum: 0.5 }"},
      {"nesterov {}", "nesterov { momentum: 0.5 }"},
      {"rms_prop { momentum: 0.9 }", "rms_prop { momentum: 0.5 }"},
      {"lars {}", "lars { momentum: 0.5 }"},
      {"adam {}", "adam { beta1: 0.5 }"},
      {"adam_w {}", "adam_w { beta1: 0.5 }"},
      {"ams_grad {}", "ams_grad { beta1: 0.5 }"},
      {"ada_max {}", "ada_max { beta1: 0.5 }"},
      {"ada_max_w {}", "ada_max_w { beta1: 0.5 }"},
      {"r_adam {}", "r_adam { beta1: 0.5 }"},
      {"adam {} look_ahead {}", "adam { beta1: 0.5 } look_ahead {}"},
  };
  for (const auto& [cycled, fixed] : kinds) {
    const auto a = Make(cycled);
    const auto b = Make(fixed);
    EXPECT_TRUE(a->follows_momentum()) << cycled;
    Vectors follows(a.get(), Random(100, 1));
    Vectors has(b.get(), Random(100, 1));
    Vectors own(a.get(), Random(100, 1));
    for (int step = 0; step < 8; ++step) {
      const Values gradient = Random(100, 10 + static_cast<unsigned>(step));
      for (Vectors* const vectors : {&follows, &has, &own}) {
        // The optimizer of `follows` and `own` holds nothing between steps.
        vectors->Begin({step, 0.01, 0, vectors == &follows ? 0.5 : -1}, gradient);
        vectors->UpdateRange(gradient, 0, 100);
      }
    }
    EXPECT_EQ(follows.parameters(), has.parameters()) << cycled;
    EXPECT_NE(follows.parameters(), own.parameters()) << cycled;
  }
  for (const char* other :
       {"sgd {}", "rms_prop {}", "lion {}", "nesterov { form: FORM_LOOK_AHEAD }", "muon {}"}) {
    EXPECT_FALSE(Make(other)->follows_momentum()) << other;
  }
}

// Gradients of a quadratic, taken where each form says they are to be taken.
TEST(NesterovTest, BothFormsAreTheSameMethod) {
  constexpr double kRate = 0.03;
  constexpr double kMomentum = 0.9;
  const auto look_ahead = Make("nesterov { form: FORM_LOOK_AHEAD }");
  const auto reformulated = Make("nesterov { form: FORM_REFORMULATED }");
  const Values start = {3, -2, 0.5f, 10};
  const Values curvature = {1, 5, 0.1f, 20};
  Vectors a(look_ahead.get(), start);
  Vectors b(reformulated.get(), start);
  double difference_from_parameters = 0;
  for (int step = 0; step < 300; ++step) {
    Values gradient_a;
    Values gradient_b;
    for (size_t i = 0; i < start.size(); ++i) {
      gradient_a.push_back(curvature[i] * a.training()[i]);
      gradient_b.push_back(curvature[i] * b.training()[i]);
    }
    a.Step(step, kRate, gradient_a);
    b.Step(step, kRate, gradient_b);
    for (size_t i = 0; i < start.size(); ++i) {
      ASSERT_NEAR(a.training()[i], b.training()[i], 2e-6 * std::abs(start[i])) << step;
      // The slot is what it says: w + momentum * v.
      ASSERT_NEAR(a.training()[i], a.parameters()[i] + kMomentum * a.slots()[0][i], 1e-6);
      difference_from_parameters =
          std::max(difference_from_parameters,
                   std::abs(static_cast<double>(a.training()[i] - a.parameters()[i])));
    }
  }
  EXPECT_GT(difference_from_parameters, 0.1) << "the two points were never apart";
  EXPECT_NEAR(a.training()[3], 0, 1e-3);
}

TEST(NesterovTest, WeightDecayPullsAtThePointWhereTheGradientWasTaken) {
  const auto look_ahead = Make("nesterov { form: FORM_LOOK_AHEAD } weight_decay: 0.1");
  const auto reformulated = Make("nesterov {} weight_decay: 0.1");
  Vectors a(look_ahead.get(), {3, -2});
  Vectors b(reformulated.get(), {3, -2});
  for (int step = 0; step < 200; ++step) {
    a.Step(step, 0.03, {a.training()[0] - 1, a.training()[1]});
    b.Step(step, 0.03, {b.training()[0] - 1, b.training()[1]});
    ASSERT_NEAR(a.training()[0], b.training()[0], 1e-5);
    ASSERT_NEAR(a.training()[1], b.training()[1], 1e-5);
  }
}

TEST(NoisySgdTest, NoiseIsNormalAndIndependent) {
  constexpr size_t kSize = 1 << 20;
  const auto optimizer = Make("noisy_sgd { eta: 1 gamma: 0 seed: 7 }");
  // Adjacent steps, and elements that share random bits or a sum, or do not.
  Vectors first(optimizer.get(), Values(kSize, 0));
  Vectors second(optimizer.get(), Values(kSize, 0));
  first.Step(0, 1, Values(kSize, 0));
  second.Step(1, 1, Values(kSize, 0));
  const Values& noise = first.parameters();
  std::array<double, 6> moments = {};
  for (const float x : noise) {
    double power = 1;
    for (double& moment : moments) moment += (power *= x) / kSize;
  }
  // Six standard deviations of each mean: sqrt((2k - 1)!! / size) for the k-th moment.
  const double one = 6 / std::sqrt(static_cast<double>(kSize));
  EXPECT_NEAR(moments[0], 0, one);
  EXPECT_NEAR(moments[1], 1, std::sqrt(2) * one);
  EXPECT_NEAR(moments[2], 0, std::sqrt(15) * one);
  EXPECT_NEAR(moments[3], 3, std::sqrt(96) * one);
  EXPECT_NEAR(moments[4], 0, std::sqrt(945) * one);
  EXPECT_NEAR(moments[5], 15, std::sqrt(10395 - 225) * one);
  for (const size_t apart : {1, 8, 16, 32, 48, 64, 128, 240, 256}) {
    double product = 0;
    double squares = 0;
    for (size_t i = 0; i + apart < kSize; ++i) {
      const double x = noise[i];
      const double y = noise[i + apart];
      product += x * y / kSize;
      squares += (x * x - 1) * (y * y - 1) / kSize;
    }
    EXPECT_NEAR(product, 0, one) << apart;
    EXPECT_NEAR(squares, 0, 2 * one) << apart;
  }
  // 16 numbers from the same 16 sums: their squares add up as those of any others do, to 16 with a
  // variance of 32. (Six standard deviations: that of a squared deviation is 32 * sqrt(2.75).)
  double spread = 0;
  constexpr size_t kSums = kSize / 16;
  for (size_t sum = 0; sum < kSums; ++sum) {
    double squares = 0;
    for (size_t row = 0; row < 16; ++row) {
      const double x = noise[sum / 16 * 256 + row * 16 + sum % 16];
      squares += x * x;
    }
    spread += (squares - 16) * (squares - 16) / kSums;
  }
  EXPECT_NEAR(spread, 32, 6 * 32 * std::sqrt(2.75 / kSums));
  double product = 0;
  for (size_t i = 0; i < kSize; ++i) product += noise[i] * second.parameters()[i] / kSize;
  EXPECT_NEAR(product, 0, one);
  // The share beyond z is that of the normal distribution.
  for (const double z : {1.0, 2.0, 3.0, 4.0}) {
    const auto beyond =
        std::count_if(noise.begin(), noise.end(), [z](float x) { return std::abs(x) > z; });
    const double expected = std::erfc(z / std::sqrt(2)) * kSize;
    EXPECT_NEAR(static_cast<double>(beyond), expected, 6 * std::sqrt(expected)) << z;
  }
  // And the whole distribution is: Kolmogorov and Smirnov's distance, which one of a million
  // samples of that size exceeds.
  Values sorted = noise;
  std::sort(sorted.begin(), sorted.end());
  double distance = 0;
  for (size_t i = 0; i < kSize; ++i) {
    const double below = std::erfc(-sorted[i] / std::sqrt(2)) / 2;
    distance = std::max(distance, std::abs(below - (static_cast<double>(i) + 0.5) / kSize));
  }
  EXPECT_LT(distance, 2.7 / std::sqrt(static_cast<double>(kSize)));
}

TEST(NoisySgdTest, SeedsStepsAndPlacesHaveTheirOwnNoise) {
  const auto noise = [](const std::string& seed, int64_t step, int64_t first) {
    const auto optimizer = Make("noisy_sgd { eta: 1 gamma: 0 seed: " + seed + " }");
    Vectors vectors(optimizer.get(), Values(64, 0), first);
    vectors.Step(step, 1, Values(64, 0));
    return vectors.parameters();
  };
  const Values here = noise("1", 5, 0);
  EXPECT_EQ(noise("1", 5, 0), here);
  for (const Values& other :
       {noise("2", 5, 0), noise("1", 6, 0), noise("1", 5, 64), noise("1", 5, int64_t{1} << 33)}) {
    for (size_t i = 0; i < here.size(); ++i) EXPECT_NE(other[i], here[i]);
  }
  // Elements keep their noise wherever tiles begin.
  const Values later = noise("1", 5, 5);
  for (size_t i = 0; i + 5 < here.size(); ++i) EXPECT_EQ(later[i], here[i + 5]);
}

// Whatever the difference between two seeds: a run must not have the noise that another one had, or
// will have, some steps away.
TEST(NoisySgdTest, NoSeedHasTheNoiseOfAnotherAtOtherSteps) {
  constexpr int64_t kSteps = 12;
  // Next to each other, and apart by what generators count with.
  std::set<uint64_t> seeds;
  for (const uint64_t start : {uint64_t{0}, uint64_t{1}, uint64_t{123456789}}) {
    for (const uint64_t apart : {uint64_t{1}, kMixIncrement, uint64_t{0x6a09e667f3bcc909}}) {
      for (uint64_t i = 0; i < 8; ++i) seeds.insert({start + i * apart, start - i * apart});
    }
  }
  std::set<Values> noise;
  for (const uint64_t seed : seeds) {
    const auto optimizer = Make(absl::StrCat("noisy_sgd { eta: 1 gamma: 0 seed: ", seed, " }"));
    for (int64_t step = 0; step < kSteps; ++step) {
      Vectors vectors(optimizer.get(), Values(64, 0));
      vectors.Step(step, 1, Values(64, 0));
      noise.insert(vectors.parameters());
    }
  }
  EXPECT_EQ(noise.size(), seeds.size() * kSteps);
}

TEST(AsgdTest, TheAverageIsThatOfTheParametersSinceItsStart) {
  const auto optimizer = Make("asgd { averaging_start: 100 }");
  Vectors vectors(optimizer.get(), {3, -2});
  double sum = 0;
  for (int step = 0; step < 1000; ++step) {
    vectors.Step(step, 0.1,
                 {vectors.parameters()[0] - std::sin(0.1f * static_cast<float>(step)),
                  vectors.parameters()[1]});
    const double p = vectors.parameters()[0];
    if (step > 100) sum += p;
    const double expected = step > 100 ? sum / (step - 100) : p;
    ASSERT_NEAR(vectors.slots()[0][0], expected, 1e-5) << step;
  }
}

TEST(RpropTest, LaterLearningRatesHaveNoEffect) {
  const auto optimizer = Make("rprop {}");
  Vectors steady(optimizer.get(), {3, -2});
  Vectors changing(optimizer.get(), {3, -2});
  for (int step = 0; step < 100; ++step) {
    steady.Step(step, 0.1, {steady.parameters()[0] - 1, steady.parameters()[1]});
    changing.Step(step, 0.1 / (1 + step), {changing.parameters()[0] - 1, changing.parameters()[1]});
  }
  EXPECT_EQ(steady.parameters(), changing.parameters());
}

TEST(RpropTest, TinyGradientsHaveSigns) {
  const auto optimizer = Make("rprop {}");
  Vectors vectors(optimizer.get(), {1});
  vectors.Step(0, 0.1, {1e-30f});
  vectors.Step(1, 0.1, {1e-30f});
  EXPECT_FLOAT_EQ(vectors.slots()[0][0], 0.12f);
}

// The bits after a restart are those without one, and a step late in a run costs what the first
// one does: what is kept is a number, not the steps.
TEST(NAdamTest, TheMomentumProductIsKept) {
  const auto optimizer = Make("n_adam {}");
  std::vector<double> kept = {optimizer->scalars().at(0).initial_value};
  double product = 1;
  for (int step = 0; step < 50; ++step) {
    optimizer->BeginStep({step, 0.01, 0}, absl::MakeSpan(kept));
    product *= 0.9 * (1 - 0.5 * std::pow(0.96, (step + 1) * 4e-3));
    ASSERT_DOUBLE_EQ(kept[0], product);
  }
}

TEST(FtrlTest, SmallGradientsLeaveExactZeros) {
  const auto optimizer = Make("ftrl { l1: 1 }");
  Vectors vectors(optimizer.get(), {0, 0, 0.05f});
  for (int step = 0; step < 100; ++step) {
    vectors.Step(step, 0.1, {step % 2 == 0 ? 0.4f : -0.4f, -1, 0.1f * vectors.parameters()[2]});
  }
  EXPECT_EQ(vectors.parameters()[0], 0);
  EXPECT_GT(vectors.parameters()[1], 0.5f);
  EXPECT_EQ(vectors.parameters()[2], 0) << "the penalty acts on what was there at first too";
}

TEST(FtrlTest, AScheduleMovesNoParameterByItself) {
  for (const char* spec : {"ftrl {}", "ftrl { l1: 0.1 l2: 0.1 }"}) {
    const auto optimizer = Make(spec);
    Vectors vectors(optimizer.get(), {0.5f});
    for (int step = 0; step < 100; ++step) {
      vectors.Step(step, 0.1, {vectors.parameters()[0] - 2});
    }
    const float before = vectors.parameters()[0];
    vectors.Step(100, 0, {1});
    EXPECT_EQ(vectors.parameters()[0], before) << spec;
    vectors.Step(101, 0.001, {0});
    EXPECT_NEAR(vectors.parameters()[0], before, 1e-3) << spec;
  }
}

TEST(FtrlTest, NoGradientAndNoBetaIsNoNan) {
  const auto optimizer = Make("ftrl { beta: 0 }");
  Vectors vectors(optimizer.get(), {1, 2});
  vectors.Step(0, 0.1, {0, 1});
  EXPECT_EQ(vectors.parameters()[0], 1);
  EXPECT_FLOAT_EQ(vectors.parameters()[1], 1.9f);
}

TEST(AdaGradTest, NoGradientAndNoEpsilonIsNoNan) {
  const auto optimizer = Make("ada_grad { epsilon: 0 }");
  Vectors vectors(optimizer.get(), {1, 2});
  vectors.Step(0, 0.1, {0, 1});
  EXPECT_EQ(vectors.parameters()[0], 1);
  EXPECT_FLOAT_EQ(vectors.parameters()[1], 1.9f);
}

TEST(RmsPropTest, CenteredVarianceNeverTurnsNegative) {
  const auto optimizer = Make("rms_prop { centered: true }");
  Vectors vectors(optimizer.get(), Values(100, 1));
  for (int step = 0; step < 5000; ++step) vectors.Step(step, 1e-6, Values(100, 0.1f));
  for (const float p : vectors.parameters()) EXPECT_TRUE(std::isfinite(p));
}

}  // namespace
}  // namespace gradd
