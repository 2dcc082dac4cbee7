#include "core/optim/update_plan.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "core/base/thread_pool.h"
#include "core/optim/optimizer_factory.h"
#include "core/store/layout.h"
#include "core/store/parameter_store.h"
#include "tests/core/optim/optimizer_table.h"
#include "tests/core/optim/plan_trainer.h"

namespace gradd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const char kAdam[] = "adam {}";
const char kDecoupled[] = "weight_decay_mode: WEIGHT_DECAY_MODE_DECOUPLED";

// Groups that began at different steps, and blocks that not every slot has.
void ExpectThatARestoredRunGoesOn(const std::string& optimizer, double learning_rate) {
  const Layout layout = MakeLayout({1, 100, 3000, 2, 5000, 33});
  const std::string of_momentum = "pattern: 'c' optimizer { momentum {} }";
  const std::vector<std::string> groups = {of_momentum,
                                           "pattern: '[be]' learning_rate_factor: 0.5"};
  Trainer trainer(layout, optimizer, {of_momentum, "pattern: '[be]' frozen: true"});
  trainer.Train(2, learning_rate);
  trainer.Change(optimizer, groups);
  trainer.Train(3, learning_rate);
  const Saved saved = trainer.Save();
  trainer.Train(3, learning_rate, 20);
  const Saved expected = trainer.Save();
  for (const float p : trainer.parameters()) ASSERT_TRUE(std::isfinite(p));
  ASSERT_NE(BytesOf(saved.snapshot.parameters), BytesOf(expected.snapshot.parameters));

  Trainer fresh(layout, optimizer, groups, kTileElements, /*threads=*/1, /*seed=*/2);
  for (Trainer* const restored : {&fresh, &trainer}) {
    SCOPED_TRACE(restored == &fresh ? "a fresh one" : "back to where it was");
    const absl::Status status = restored->Restore(saved);
    ASSERT_TRUE(status.ok()) << status;
    ExpectSameBits(restored->Save(), saved);
    restored->Train(3, learning_rate, 20);
    ExpectSameBits(restored->Save(), expected);
  }
}

class UpdatePlanTableTest : public testing::TestWithParam<OptimizerCase> {};

TEST_P(UpdatePlanTableTest, BlocksAndThreadsDoNotMatter) {
  const Layout layout = MakeLayout({1, 100, 3000, 2, 5000, 4096, 33});
  Trainer expected(layout, GetParam().spec);
  expected.Train(4, GetParam().parabola_rate);
  for (const auto& [tiles, threads] : {std::pair{2, 1}, {1, 5}, {3, 3}, {100, 2}}) {
    Trainer actual(layout, GetParam().spec, {}, tiles * kTileElements, threads);
    actual.Train(4, GetParam().parabola_rate);
    EXPECT_EQ(actual.parameters(), expected.parameters()) << tiles;
    EXPECT_EQ(actual.training(), expected.training()) << tiles;
    EXPECT_EQ(actual.kept(), expected.kept()) << tiles;
  }
}

TEST_P(UpdatePlanTableTest, ARestoredRunGoesOnWithTheSameBits) {
  ExpectThatARestoredRunGoesOn(GetParam().spec, GetParam().parabola_rate);
}

INSTANTIATE_TEST_SUITE_P(Table, UpdatePlanTableTest, testing::ValuesIn(OptimizerTable()),
                         testing::PrintToStringParamName());

// Sums are taken in the order of the pieces, and transforms are those of a tensor.
std::vector<OptimizerCase> RowsWithoutSumsAndTransforms() {
  std::vector<OptimizerCase> rows;
  for (const OptimizerCase& row : OptimizerTable()) {
    const auto plan = *MakePlan(MakeLayout({1}), row.spec, {}, kTileElements);
    if (plan->sum_passes() == 0 && plan->transformed_tensors() == 0) rows.push_back(row);
  }
  return rows;
}

class CutTilesTest : public testing::TestWithParam<OptimizerCase> {};

TEST_P(CutTilesTest, TensorsThatCutTilesDoNotMatterWithoutSums) {
  Trainer whole(MakeLayout({7000}, 0.5F), GetParam().spec);
  Trainer cut(MakeLayout({1, 6, 93, 2000, 4000, 17, 883}, 0.5F), GetParam().spec);
  whole.Train(4, GetParam().parabola_rate);
  cut.Train(4, GetParam().parabola_rate);
  EXPECT_EQ(cut.parameters(), whole.parameters());
  EXPECT_EQ(cut.training(), whole.training());
  EXPECT_EQ(cut.kept(), whole.kept());
}

INSTANTIATE_TEST_SUITE_P(Table, CutTilesTest, testing::ValuesIn(RowsWithoutSumsAndTransforms()),
                         testing::PrintToStringParamName());

TEST(UpdatePlanTest, ARestoredRunGoesOnWithWhatIsAroundItsOptimizer) {
  for (const char* const around :
       {"look_ahead {}", "parameter_average {}", "accumulation_steps: 2", "clip_by_global_norm: 1",
        "adaptive_clipping: 0.01 centralize_gradient: true"}) {
    SCOPED_TRACE(around);
    ExpectThatARestoredRunGoesOn(absl::StrCat("prodigy {} ", around), 1);
  }
}

