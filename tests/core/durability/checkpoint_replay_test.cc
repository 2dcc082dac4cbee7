// A run goes on from a checkpoint to the same bits: for every optimizer and stage.

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "tests/core/durability/checkpoint_files.h"
#include "tests/core/run/cut_push.h"
#include "tests/core/run/every_stage.h"
#include "tests/support/trainee.h"
#include "tests/support/update.h"

namespace gradd {
namespace {

// Not a multiple of any window, so that one is open.
constexpr int kRoundsBefore = 5;
constexpr int kRoundsAfter = 20;

void Round(Trainee* trainee, int number) {
  std::mt19937 cuts(static_cast<unsigned>(number));
  for (int worker = 0; worker < kCutWorkers; ++worker) {
    trainee->Push(static_cast<size_t>(worker),
                  CutPush(v1::ENCODING_FLOAT32, /*encoded=*/true, number, worker, &cuts),
                  1 + worker);
  }
}

// But for how many events led there: workers come back to a run that goes on.
std::string StateText(const Trainee& trainee) {
  state::v1::RunState state = trainee.State();
  state.clear_events();
  return state.ShortDebugString();
}

class CheckpointReplayTest : public testing::TestWithParam<NamedOptimizer> {};

TEST_P(CheckpointReplayTest, ARunGoesOnFromAFileToTheSameBits) {
  Trainee trainee(SpecOf(GetParam()), 2 * kTileElements);
  for (int number = 0; number < kRoundsBefore; ++number) Round(&trainee, number);
  const Trainee::OriginMaker from = [&trainee](const RunEnvironment& environment) {
    return ThroughAFile(trainee.Capture(), environment);
  };
  Trainee restored(from, 2 * kTileElements);
  // It is cut into other blocks here than where it was written.
  Trainee recut(from, 3 * kTileElements, /*threads=*/1);
  ASSERT_TRUE(restored.Bits() == trainee.Bits());
  for (int number = kRoundsBefore; number < kRoundsBefore + kRoundsAfter; ++number) {
    for (Trainee* const each : {&trainee, &restored, &recut}) Round(each, number);
  }
  EXPECT_TRUE(restored.Bits() == trainee.Bits());
  EXPECT_EQ(StateText(restored), StateText(trainee));
  EXPECT_TRUE(recut.parameters() == trainee.parameters());
  EXPECT_EQ(StateText(recut), StateText(trainee));
}

// Some tensors have other slots than others, some have none, and some have had others before.
TEST(CheckpointGroupsTest, SlotsThatSomeTensorsHaveGoOn) {
  const NamedOptimizer adam = EveryOptimizerAndStage().front();
  v1::Run spec = SpecOf(adam);
  spec.mutable_optimizer()->mutable_adam();
  v1::ParameterGroup& frozen = *spec.add_groups();
  frozen.set_pattern("bias");
  frozen.set_frozen(true);
  v1::ParameterGroup& other = *spec.add_groups();
  other.set_pattern("matrix|filter");
  other.mutable_optimizer()->mutable_momentum();
  Trainee trainee(spec, 2 * kTileElements);
  Round(&trainee, 0);
  v1::Run values = spec;
  values.mutable_groups(1)->set_pattern("table");
  values.mutable_groups(0)->set_pattern("vector");
  google::protobuf::FieldMask mask;
  mask.add_paths("groups");
  ASSERT_TRUE(UpdateAndWait(trainee.run(), values, mask, "ada").ok());
  Round(&trainee, 1);

  const Trainee::OriginMaker from = [&trainee](const RunEnvironment& environment) {
    return ThroughAFile(trainee.Capture(), environment);
  };
  Trainee restored(from, 2 * kTileElements);
  Trainee recut(from, kTileElements);
  *values.mutable_groups() = spec.groups();
  for (Trainee* const each : {&trainee, &restored, &recut}) {
    Round(each, 2);
    // Back again: what begins anew does so whatever lay there.
    ASSERT_TRUE(UpdateAndWait(each->run(), values, mask, "ada").ok());
    Round(each, 3);
    Round(each, 4);
  }
  EXPECT_TRUE(restored.parameters() == trainee.parameters());
  EXPECT_TRUE(recut.parameters() == trainee.parameters());
  EXPECT_EQ(StateText(restored), StateText(trainee));
}

INSTANTIATE_TEST_SUITE_P(Table, CheckpointReplayTest, testing::ValuesIn(EveryOptimizerAndStage()),
                         [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace gradd
