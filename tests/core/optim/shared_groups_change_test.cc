// Groups that are trained together, when they change and when they are restored.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/core/optim/optimizer_table.h"
#include "tests/core/optim/plan_trainer.h"

namespace gradd {
namespace {

using testing::ElementsAre;

TEST(SharedGroupsChangeTest, ARestoredRunGoesOnWithTheSameBits) {
  const Layout layout = MakeLayout({100, 30, 3000});
  const std::vector<std::string> groups = {
      "pattern: 'b' weight_decay: 0.1 learning_rate_factor: 0.5"};
  for (const OptimizerCase& row : OptimizerTable()) {
    SCOPED_TRACE(row.name);
    const std::string spec = absl::StrCat(row.spec, " clip_by_global_norm: 1");
    if (!MakePlan(layout, spec, groups, kTileElements).ok()) continue;  // Takes no decay.
    Trainer trainer(layout, spec, groups);
    trainer.Train(3, row.parabola_rate);
    const Saved saved = trainer.Save();
    trainer.Train(3, row.parabola_rate, 20);
    Trainer restored(layout, spec, groups, kTileElements, /*threads=*/1, /*seed=*/2);
    ASSERT_TRUE(restored.Restore(saved).ok());
    ExpectSameBits(restored.Save(), saved);
    restored.Train(3, row.parabola_rate, 20);
    ExpectSameBits(restored.Save(), trainer.Save());
  }
}

// A leader without tensors has a count of steps that the state does not name.
TEST(SharedGroupsChangeTest, ARestoredRunWhoseGroupsHaveAllTensorsGoesOnWithTheSameBits) {
  const Layout layout = MakeLayout({10, 10});
  const std::vector<std::string> groups = {"pattern: 'a' weight_decay: 0",
                                           "pattern: 'b' weight_decay: 0.1"};
  for (const OptimizerCase& row : OptimizerTable()) {
    SCOPED_TRACE(row.name);
    if (!MakePlan(layout, row.spec, groups, kTileElements).ok()) continue;  // Takes no decay.
    Trainer trainer(layout, "sgd {}");
    trainer.Train(2, 0.1);
    trainer.Change(row.spec, groups);
    trainer.Train(2, row.parabola_rate, 20);
    Trainer restored(layout, row.spec, groups);
    ASSERT_TRUE(restored.Restore(trainer.Save()).ok());
    for (Trainer* const each : {&trainer, &restored}) each->Train(2, row.parabola_rate, 30);
    ExpectSameBits(restored.Save(), trainer.Save());
  }
}

// As of torch, which counts the steps of each parameter.
TEST(SharedGroupsChangeTest, AGroupThatThawsBeginsWithItsFirstStepAndTheOthersGoOn) {
  const std::string adam = "adam {} clip_by_global_norm: 100";
  Trainer trainer(MakeLayout({10, 10}), adam, {"pattern: 'b' frozen: true"});
  trainer.Train(3, 0.1);
  const Values before = trainer.slot("first_moment");
  trainer.Change(adam, {"pattern: 'b' learning_rate_factor: 0.5"});
  EXPECT_EQ(trainer.slot("first_moment"), before);
  const Values parameters = trainer.parameters();
  trainer.Step(Values(20, 1), 0.1);
  // The first step of Adam is the rate in the direction of the sign.
  for (size_t i = 10; i < 20; ++i) {
    EXPECT_NEAR(trainer.parameters()[i], parameters[i] - 0.05F, 1e-6) << i;
  }
  const PlanState state = trainer.plan().state();
  EXPECT_EQ(std::get<std::vector<int64_t>>(state.at("groups/0/first_step")).front(), 3);
  EXPECT_EQ(std::get<std::vector<int64_t>>(state.at("groups/1/first_step")).front(), 0);
  // In one group they would have to have begun together.
  trainer.Change(adam);
  EXPECT_EQ(trainer.slot("first_moment"), Values(20, 0));
}

// What a group keeps that leaves the others, joins them, or is frozen.
TEST(SharedGroupsChangeTest, ScopesGoOnWhereTheirTensorsWereTogether) {
  const Layout layout = MakeLayout({10, 10, 10});
  Trainer trainer(layout, "prodigy {}", {"pattern: 'b' weight_decay: 0.1"});
  trainer.Train(4, 1);
  const std::vector<double> kept = trainer.kept();
  const auto first_step = [&](const std::string& group) {
    return std::get<std::vector<int64_t>>(
               trainer.plan().state().at(absl::StrCat("groups/", group, "/first_step")))
        .front();
  };
  // "c" gets an optimizer of its own of the same kind: both go on from what they had together.
  const std::string own = "pattern: 'c' optimizer { prodigy {} }";
  trainer.Change("prodigy {}", {own, "pattern: 'b' weight_decay: 0.1"});
  EXPECT_THAT(trainer.kept(), ElementsAre(kept[0], kept[1], kept[0], kept[1]));
  EXPECT_EQ(first_step("0"), 0);
  EXPECT_EQ(first_step("2"), 0);
  // "b" freezes: the rest goes on.
  trainer.Change("prodigy {}", {own, "pattern: 'b' frozen: true"});
  EXPECT_THAT(trainer.kept(), ElementsAre(kept[0], kept[1], kept[0], kept[1]));
  trainer.Train(2, 1);
  // "c" joins "a" again: what they know of steps and distances is not the same.
  trainer.Change("prodigy {}", {"pattern: 'b' frozen: true"});
  EXPECT_EQ(first_step("1"), 6);
  EXPECT_THAT(trainer.kept(), ElementsAre(1e-6, 0));
}

}  // namespace
}  // namespace gradd