TEST(UpdatePlanTest, AChangeRightAfterARestoreBeginsAtTheStepThatItWouldHave) {
  const Layout layout = MakeLayout({10, 10});
  const std::vector<std::string> groups = {"pattern: 'b' frozen: true"};
  Trainer trainer(layout, kAdam, groups);
  trainer.Train(3, 0.1);
  Trainer restored(layout, kAdam, groups);
  ASSERT_TRUE(restored.Restore(trainer.Save()).ok());
  for (Trainer* const each : {&trainer, &restored}) {
    each->Change(kAdam);
    each->Train(3, 0.1, 20);
  }
  ExpectSameBits(restored.Save(), trainer.Save());
}

TEST(UpdatePlanTest, TheNormOfTheParametersIsNotKnownAfterARestore) {
  Trainer trainer(MakeLayout({10}), kAdam);
  const Saved saved = trainer.Save();
  trainer.Train(1, 0.1);
  ASSERT_FALSE(trainer.plan().NeedsMeasure());
  ASSERT_TRUE(trainer.Restore(saved).ok());
  EXPECT_TRUE(trainer.plan().NeedsMeasure());
}

TEST(UpdatePlanTest, AStateThatDoesNotFitIsRefusedByNameAndChangesNothing) {
  const Layout layout = MakeLayout({6, 5, 7});
  const std::vector<std::string> groups = {"pattern: 'c' optimizer { novo_grad {} }"};
  Trainer trainer(layout, "adafactor {}", groups);
  trainer.Train(3, 0.1);
  const Saved good = trainer.Save();
  const std::string scalars = "groups/0/scalars/second_moment";
  const std::string factor = "tensors/row_second_moment/a";
  const struct {
    std::function<void(PlanState*)> spoil;
    std::string message;
  } cases[] = {
      {[](PlanState* state) { state->erase("next_step"); }, "next_step: missing"},
      {[](PlanState* state) { state->erase("groups/1/first_step"); },
       "groups/1/first_step: missing"},
      {[&](PlanState* state) { state->erase(scalars); }, scalars + ": missing"},
      {[&](PlanState* state) { state->erase(factor); }, factor + ": missing"},
      {[&](PlanState* state) { (*state)[scalars] = std::vector<double>(2); },
       scalars + ": 2 values, 1 expected"},
      {[&](PlanState* state) { (*state)[factor] = Values(3); }, factor + ": 3 values, 2 expected"},
      {[&](PlanState* state) { (*state)["next_step"] = std::vector<int64_t>(); },
       "next_step: 0 values, 1 expected"},
      {[&](PlanState* state) { (*state)[factor] = std::vector<double>(2); },
       factor + ": values of another type than expected"},
      {[](PlanState* state) { (*state)["tensors/sum/a"] = Values(6); }, "tensors/sum/a: not known"},
      {[](PlanState* state) { (*state)["groups/2/first_step"] = std::vector<int64_t>(); },
       "groups/2/first_step: not known"},
      {[](PlanState* state) { (*state)["next_step"] = std::vector<int64_t>{-1}; },
       "next_step: -1 is below 0"},
      {[](PlanState* state) { (*state)["groups/0/first_step"] = std::vector<int64_t>{4}; },
       "groups/0/first_step: 4 is after next_step"},
  };
  trainer.Train(2, 0.1, 20);
  const Saved before = trainer.Save();
  for (const auto& [spoil, message] : cases) {
    Saved spoiled = good;
    spoil(&spoiled.state);
    spoiled.snapshot = before.snapshot;
    const absl::Status status = trainer.Restore(spoiled);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << message;
    EXPECT_THAT(status.message(), HasSubstr(message));
    ExpectSameBits(trainer.Save(), before);
  }
  EXPECT_TRUE(trainer.Restore(good).ok());
}

TEST(UpdatePlanTest, SumsOverAllTensorsDoNotDependOnHowTheyCutTiles) {
  for (const char* const optimizer : {"dog {}", "dowg {}", "prodigy {}", "momo {}"}) {
    Trainer whole(MakeLayout({7000}, 0.5F), optimizer);
    Trainer cut(MakeLayout({1, 6, 93, 2000, 4000, 17, 883}, 0.5F), optimizer);
    whole.Train(10, 0.1);
    cut.Train(10, 0.1);
    const std::vector<double> kept = whole.kept();
    ASSERT_FALSE(kept.empty());
    for (size_t i = 0; i < kept.size(); ++i) {
      // Additions in double in another order.
      EXPECT_NEAR(cut.kept()[i], kept[i], 1e-12 * std::abs(kept[i])) << optimizer;
    }
    for (size_t i = 0; i < 7000; ++i) {
      ASSERT_NEAR(cut.parameters()[i], whole.parameters()[i], 1e-7) << optimizer;
    }
  }
}

