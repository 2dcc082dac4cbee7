#include "core/diagnostics/loss_phase.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "core/diagnostics/divergence.h"
#include "core/diagnostics/loss_tracker.h"

namespace gradd {
namespace {

constexpr int64_t kBlock = DivergenceDetector::kBlockSteps;
constexpr int64_t kWindow = kBlock * static_cast<int64_t>(LossPhase::kBlocks);

std::vector<v1::Phase> PhasesOf(const std::vector<double>& blocks) {
  LossPhase phase;
  std::vector<v1::Phase> phases;
  for (const double block : blocks) {
    phase.AddBlock(block);
    phases.push_back(phase.phase());
  }
  return phases;
}

// `count` blocks that each are `factor` times the one before, from 1 on.
std::vector<double> Geometric(double factor, int count) {
  std::vector<double> blocks;
  for (int i = 0; i < count; ++i) blocks.push_back(std::pow(factor, i));
  return blocks;
}

TEST(LossPhaseTest, StartsAndThenSaysWhatTheFirstTenBlocksDo) {
  for (const auto& [factor, expected] : {std::pair{0.99, v1::PHASE_DESCENDING},
                                         {1.0, v1::PHASE_LEVEL},
                                         {1.01, v1::PHASE_LEVEL},
                                         {0.9985, v1::PHASE_LEVEL}}) {  // 1.3 % over the window.
    const std::vector<v1::Phase> phases = PhasesOf(Geometric(factor, 10));
    EXPECT_EQ(phases[8], v1::PHASE_STARTING) << factor;
    EXPECT_EQ(phases[9], expected) << factor;
  }
}

TEST(LossPhaseTest, ANegativeLossDescendsByItsMagnitude) {
  std::vector<double> blocks;
  for (int i = 0; i < 10; ++i) blocks.push_back(-5 - 0.1 * i);
  EXPECT_EQ(PhasesOf(blocks).back(), v1::PHASE_DESCENDING);
}

// Down by a half over the window: but with that noise, t is about -4.
TEST(LossPhaseTest, ASlopeHasToBeClearOfItsNoise) {
  const std::vector<double> kNoise = {0.2, -0.3, 0.3, -0.1, -0.2, 0.3, -0.3, 0.1, 0.2, -0.2};
  std::vector<double> noisy;
  std::vector<double> quiet;
  for (size_t i = 0; i < kNoise.size(); ++i) {
    const double line = 2 - 0.1 * static_cast<double>(i);
    noisy.push_back(line + kNoise[i]);
    quiet.push_back(line + 0.1 * kNoise[i]);
  }
  EXPECT_EQ(PhasesOf(noisy).back(), v1::PHASE_LEVEL);
  EXPECT_EQ(PhasesOf(quiet).back(), v1::PHASE_DESCENDING);
}

TEST(LossPhaseTest, IsLeftWhenTwoBlocksInARowSaySo) {
  std::vector<double> blocks = Geometric(0.9, 20);
  blocks.push_back(blocks.back() * 30);  // One that is high spoils the fit of the ten it is among.
  blocks.push_back(blocks[19]);
  const std::vector<v1::Phase> phases = PhasesOf(blocks);
  EXPECT_EQ(phases[19], v1::PHASE_DESCENDING);
  EXPECT_EQ(phases[20], v1::PHASE_DESCENDING);
  EXPECT_EQ(phases[21], v1::PHASE_LEVEL);
}

// In 1,000 runs of 2,000 steps that are noise alone, at most 1 % of what is said is that they
// descend; of those whose losses depend on one another, more.
TEST(LossPhaseTest, NoiseIsLevel) {
  struct Row {
    const char* name;
    std::function<double(std::mt19937_64*)> loss;
    double most;
  };
  double walk = 0;
  const auto normal = [](std::mt19937_64* random) {
    return std::normal_distribution<double>()(*random);
  };
  const Row kTable[] = {
      {"normal around 1", [&](auto* random) { return 1 + 0.3 * normal(random); }, 0.01},
      {"negative", [&](auto* random) { return -5 + normal(random); }, 0.01},
      {"lognormal", [&](auto* random) { return std::exp(normal(random)); }, 0.01},
      {"autocorrelated",
       [&](auto* random) {
         walk = 0.9 * walk + std::sqrt(1 - 0.81) * normal(random);
         return 5 + walk;
       },
       0.05},
  };
  for (const Row& row : kTable) {
    int64_t said = 0;
    int64_t descending = 0;
    for (uint64_t seed = 0; seed < 1000; ++seed) {
      std::mt19937_64 random(seed);
      LossTracker tracker;
      for (int64_t step = 1; step <= 2000; ++step) {
        tracker.AddStep(row.loss(&random), 1, 0);
        if (step < kWindow) {
          ASSERT_EQ(tracker.summary().phase, v1::PHASE_STARTING);
          continue;
        }
        ++said;
        descending += tracker.summary().phase == v1::PHASE_DESCENDING ? 1 : 0;
      }
    }
    EXPECT_LE(static_cast<double>(descending), row.most * static_cast<double>(said)) << row.name;
  }
}

TEST(LossPhaseTest, OfARunThatComesDownLevelsOffAndDiverges) {
  std::mt19937_64 random(7);
  LossTracker tracker;
  std::vector<v1::Phase> phases = {v1::PHASE_UNSPECIFIED};  // After no step.
  for (int64_t step = 1; step <= 4000; ++step) {
    const double noise = 1 + 0.1 * std::normal_distribution<double>()(random);
    const double loss = step <= 1000   ? std::exp(-static_cast<double>(step) / 400)
                        : step <= 3000 ? std::exp(-2.5)
                                       : std::numeric_limits<double>::infinity();
    tracker.AddStep(loss * noise, 1, 0);
    phases.push_back(tracker.summary().phase);
  }
  EXPECT_EQ(phases[199], v1::PHASE_STARTING);
  for (const int64_t step : {200, 500, 1000}) EXPECT_EQ(phases[step], v1::PHASE_DESCENDING) << step;
  for (const int64_t step : {1300, 2000, 3000}) EXPECT_EQ(phases[step], v1::PHASE_LEVEL) << step;
  EXPECT_EQ(phases[3001], v1::PHASE_DIVERGING);
}

TEST(LossPhaseTest, StatesThatCannotBeAreRefusedByName) {
  struct Row {
    const char* what;
    std::function<void(state::v1::PhaseState*)> change;
  };
  const Row kTable[] = {
      {"phase.blocks: 11 means", [](auto* state) { state->add_blocks(1); }},
      {"phase.phase: 1 after 10 blocks", [](auto* state) { state->set_phase(v1::PHASE_STARTING); }},
      {"phase.phase: 4 after 10 blocks",
       [](auto* state) { state->set_phase(v1::PHASE_DIVERGING); }},
      {"phase.phase: 2 after 9 blocks", [](auto* state) { state->mutable_blocks()->RemoveLast(); }},
  };
  LossPhase descending;
  for (const double block : Geometric(0.9, 12)) descending.AddBlock(block);
  for (const Row& row : kTable) {
    state::v1::PhaseState state;
    descending.Write(&state);
    row.change(&state);
    EXPECT_NE(LossPhase().Read(state).message().find(row.what), std::string::npos)
        << LossPhase().Read(state);
  }
  LossPhase fresh;
  EXPECT_TRUE(fresh.Read(state::v1::PhaseState()).ok()) << "what an older server has written";
  EXPECT_EQ(fresh.phase(), v1::PHASE_STARTING);
}

}  // namespace
}  // namespace gradd
