#include "core/diagnostics/divergence.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace gradd {
namespace {

using Random = std::mt19937_64;
using Losses = std::function<double(int64_t step, Random*)>;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double Normal(Random* random) { return std::normal_distribution<double>()(*random); }

// The step after which it is said; 0: never.
int64_t SaidAfter(const Losses& losses, int64_t steps, uint64_t seed) {
  Random random(seed);
  DivergenceDetector detector;
  for (int64_t step = 1; step <= steps; ++step) {
    detector.Add(step, losses(step, &random));
    if (detector.divergence().has_value()) return step;
  }
  return 0;
}

struct Stationary {
  const char* name;
  Losses losses;
  int most;  // False alarms in 250 runs of 2,000 steps.
};

TEST(DivergenceTest, HasNoFalseAlarmsWhereTheLossOnlyIsNoisy) {
  double walk = 0;
  const auto autocorrelated = [&walk](int64_t step, Random* random) {
    walk = step == 1 ? Normal(random) : 0.9 * walk + std::sqrt(1 - 0.81) * Normal(random);
    return std::exp(walk);
  };
  const std::vector<Stationary> kTable = {
      {"normal around 1", [](int64_t, Random* r) { return 1 + 0.3 * Normal(r); }, 0},
      {"normal around 0", [](int64_t, Random* r) { return Normal(r); }, 0},
      {"negative", [](int64_t, Random* r) { return -5 + Normal(r); }, 0},
      {"lognormal", [](int64_t, Random* r) { return std::exp(Normal(r)); }, 0},
      {"lognormal, heavy tail", [](int64_t, Random* r) { return std::exp(2 * Normal(r)); }, 1},
      {"exponential",
       [](int64_t, Random* r) { return std::exponential_distribution<double>()(*r); }, 0},
      {"chi squared", [](int64_t, Random* r) { return std::pow(Normal(r), 2); }, 0},
      {"autocorrelated lognormal", autocorrelated, 0},
      {"descending to noise",
       [](int64_t step, Random* r) {
         return std::exp(-static_cast<double>(step) / 100) + 1e-3 * std::abs(Normal(r));
       },
       0},
      {"descending, lognormal",
       [](int64_t step, Random* r) {
         return std::exp(-static_cast<double>(step) / 300 + Normal(r));
       },
       0},
      {"in waves",
       [](int64_t step, Random* r) {
         return 1 + 0.9 * std::sin(static_cast<double>(step) / 100) + 0.02 * Normal(r);
       },
       0},
      {"constant", [](int64_t, Random*) { return 0.5; }, 0},
      {"zero", [](int64_t, Random*) { return 0.0; }, 0},
  };
  for (const Stationary& row : kTable) {
    int alarms = 0;
    for (uint64_t run = 0; run < 250; ++run) alarms += SaidAfter(row.losses, 2000, run) > 0;
    EXPECT_LE(alarms, row.most) << row.name;
  }
}

struct Onset {
  const char* name;
  std::function<double(int64_t steps_after)> factor;
  int64_t most;  // Steps from the onset until it is said.
};

TEST(DivergenceTest, IsSaidSoonAfterTheLossLeaves) {
  constexpr int64_t kOnset = 1000;
  const std::vector<Onset> kTable = {
      {"1.01 a step", [](int64_t t) { return std::pow(1.01, t); }, 260},
      {"1.05 a step", [](int64_t t) { return std::pow(1.05, t); }, 100},
      {"a jump to 31 times", [](int64_t) { return 31.0; }, 40},
  };
  for (const Onset& row : kTable) {
    for (uint64_t run = 0; run < 100; ++run) {
      const Losses losses = [&row](int64_t step, Random* r) {
        return std::exp(0.5 * Normal(r)) * (step < kOnset ? 1 : row.factor(step - kOnset));
      };
      const int64_t said = SaidAfter(losses, 2000, run);
      EXPECT_GE(said, kOnset) << row.name << ", run " << run;
      EXPECT_LE(said, kOnset + row.most) << row.name << ", run " << run;
    }
  }
}

TEST(DivergenceTest, IsSaidOfARunThatGrowsFromItsFirstStep) {
  const std::vector<std::pair<double, int64_t>> kTable = {{1.02, 440}, {1.05, 220}, {1.5, 100}};
  for (const auto& [growth, most] : kTable) {
    const int64_t said = SaidAfter(
        [growth = growth](int64_t step, Random*) {
          return std::pow(growth, static_cast<double>(step));
        },
        1000, 1);
    EXPECT_GT(said, 0) << growth;
    EXPECT_LE(said, most) << growth;
  }
}

TEST(DivergenceTest, ALossThatIsNotFiniteDivergesAtOnce) {
  for (const double loss : {kInfinity, -kInfinity, std::nan("")}) {
    DivergenceDetector detector;
    detector.Add(1, 0.5);
    detector.Add(2, loss);
    ASSERT_TRUE(detector.divergence().has_value()) << loss;
    EXPECT_EQ(detector.divergence()->Text(), "loss is not finite since step 2");
    detector.Add(3, loss);
    EXPECT_EQ(detector.divergence()->Text(), "loss is not finite since step 2");
  }
}

void AddBlocks(int blocks, double loss, int64_t* step, DivergenceDetector* detector) {
  for (int i = 0; i < blocks * DivergenceDetector::kBlockSteps; ++i) detector->Add(++*step, loss);
}

TEST(DivergenceTest, KnowsWhatIsHighBeforeItIsSaid) {
  DivergenceDetector detector;
  int64_t step = 0;
  for (int i = 0; i < 205; ++i) detector.Add(++step, 1 + 1e-3 * std::sin(i));
  EXPECT_FALSE(detector.HighSince().has_value());
  detector.Add(++step, 1e9);
  EXPECT_EQ(detector.HighSince(), 201) << "of the block that is not full";
  while (step % DivergenceDetector::kBlockSteps != 0) detector.Add(++step, 1e9);
  EXPECT_FALSE(detector.divergence().has_value());
  EXPECT_EQ(detector.HighSince(), 201) << "of the one before";
  detector.Add(++step, 1);
  EXPECT_EQ(detector.HighSince(), 201) << "as long as the next is not full";
  for (int i = 1; i < DivergenceDetector::kBlockSteps; ++i) detector.Add(++step, 1);
  EXPECT_FALSE(detector.HighSince().has_value());
}

TEST(DivergenceTest, SaysSinceWhenAndHowFar) {
  DivergenceDetector detector;
  int64_t step = 0;
  AddBlocks(60, 2, &step, &detector);
  AddBlocks(1, 62, &step, &detector);
  EXPECT_FALSE(detector.divergence().has_value()) << "one block says little";
  AddBlocks(1, 62, &step, &detector);
  ASSERT_TRUE(detector.divergence().has_value());
  EXPECT_EQ(detector.divergence()->Text(), "loss is 31x its best since step 1,201");
  AddBlocks(100, 80, &step, &detector);
  EXPECT_EQ(detector.divergence()->Text(), "loss is 40x its best since step 1,201")
      << "it does not get used to it";
}

TEST(DivergenceTest, SaysANegativeLossAsItIs) {
  DivergenceDetector detector;
  int64_t step = 0;
  AddBlocks(30, -4, &step, &detector);
  AddBlocks(2, 31, &step, &detector);
  ASSERT_TRUE(detector.divergence().has_value());
  EXPECT_EQ(detector.divergence()->Text(), "loss is 31 since step 601, its best was -4");
}

TEST(DivergenceTest, IsOverWhenTheLossIsBack) {
  DivergenceDetector detector;
  int64_t step = 0;
  AddBlocks(20, 1, &step, &detector);
  AddBlocks(2, 100, &step, &detector);
  AddBlocks(1, 2, &step, &detector);
  EXPECT_TRUE(detector.divergence().has_value());
  AddBlocks(1, 2, &step, &detector);
  EXPECT_FALSE(detector.divergence().has_value());
  AddBlocks(2, 100, &step, &detector);
  EXPECT_TRUE(detector.divergence().has_value()) << "and can come again";
}

TEST(DivergenceTest, OneHighBlockIsNoise) {
  DivergenceDetector detector;
  int64_t step = 0;
  AddBlocks(15, 1, &step, &detector);
  for (int i = 0; i < 20; ++i) {
    AddBlocks(5, 1, &step, &detector);
    AddBlocks(1, 50, &step, &detector);
    EXPECT_FALSE(detector.divergence().has_value()) << i;
  }
}

TEST(DivergenceTest, ALossThatIsNextToNothingMayTriple) {
  DivergenceDetector detector;
  int64_t step = 0;
  AddBlocks(2, 2.3, &step, &detector);
  for (double loss = 1; loss > 1e-9; loss /= 2) AddBlocks(3, loss, &step, &detector);
  AddBlocks(60, 0, &step, &detector);
  for (const double loss : {1e-12, 1e-8, 1e-4, 2e-3}) {
    AddBlocks(4, loss, &step, &detector);
    EXPECT_FALSE(detector.divergence().has_value()) << loss;
  }
  AddBlocks(4, 0.1, &step, &detector);
  EXPECT_TRUE(detector.divergence().has_value()) << "40 times as high as what is still nothing";
}

TEST(DivergenceTest, AFiniteLossAfterOneThatWasNotIsShown) {
  DivergenceDetector detector;
  int64_t step = 0;
  detector.Add(++step, kInfinity);
  AddBlocks(1, 3, &step, &detector);
  ASSERT_TRUE(detector.divergence().has_value());
  EXPECT_EQ(detector.divergence()->Text(), "loss was not finite since step 1, it is 3");
  AddBlocks(1, 3, &step, &detector);
  EXPECT_FALSE(detector.divergence().has_value());
}

}  // namespace
}  // namespace gradd