TEST(UpdatePlanTest, SumsPerTensorAreThoseOfEachTensorAlone) {
  // All begin with a tile, so that even the order of additions is the same.
  const std::vector<int64_t> sizes = {2 * kTileElements, kTileElements, 3 * kTileElements, 77};
  for (const char* const optimizer : {"lars {}", "lamb {}", "novo_grad {}", "fromage {}"}) {
    Trainer together(MakeLayout(sizes, 0.5F), optimizer, {}, 2 * kTileElements);
    const int64_t count = 6 * kTileElements + 77;
    for (unsigned step = 0; step < 3; ++step) together.Step(Random(count, step), 0.01);
    int64_t begin = 0;
    for (size_t tensor = 0; tensor < sizes.size(); ++tensor) {
      Trainer alone(MakeLayout({sizes[tensor]}, 0.5F), optimizer);
      for (unsigned step = 0; step < 3; ++step) {
        alone.Step(Part(Random(count, step), begin, sizes[tensor]), 0.01);
      }
      EXPECT_EQ(Part(together.parameters(), begin, sizes[tensor]), alone.parameters())
          << optimizer << " " << tensor;
      begin += sizes[tensor];
    }
  }
}

TEST(UpdatePlanTest, SumsAreThoseOfTheGroup) {
  // "a" and "c" are updated as if "b" were not there.
  Trainer all(MakeLayout({kTileElements, 3 * kTileElements, 500}, 0.5F), "dog {}",
              {"pattern: 'b' optimizer { sgd {} }"});
  Trainer group(MakeLayout({kTileElements, 500}, 0.5F), "dog {}");
  for (unsigned step = 0; step < 5; ++step) {
    const Values gradient = Random(4 * kTileElements + 500, step);
    Values part = Part(gradient, 0, kTileElements);
    const Values rest = Part(gradient, 4 * kTileElements, 500);
    part.insert(part.end(), rest.begin(), rest.end());
    all.Step(gradient, 0.1);
    group.Step(part, 0.1);
  }
  EXPECT_EQ(Part(all.parameters(), 0, kTileElements), Part(group.parameters(), 0, kTileElements));
  EXPECT_EQ(Part(all.parameters(), 4 * kTileElements, 500),
            Part(group.parameters(), kTileElements, 500));
  EXPECT_EQ(all.kept(), group.kept());
}

TEST(UpdatePlanTest, ValuesAreKeptForEachTensorOfTheGroup) {
  Trainer trainer(MakeLayout({3, 4000, 50}), "novo_grad {}", {"pattern: 'a' frozen: true"});
  const Values gradient = Random(4053, 1);
  trainer.Step(gradient, 0.01);
  const PlanState state = trainer.plan().state();
  double b = 0;
  double c = 0;
  for (size_t i = 0; i < gradient.size(); ++i) {
    const double g = gradient[i];
    if (i >= 3) (i < 4003 ? b : c) += g * g;
  }
  EXPECT_THAT(std::get<std::vector<double>>(state.at("groups/1/scalars/second_moment")),
              ElementsAre(testing::DoubleNear(b, 1e-9), testing::DoubleNear(c, 1e-9)));
}

TEST(UpdatePlanTest, AnOptimizerWithoutTensorsTakesNoSums) {
  for (const char* const optimizer : {"lars {}", "novo_grad {}", "dog {}", "momo {}"}) {
    Trainer trainer(MakeLayout({10, 20}), optimizer, {"pattern: '[ab]' optimizer { sgd {} }"});
    EXPECT_EQ(trainer.plan().sum_passes(), 0);
    trainer.Train(2, 0.1);
    Trainer mixed(MakeLayout({10, 20}), optimizer, {"pattern: '[ab]' optimizer { dog {} }"});
    EXPECT_EQ(mixed.plan().sum_passes(), 1);
    mixed.Train(2, 0.1);
    EXPECT_NE(mixed.parameters(), trainer.parameters());
  }
}

TEST(UpdatePlanTest, GroupsUpdateExactlyTheirTensors) {
  // Tensors share tiles and blocks.
  const std::vector<int64_t> sizes = {10, 3000, 7, 2100, 5, 300};
  Trainer trainer(MakeLayout(sizes), "sgd {} weight_decay: 0.25",
                  {"pattern: 'a' frozen: true", "pattern: 'b' learning_rate_factor: 0.5",
                   "pattern: 'c' weight_decay: 0", "pattern: 'd' optimizer { adam {} }",
                   // The first one that matches counts.
                   "pattern: '[a-e]' learning_rate_factor: 0"});
  const Values before = trainer.parameters();
  const Values gradient = Random(5422, 1);
  trainer.Step(gradient, 0.5);
  const Values after = trainer.parameters();
  double update = 0;
  for (size_t i = 0; i < after.size(); ++i) {
    const float p = before[i];
    const float g = gradient[i];
    float expected = p;  // "a" and "e".
    if (i >= 10 && i < 3010) expected = p - 0.25F * (g + 0.25F * p);
    if (i >= 3010 && i < 3017) expected = p - 0.5F * g;
    if (i >= 3017 && i < 5117) expected = p - 0.5F * g / (std::abs(g) + 1e-8F);
    if (i >= 5122) expected = p - 0.5F * (g + 0.25F * p);
    ASSERT_NEAR(after[i], expected, 1e-6) << i;
    if (expected == p) {
      ASSERT_EQ(after[i], p) << i;
    }
    update += std::pow(static_cast<double>(after[i]) - static_cast<double>(p), 2);
  }
  EXPECT_NEAR(trainer.norms().update, update, 1e-5 * update);
}

