// The same pushes give the same bits: parameters, slots and norms, for every optimizer and stage,
// whatever the threads, the length of blocks, the chunks and the encoding.

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "tests/core/run/cut_push.h"
#include "tests/core/run/every_stage.h"
#include "tests/support/trainee.h"

namespace gradd {
namespace {

constexpr int kTrainedSteps = 3;

// How a run is served and a push is cut.
struct Way {
  int64_t block_tiles;
  int threads;
  unsigned cuts;  // Seed of the places where chunks end.
};
constexpr Way kWays[] = {{64, 1, 1}, {1, 2, 2}, {3, 3, 3}, {2, 1, 4}};

std::string Train(const NamedOptimizer& optimizer, const Way& way, v1::Encoding encoding,
                  bool encoded) {
  Trainee trainee(SpecOf(optimizer), way.block_tiles * kTileElements, way.threads);
  std::mt19937 random(way.cuts);
  for (int step = 0; step < kTrainedSteps; ++step) {
    for (int worker = 0; worker < kCutWorkers; ++worker) {
      trainee.Push(static_cast<size_t>(worker), CutPush(encoding, encoded, step, worker, &random),
                   1 + worker);
    }
  }
  return trainee.Bits();
}

class DeterminismTest : public testing::TestWithParam<NamedOptimizer> {};

TEST_P(DeterminismTest, ThreadsBlocksAndChunksDoNotMatter) {
  const std::string expected = Train(GetParam(), kWays[0], v1::ENCODING_FLOAT32, true);
  for (const Way& way : kWays) {
    EXPECT_TRUE(Train(GetParam(), way, v1::ENCODING_FLOAT32, true) == expected)
        << "blocks of " << way.block_tiles << " tiles, " << way.threads << " threads";
  }
}

TEST_P(DeterminismTest, TheEncodingOfTheSameNumbersDoesNotMatter) {
  for (const v1::Encoding encoding :
       {v1::ENCODING_BFLOAT16, v1::ENCODING_FLOAT16, v1::ENCODING_INT8, v1::ENCODING_SPARSE}) {
    EXPECT_TRUE(Train(GetParam(), kWays[1], encoding, /*encoded=*/true) ==
                Train(GetParam(), kWays[2], encoding, /*encoded=*/false))
        << v1::Encoding_Name(encoding);
  }
}

INSTANTIATE_TEST_SUITE_P(Table, DeterminismTest, testing::ValuesIn(EveryOptimizerAndStage()),
                         [](const auto& param) { return param.param.name; });

std::string TrainRows(const NamedOptimizer& optimizer, const Way& way, bool one_worker) {
  v1::Run spec = SpecOf(optimizer);
  const int workers = one_worker ? 1 : kCutWorkers;
  spec.mutable_policy()->mutable_synchronous()->set_workers(workers);
  Trainee trainee(spec, way.block_tiles * kTileElements, way.threads);
  std::mt19937 cuts(way.cuts);
  for (int step = 0; step < kTrainedSteps; ++step) {
    for (int worker = 0; worker < workers; ++worker) {
      trainee.Push(static_cast<size_t>(worker), CutRows(step, worker, &cuts), 1 + worker);
    }
  }
  return trainee.Bits();
}

class RowsDeterminismTest : public testing::TestWithParam<NamedOptimizer> {};

TEST_P(RowsDeterminismTest, ThreadsBlocksAndChunksDoNotMatter) {
  for (const bool one_worker : {true, false}) {
    const std::string expected = TrainRows(GetParam(), kWays[0], one_worker);
    for (unsigned seed = 0; seed < 8; ++seed) {
      Way way = kWays[seed % 4];
      way.cuts = 10 + seed;
      EXPECT_TRUE(TrainRows(GetParam(), way, one_worker) == expected)
          << "blocks of " << way.block_tiles << " tiles, " << way.threads << " threads, cuts "
          << way.cuts << (one_worker ? ", one worker" : ", two workers");
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Table, RowsDeterminismTest, testing::ValuesIn(EveryLazyOptimizer()),
                         [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace gradd