TEST(UpdatePlanTest, GroupsWithTheirOwnOptimizerDecayAsItSays) {
  Trainer trainer(
      MakeLayout({4, 4}, 2), "sgd {} weight_decay: 0.5",
      {absl::StrCat("pattern: 'b' weight_decay: 0.25 optimizer { sgd {} ", kDecoupled, " }")});
  trainer.Step(Values(8, 1), 0.1);
  EXPECT_FLOAT_EQ(trainer.parameters()[0], 2 - 0.1F * (1 + 0.5F * 2));
  EXPECT_FLOAT_EQ(trainer.parameters()[4], 2 - 0.1F * 0.25F * 2 - 0.1F);
}

TEST(UpdatePlanTest, SlotsAreOnlyInBlocksWhereAGroupNeedsThem) {
  // Blocks: a, a + b, b + c, c, where "b" alone has moments.
  Trainer trainer(MakeLayout({3000, 3000, 2192}), "sgd {}", {"pattern: 'b' optimizer { adam {} }"});
  for (const char* const slot : {"first_moment", "second_moment"}) {
    EXPECT_FALSE(trainer.HasSlot(slot, 0));
    EXPECT_TRUE(trainer.HasSlot(slot, 1));
    EXPECT_TRUE(trainer.HasSlot(slot, 2));
    EXPECT_FALSE(trainer.HasSlot(slot, 3));
  }
  EXPECT_EQ(trainer.plan().state_bytes(), 2 * 2 * kTileElements * 4);
  trainer.Train(3, 0.1);
  const Values moments = trainer.slot("first_moment");
  for (size_t i = 0; i < moments.size(); ++i) {
    EXPECT_EQ(moments[i] != 0, i >= 3000 && i < 6000) << i;
  }
}

TEST(UpdatePlanTest, AChangeOfNumbersGoesOnAsIfNothingHadHappened) {
  const Layout layout = MakeLayout({3000, 100});
  for (const OptimizerCase& row : OptimizerTable()) {
    Trainer straight(layout, row.spec);
    Trainer changed(layout, row.spec);
    straight.Train(3, row.parabola_rate);
    changed.Train(3, row.parabola_rate);
    // Another group, of nothing.
    changed.Change(row.spec, {"pattern: '[ab]' learning_rate_factor: 1"});
    straight.Train(3, row.parabola_rate, 20);
    changed.Train(3, row.parabola_rate, 20);
    EXPECT_EQ(changed.parameters(), straight.parameters()) << row.name;
    EXPECT_EQ(changed.training(), straight.training()) << row.name;
  }
}

TEST(UpdatePlanTest, AnOptimizerGoesOnIfAllOfItsSlotsAreThereAndOtherwiseStartsAnew) {
  const Layout layout = MakeLayout({3000, 2000});
  Trainer trainer(layout, "ams_grad {}");
  trainer.Train(3, 0.1);
  const Values first = trainer.slot("first_moment");
  const Values second = trainer.slot("second_moment");
  trainer.Change(kAdam);
  EXPECT_EQ(trainer.slot("first_moment"), first);
  EXPECT_EQ(trainer.slot("second_moment"), second);
  // Moments of three steps would be corrected as if they were of none.
  trainer.Change("d_adapt_adam {}");
  EXPECT_EQ(trainer.slot("first_moment"), Values(5000, 0));
  EXPECT_EQ(trainer.slot("second_moment"), Values(5000, 0));
  EXPECT_EQ(trainer.slot("gradient_sum"), Values(5000, 0));
  EXPECT_THAT(trainer.kept(), ElementsAre(1e-6, 0));
  trainer.Train(3, 0.1);
  trainer.Change("prodigy {}");
  EXPECT_EQ(trainer.slot("initial_point"), trainer.parameters());
  EXPECT_THAT(trainer.kept(), ElementsAre(1e-6, 0));
  trainer.Train(3, 0.1);
  trainer.Change("sgd {}");
  trainer.Change("dog {}");
  // It was away in between.
  EXPECT_EQ(trainer.slot("initial_point"), trainer.parameters());
}

TEST(UpdatePlanTest, SlotsThatMayJoinLetTheOthersGoOn) {
  const Layout layout = MakeLayout({3000, 2000});
  for (const auto& [wanted, slot] : {std::pair{"ams_grad {}", "max_second_moment"},
                                     {"ad_ema_mix {}", "slow_moment"},
                                     {"adam {} parameter_average {}", "average"},
                                     {"adam {} look_ahead {}", "slow_parameters"}}) {
    SCOPED_TRACE(wanted);
    Trainer trainer(layout, kAdam);
    trainer.Train(3, 0.1);
    const Values first = trainer.slot("first_moment");
    const Values second = trainer.slot("second_moment");
    const Values parameters = trainer.parameters();
    trainer.Change(wanted);
    EXPECT_EQ(trainer.slot("first_moment"), first);
    EXPECT_EQ(trainer.slot("second_moment"), second);
    const bool at_parameters =
        slot == std::string("average") || slot == std::string("slow_parameters");
    EXPECT_EQ(trainer.slot(slot), at_parameters ? parameters : Values(5000, 0));
    // The step counts as the fourth: with the same moments, Adam's.
    Trainer adam(layout, kAdam);
    adam.Train(3, 0.1);
    const Values gradient = Random(5000, 99);
    adam.Step(gradient, 0.1);
    trainer.Step(gradient, 0.1);
    EXPECT_EQ(trainer.slot("second_moment"), adam.slot("second_moment"));
    if (std::string(wanted) != "ad_ema_mix {}") {
      for (size_t i = 0; i < parameters.size(); ++i) {
        ASSERT_NEAR(trainer.parameters()[i], adam.parameters()[i], 1e-6) << i;
      }
    }
  }
}

TEST(UpdatePlanTest, ASlotStartsAnewForATensorThatSharesABlockWithOneThatHadIt) {
  // All in one block.
  const Layout layout = MakeLayout({50, 30, 20});
  Trainer trainer(layout, "sgd {}", {"pattern: 'a' optimizer { momentum {} }"});
  trainer.Train(3, 0.1);
  const Values before = trainer.slot("momentum");
  const std::string a = "pattern: 'a' optimizer { momentum {} }";
  const std::string b = "pattern: 'b' optimizer { momentum {} }";
  trainer.Change("sgd {}", {a, b});
  EXPECT_EQ(trainer.slot("momentum"), before);
  const Values gradient = Random(100, 5);
  trainer.Step(gradient, 0.1);
  const Values after = trainer.slot("momentum");
  for (size_t i = 0; i < 100; ++i) {
    EXPECT_FLOAT_EQ(after[i], i < 50 ? 0.9F * before[i] + gradient[i] : i < 80 ? gradient[i] : 0);
  }
  // "a" leaves and comes back: what it had is not what it gets.
  trainer.Change("sgd {}", {b});
  trainer.Step(gradient, 0.1);
  const Values of_b = trainer.slot("momentum");
  trainer.Change("sgd {}", {a, b});
  const Values again = trainer.slot("momentum");
  for (size_t i = 0; i < 80; ++i) EXPECT_EQ(again[i], i < 50 ? 0 : of_b[i]) << i;
  // Together, the two have no step in common.
  trainer.Change("sgd {}", {"pattern: '[ab]' optimizer { momentum {} }"});
  EXPECT_EQ(trainer.slot("momentum"), Values(100, 0));
}

// After three steps, one with a constant gradient moves by the learning rate if it counts as the
// first one.
double AdamStepAfterChange(const std::vector<std::string>& before,
                           const std::vector<std::string>& after) {
  Trainer trainer(MakeLayout({10, 10}), kAdam, before);
  for (int step = 0; step < 3; ++step) trainer.Step(Values(20, 0), 0.1);
  trainer.Change(kAdam, after);
  const Values parameters = trainer.parameters();
  trainer.Step(Values(20, 1), 0.1);
  return static_cast<double>(parameters[0]) - static_cast<double>(trainer.parameters()[0]);
}

TEST(UpdatePlanTest, StepsAreCountedOnWhereAGroupGoesOn) {
  const double fourth =
      0.1 * (0.1 / (1 - std::pow(0.9, 4))) / std::sqrt(0.001 / (1 - std::pow(0.999, 4)));
  const std::string sgd = "pattern: 'b' optimizer { sgd {} }";
  EXPECT_NEAR(AdamStepAfterChange({}, {}), fourth, 1e-6);
  EXPECT_NEAR(AdamStepAfterChange({sgd}, {sgd}), fourth, 1e-6);
  EXPECT_NEAR(AdamStepAfterChange({sgd}, {"pattern: 'b' frozen: true"}), fourth, 1e-6);
  EXPECT_NEAR(AdamStepAfterChange({"pattern: 'a' frozen: true"}, {}), 0.1, 1e-6);
  // "b" has been there for none of the steps.
  EXPECT_NEAR(AdamStepAfterChange({sgd}, {}), 0.1, 1e-6);
}

TEST(UpdatePlanTest, KeptValuesGoOnWithTheirGroupAlone) {
  const Layout layout = MakeLayout({100, 200, 300});
  Trainer trainer(layout, "novo_grad {}");
  trainer.Train(3, 0.1);
  const std::vector<double> kept = trainer.kept();
  trainer.Change("novo_grad { beta1: 0.9 }");
  EXPECT_EQ(trainer.kept(), kept);
  // Those of the tensors that are left go on when one leaves.
  trainer.Change("novo_grad {}", {"pattern: 'a' optimizer { sgd {} }"});
  EXPECT_THAT(trainer.kept(), ElementsAre(kept[1], kept[2]));
  trainer.Change("novo_grad {}");
  EXPECT_THAT(trainer.kept(), ElementsAre(0, 0, 0));
  trainer.Change("momentum {}");
  EXPECT_THAT(trainer.kept(), ElementsAre());
}

TEST(UpdatePlanTest, WhatHasAnotherMeaningIsNotTakenOver) {
  const std::pair<const char*, const char*> changes[] = {
      {"momentum {}", "lars {}"},
      {"nesterov {}", "lars {}"},
      {"lars {}", "momentum {}"},
      {"rms_prop { momentum: 0.9 }", "momentum {}"},
      {"rms_prop { momentum: 0.9 centered: true }", "lars {}"},
      {"prodigy {}", "d_adapt_adam {}"}};
  for (const auto& [before, after] : changes) {
    SCOPED_TRACE(absl::StrCat(before, " -> ", after));
    const Layout layout = MakeLayout({30});
    Trainer trainer(layout, before);
    trainer.Train(3, 0.1);
    const Values start = trainer.parameters();
    trainer.Change(after);
    const PlanState state = trainer.plan().state();
    EXPECT_EQ(std::get<std::vector<int64_t>>(state.at("groups/0/first_step")).front(), 3);
    // It moves as one that begins here.
    trainer.Step(Values(30, 1), 0.001);
    for (size_t i = 0; i < 30; ++i) EXPECT_NEAR(trainer.parameters()[i], start[i], 0.002) << i;
  }
}

TEST(UpdatePlanTest, WhatIsReadOfATensorThatLeavesAreItsParametersAtOnce) {
  const std::string optimizer = "schedule_free_sgd {} parameter_average { decay: 0.5 }";
  for (const char* const leaves : {"frozen: true", "optimizer { sgd {} }"}) {
    SCOPED_TRACE(leaves);
    Trainer trainer(MakeLayout({1000, 3000}), optimizer);
    trainer.Train(3, 0.1);
    const Values parameters = Part(trainer.parameters(), 1000, 3000);
    const Values training = trainer.training();
    const Values average = trainer.slot("average");
    trainer.Change(optimizer, {absl::StrCat("pattern: 'b' ", leaves)});
    EXPECT_EQ(Part(trainer.training(), 1000, 3000), parameters);
    EXPECT_EQ(Part(trainer.slot("average"), 1000, 3000), parameters);
    EXPECT_EQ(Part(trainer.training(), 0, 1000), Part(training, 0, 1000));
    EXPECT_EQ(Part(trainer.slot("average"), 0, 1000), Part(average, 0, 1000));
  }
}

TEST(UpdatePlanTest, TensorsWithoutATrainingPointAreTrainedAtTheParameters) {
  const Layout layout = MakeLayout({1000, 3000, 500});
  Trainer trainer(layout, "sgd {}",
                  {"pattern: 'a' frozen: true", "pattern: 'b' optimizer { schedule_free_sgd {} }"});
  EXPECT_EQ(trainer.training(), trainer.parameters());
  const Values start = trainer.parameters();
  trainer.Train(4, 0.1);
  const Values parameters = trainer.parameters();
  const Values training = trainer.training();
  const Values base = trainer.slot("base_point");
  for (size_t i = 0; i < training.size(); ++i) {
    if (i < 1000) {
      ASSERT_EQ(parameters[i], start[i]) << i;
    }
    if (i < 1000 || i >= 4000) {
      ASSERT_EQ(training[i], parameters[i]) << i;
    } else {
      ASSERT_NE(training[i], parameters[i]) << i;
      ASSERT_NEAR(training[i], 0.9F * parameters[i] + 0.1F * base[i], 1e-6) << i;
    }
  }
}

TEST(UpdatePlanTest, ATrainingPointComesAndGoesWithItsOptimizer) {
  const Layout layout = MakeLayout({1000, 3000});
  Trainer trainer(layout, "sgd {}");
  trainer.Train(2, 0.1);
  const Values parameters = trainer.parameters();
  trainer.Change("sgd {}", {"pattern: 'b' optimizer { schedule_free_adam {} }"});
  EXPECT_EQ(trainer.training(), parameters);
  EXPECT_EQ(Part(trainer.slot("base_point"), 1000, 3000), Part(parameters, 1000, 3000));
  trainer.Train(3, 0.1);
  EXPECT_NE(trainer.training(), trainer.parameters());
  // "b" goes on, "a" begins at its parameters.
  const Values training = trainer.training();
  trainer.Change("schedule_free_adam {}", {"pattern: 'b' optimizer { schedule_free_adam {} }"});
  EXPECT_EQ(trainer.training(), training);
  EXPECT_EQ(Part(trainer.slot("base_point"), 0, 1000), Part(trainer.parameters(), 0, 1000));
  // Together they begin anew, at the parameters.
  trainer.Change("schedule_free_adam {}");
  EXPECT_EQ(trainer.training(), trainer.parameters());
  EXPECT_EQ(trainer.slot("base_point"), trainer.parameters());
  trainer.Change("sgd {}");
  EXPECT_EQ(trainer.training(), trainer.parameters());
}

double Norm(const Values& values, size_t begin, size_t end) {
  double sum = 0;
  for (size_t i = begin; i < end; ++i) sum += std::pow(static_cast<double>(values[i]), 2);
  return std::sqrt(sum);
}

TEST(UpdatePlanTest, GradientsAreBoundedByValueThenTensorThenGlobally) {
  const Layout layout = MakeLayout({3000, 100, 900}, 0.5F);
  Values gradient = Random(4000, 1);
  for (size_t i = 3000; i < 3100; ++i) gradient[i] *= 0.01F;  // "b" is within the bounds.
  Values expected = gradient;
  for (float& g : expected) g = std::min(std::max(g, -1.5F), 1.5F);
  const auto scale = [&](size_t begin, size_t end, double bound) {
    const double factor = std::min(1.0, bound / Norm(expected, begin, end));
    for (size_t i = begin; i < end; ++i) {
      expected[i] = static_cast<float>(factor * static_cast<double>(expected[i]));
    }
  };
  scale(0, 3000, 20);
  scale(3000, 3100, 20);
  scale(3100, 4000, 20);
  EXPECT_FLOAT_EQ(expected[3050], gradient[3050]);
  scale(0, 4000, 5);
  Trainer trainer(layout,
                  "sgd {} clip_by_value: 1.5 clip_by_tensor_norm: 20 clip_by_global_norm: 5");
  EXPECT_EQ(trainer.plan().sum_passes(), 1);
  trainer.Step(gradient, 1);
  for (size_t i = 0; i < 4000; ++i) {
    ASSERT_NEAR(trainer.parameters()[i], 0.5F - expected[i], 1e-6) << i;
  }
  // What a step says of its gradient is about the one that came.
  const double norm = Norm(gradient, 0, 4000);
  EXPECT_NEAR(std::sqrt(trainer.norms().gradient), norm, 1e-5 * norm);
}

TEST(UpdatePlanTest, BoundsOfValuesNeedNoSums) {
  Trainer trainer(MakeLayout({4}, 1), "sgd {} clip_by_value: 0.25 weight_decay: 0.5");
  EXPECT_EQ(trainer.plan().sum_passes(), 0);
  trainer.Step({0.125F, -1, 1, 0}, 1);
  // Weight decay comes after them.
  EXPECT_THAT(trainer.parameters(), ElementsAre(0.375F, 0.75F, 0.25F, 0.5F));
}

// The optimizer gets what the bounds leave, over all tensors together.
TEST(UpdatePlanTest, OptimizersOfWholeTensorsSeeBoundedGradients) {
  const Layout layout = MakeLayout({3000, 100, 900}, 0.5F);
  const auto scale = [](Values* values, size_t begin, size_t end, double bound) {
    const double factor = std::min(1.0, bound / Norm(*values, begin, end));
    for (size_t i = begin; i < end; ++i) {
      (*values)[i] = static_cast<float>(factor * static_cast<double>((*values)[i]));
    }
  };
  for (const char* kind : {"adafactor {}", "sm3 {}", "muon {}", "shampoo {}"}) {
    Trainer clipped(layout, absl::StrCat(kind,
                                         " clip_by_value: 1.5 clip_by_tensor_norm: 20 "
                                         "clip_by_global_norm: 5 weight_decay: 0.1"));
    Trainer by_value(layout, absl::StrCat(kind, " clip_by_value: 0.5"));
    Trainer plain(layout, absl::StrCat(kind, " weight_decay: 0.1"));
    Trainer plain_by_value(layout, kind);
    EXPECT_EQ(clipped.plan().transform_passes(), 2);
    EXPECT_EQ(by_value.plan().transform_passes(), 1);
    EXPECT_EQ(clipped.plan().sum_passes(), 0);
    for (unsigned step = 0; step < 3; ++step) {
      Values gradient = Random(4000, step);
      for (size_t i = 3000; i < 3100; ++i) gradient[i] *= 0.01F;
      Values bounded = gradient;
      for (float& g : bounded) g = std::min(std::max(g, -1.5F), 1.5F);
      scale(&bounded, 0, 3000, 20);
      scale(&bounded, 3000, 3100, 20);
      scale(&bounded, 3100, 4000, 20);
      scale(&bounded, 0, 4000, 5);
      clipped.Step(gradient, 0.01);
      plain.Step(bounded, 0.01);
      Values small = gradient;
      for (float& g : small) g = std::min(std::max(g, -0.5F), 0.5F);
      by_value.Step(gradient, 0.01);
      plain_by_value.Step(small, 0.01);
      EXPECT_EQ(by_value.parameters(), plain_by_value.parameters()) << kind;
      for (size_t i = 0; i < 4000; ++i) {
        ASSERT_NEAR(clipped.parameters()[i], plain.parameters()[i], 1e-5) << kind << " " << i;
      }
    }
  }
}

// As where Muon's authors update vectors by an AdamW of its own rate.
TEST(UpdatePlanTest, MuonsVectorsDecayAtTheRateOfTheirAdam) {
  constexpr size_t kSize = 41;
  const Layout layout = MakeLayout({kSize}, 1);
  Trainer muon(layout, "muon { adam_learning_rate_factor: 0.25 } weight_decay: 0.5");
  Trainer adam(layout, "adam_w {} weight_decay: 0.5");
  for (unsigned step = 0; step < 5; ++step) {
    const Values gradient = Random(kSize, step);
    muon.Step(gradient, 0.1);
    adam.Step(gradient, 0.025);
    for (size_t i = 0; i < kSize; ++i) {
      ASSERT_NEAR(muon.parameters()[i], adam.parameters()[i], 1e-6) << i;
    }
  }
}

TEST(UpdatePlanTest, SumsOfAnOptimizerAreThoseOfBoundedGradients) {
  const Layout layout = MakeLayout({3000, 2000}, 0.5F);
  Trainer clipped(layout, "dog {} clip_by_global_norm: 1", {}, kTileElements, 3);
  Trainer other_blocks(layout, "dog {} clip_by_global_norm: 1", {}, 2 * kTileElements, 1);
  Trainer plain(layout, "dog {}");
  EXPECT_EQ(clipped.plan().sum_passes(), 2);
  for (unsigned step = 0; step < 5; ++step) {
    const Values gradient = Random(5000, step);
    Values bounded = gradient;
    const double norm = Norm(gradient, 0, gradient.size());
    for (float& g : bounded) g = static_cast<float>(static_cast<double>(g) / norm);
    clipped.Step(gradient, 1);
    other_blocks.Step(gradient, 1);
    plain.Step(bounded, 1);
  }
  EXPECT_NEAR(clipped.kept()[1], 5, 1e-5);  // The sum of all squared norms.
  EXPECT_NEAR(clipped.kept()[0], plain.kept()[0], 1e-6 * plain.kept()[0]);
  EXPECT_EQ(other_blocks.parameters(), clipped.parameters());
  EXPECT_EQ(other_blocks.kept(), clipped.kept());
}

TEST(UpdatePlanTest, GroupsWithAnOptimizerOfTheirOwnHaveBoundsOfTheirOwn) {
  Trainer trainer(MakeLayout({2, 2, 2}, 1), "sgd {} clip_by_global_norm: 1",
                  {"pattern: 'b' optimizer { sgd {} clip_by_global_norm: 2 }",
                   "pattern: 'c' optimizer { sgd {} clip_by_global_norm: 1 }"});
  trainer.Step({3, 4, 3, 4, 30, 40}, 1);
  const Values after = trainer.parameters();
  const Values expected = {0.4F, 0.2F, -0.2F, -0.6F, 0.4F, 0.2F};
  for (size_t i = 0; i < 6; ++i) EXPECT_NEAR(after[i], expected[i], 1e-6);
}

TEST(UpdatePlanTest, BoundsHaveRanges) {
  for (const char* const field : {"clip_by_value", "clip_by_tensor_norm", "clip_by_global_norm"}) {
    for (const char* const value : {"0", "-1", "1.1e6", "nan", "inf"}) {
      const std::string wrong = absl::StrCat("sgd {} ", field, ": ", value);
      const std::string message = absl::StrCat("optimizer.", field, ": ");
      EXPECT_THAT(MakePlan(MakeLayout({1}), wrong, {}, kTileElements).status().message(),
                  HasSubstr(message));
      const std::string group = absl::StrCat("pattern: 'a' optimizer { ", wrong, " }");
      EXPECT_THAT(MakePlan(MakeLayout({1}), "sgd {}", {group}, kTileElements).status().message(),
                  HasSubstr(absl::StrCat("groups[0].", message)));
    }
  }
}

TEST(UpdatePlanTest, GroupsSayWhatIsWrong) {
  const struct {
    std::vector<std::string> groups;
    const char* message;
  } cases[] = {
      {{"pattern: '('"}, "groups[0].pattern: \"(\" is no RE2 expression: missing )"},
      {{""}, "groups[0].pattern: \"\" is no RE2 expression"},
      {{absl::StrCat("pattern: '", std::string(257, 'a'), "'")},
       "groups[0].pattern: 257 bytes, at most 256 expected"},
      {{"pattern: 'a'", "pattern: 'x.*'"},
       "groups[1].pattern: \"x.*\" is the whole name of no tensor of the layout"},
      {{"pattern: 'a' frozen: true weight_decay: 0"}, "groups[0].frozen: true, and so is"},
      {{"pattern: 'a' frozen: true learning_rate_factor: 1"}, "groups[0].frozen: true"},
      {{"pattern: 'a' frozen: true optimizer { sgd {} }"}, "groups[0].frozen: true"},
      {{"pattern: 'a' learning_rate_factor: -1"},
       "groups[0].learning_rate_factor: -1 is outside [0, 1e+06]"},
      {{"pattern: 'a' learning_rate_factor: nan"}, "groups[0].learning_rate_factor: nan"},
      {{"pattern: 'a' weight_decay: inf"}, "groups[0].optimizer.weight_decay: inf"},
      {{"pattern: 'a' optimizer {}"}, "groups[0].optimizer: no kind is set"},
      {{"pattern: 'a'", "pattern: 'b' optimizer { dog { epsilon: 2 } }"},
       "groups[1].optimizer.dog.epsilon: 2 is outside [0, 1]"},
      {std::vector<std::string>(101, "pattern: 'a'"), "groups: 101, at most 100 expected"},
  };
  for (const auto& [groups, message] : cases) {
    const absl::Status status =
        MakePlan(MakeLayout({1, 1}), "sgd {}", groups, kTileElements).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << message;
    EXPECT_THAT(status.message(), HasSubstr(message));
  }
  const absl::Status status = MakePlan(MakeLayout({1}), "", {}, kTileElements).status();
  EXPECT_THAT(status.message(), HasSubstr("optimizer: no kind is set"));
}

}  // namespace
}  // namespace gradd
