// Groups that are trained together: one norm, one sum over all elements, one count of steps.

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/core/optim/optimizer_table.h"
#include "tests/core/optim/plan_trainer.h"

namespace gradd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// "b" and "d" decay by as much as all others do, which makes them a group.
std::string SameDecay(const std::string& optimizer) {
  v1::Optimizer spec;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(optimizer, &spec));
  const bool decays_by_default = spec.has_adam_w() || spec.has_ada_max_w() || spec.has_n_adam_w();
  const double decay = spec.has_weight_decay() ? spec.weight_decay() : decays_by_default ? 0.01 : 0;
  return absl::StrCat("pattern: '[bd]' weight_decay: ", decay);
}

// What a run has whose groups are all one, without the index of its default group.
Saved WithoutIndex(const Trainer& trainer) {
  Saved saved = trainer.Save();
  PlanState renamed;
  for (const auto& [name, values] : saved.state) {
    const size_t index = name.rfind("groups/", 0) == 0 ? std::string("groups/").size() : 0;
    const std::string rest = index == 0 ? name : name.substr(name.find('/', index));
    const auto [at, first] = renamed.emplace(rest, values);
    EXPECT_TRUE(first || (rest == "/first_step" && at->second == values)) << name;
  }
  saved.state = std::move(renamed);
  return saved;
}

void ExpectSameTraining(const Trainer& actual, const Trainer& expected) {
  ExpectSameBits(WithoutIndex(actual), WithoutIndex(expected));
}

class SharedGroupsTableTest : public testing::TestWithParam<OptimizerCase> {};

TEST_P(SharedGroupsTableTest, AGroupThatChangesNothingChangesNoBit) {
  const Layout layout = MakeLayout({100, 30, 3000, 7, 42});
  const double rate = GetParam().parabola_rate;
  for (const char* const stage : {"", "clip_by_global_norm: 0.5", "clip_by_tensor_norm: 0.4",
                                  "centralize_gradient: true clip_by_global_norm: 0.5"}) {
    SCOPED_TRACE(stage);
    const std::string spec = absl::StrCat(GetParam().spec, " ", stage);
    for (const std::string& group :
         {SameDecay(spec), std::string("pattern: '[ac]' learning_rate_factor: 1")}) {
      Trainer together(layout, spec);
      Trainer in_groups(layout, spec, {group});
      together.Train(5, rate);
      in_groups.Train(5, rate);
      ExpectSameTraining(in_groups, together);
    }
  }
}

// The same where the group comes, changes and goes while the run trains.
TEST_P(SharedGroupsTableTest, AGroupThatComesAndGoesLetsEverythingGoOn) {
  const Layout layout = MakeLayout({100, 30, 3000, 7, 42});
  const double rate = GetParam().parabola_rate;
  const std::string spec = absl::StrCat(GetParam().spec, " clip_by_global_norm: 0.5");
  Trainer together(layout, spec);
  Trainer changed(layout, spec);
  unsigned seed = 10;
  for (const std::vector<std::string>& groups :
       {std::vector<std::string>{SameDecay(spec)},
        {"pattern: 'c' learning_rate_factor: 1", SameDecay(spec)},
        {"pattern: '.*' learning_rate_factor: 1"},
        {}}) {
    for (Trainer* const trainer : {&together, &changed}) trainer->Train(3, rate, seed);
    seed += 10;
    changed.Change(spec, groups);
    ExpectSameTraining(changed, together);
  }
  for (Trainer* const trainer : {&together, &changed}) trainer->Train(3, rate, seed);
  ExpectSameTraining(changed, together);
}

INSTANTIATE_TEST_SUITE_P(Table, SharedGroupsTableTest, testing::ValuesIn(OptimizerTable()),
                         testing::PrintToStringParamName());

TEST(SharedGroupsTest, TheNormIsThatOfAllTensorsWhereAGroupOnlyDecaysByAnotherAmount) {
  Trainer trainer(MakeLayout({1, 1}, 1), "sgd {} clip_by_global_norm: 1",
                  {"pattern: 'b' weight_decay: 0.5"});
  trainer.Step({1, 1}, 1);
  const auto root = static_cast<float>(std::sqrt(0.5));
  EXPECT_FLOAT_EQ(trainer.parameters()[0], 1 - root);
  EXPECT_FLOAT_EQ(trainer.parameters()[1], 1 - root - 0.5F);
}

TEST(SharedGroupsTest, FrozenTensorsAndGroupsWithTheirOwnOptimizerHaveNoPartInTheNorm) {
  Trainer trainer(MakeLayout({2, 2, 2, 1}, 1), "sgd {} clip_by_global_norm: 1",
                  {"pattern: 'b' frozen: true", "pattern: 'c' optimizer { sgd {} }",
                   "pattern: 'd' learning_rate_factor: 0"});
  trainer.Step({3, 4, 30, 40, 3, 4, 12}, 1);
  const Values after = trainer.parameters();
  // The norm over "a" and "d" is 13: a rate of 0 keeps a tensor where it is, and in the norm.
  const Values expected = {1 - 3.0F / 13, 1 - 4.0F / 13, 1, 1, -2, -3, 1};
  for (size_t i = 0; i < after.size(); ++i) EXPECT_FLOAT_EQ(after[i], expected[i]) << i;
}

TEST(SharedGroupsTest, SumsAreThoseOfTheRunWithoutWhatIsFrozenOrStandsStill) {
  for (const char* const optimizer : {"prodigy {}", "d_adapt_adam {}", "dog {}", "dowg {}",
                                      "momo {}", "momo_adam {}", "polyak_step_size {}"}) {
    SCOPED_TRACE(optimizer);
    const Layout layout = MakeLayout({100, 30, 50});
    Trainer frozen(layout, optimizer, {"pattern: 'b' frozen: true"});
    Trainer still(layout, optimizer, {"pattern: 'b' learning_rate_factor: 0"});
    frozen.Train(5, 0.1);
    still.Train(5, 0.1);
    EXPECT_EQ(still.parameters(), frozen.parameters());
    EXPECT_EQ(still.kept(), frozen.kept());
  }
}

TEST(SharedGroupsTest, WhereAllRatesAreZeroNothingMovesAndNothingBreaks) {
  const Layout layout = MakeLayout({10, 20});
  const std::vector<std::string> groups = {
      "pattern: 'a' learning_rate_factor: 0",
      "pattern: 'b' weight_decay: 0.01 learning_rate_factor: 0"};
  for (const OptimizerCase& row : OptimizerTable()) {
    if (!MakePlan(layout, row.spec, groups, kTileElements).ok()) continue;  // Takes no decay.
    Trainer trainer(layout, row.spec, groups);
    trainer.Train(3, row.parabola_rate);
    for (const float p : trainer.parameters()) ASSERT_TRUE(std::isfinite(p)) << row.name;
    ASSERT_TRUE(trainer.plan().StateIsFinite()) << row.name;
  }
}

std::vector<std::string> NamesOf(const PlanState& state) {
  std::vector<std::string> names;
  for (const auto& [name, values] : state) names.push_back(name);
  return names;
}

TEST(SharedGroupsTest, WhatIsSharedIsNamedAfterTheDefaultGroup) {
  const Layout layout = MakeLayout({3, 4, 5, 6});
  const std::vector<std::string> groups = {"pattern: 'a' weight_decay: 0",
                                           "pattern: 'b' optimizer { prodigy {} }",
                                           "pattern: 'c' frozen: true"};
  const Trainer prodigy(layout, "prodigy {}", groups);
  EXPECT_THAT(NamesOf(prodigy.plan().state()),
              ElementsAre("groups/0/first_step", "groups/1/first_step", "groups/1/scalars/distance",
                          "groups/1/scalars/numerator", "groups/3/first_step",
                          "groups/3/scalars/distance", "groups/3/scalars/numerator", "next_step"));
  // One for each tensor, in the layout's order, whatever group it is in.
  Trainer novo_grad(MakeLayout({2, 3, 4}), "novo_grad {}", {"pattern: '[ac]' weight_decay: 0.5"});
  novo_grad.Step({1, 1, 2, 2, 2, 3, 3, 3, 3}, 0.1);
  EXPECT_THAT(
      std::get<std::vector<double>>(novo_grad.plan().state().at("groups/1/scalars/second_moment")),
      ElementsAre(2, 12, 36));
  // Also where the default group has no tensors itself.
  const Trainer empty(MakeLayout({3}), "prodigy {}", {"pattern: 'a' weight_decay: 0"});
  EXPECT_THAT(NamesOf(empty.plan().state()),
              ElementsAre("groups/0/first_step", "groups/1/scalars/distance",
                          "groups/1/scalars/numerator", "next_step"));
}

TEST(SharedGroupsTest, AnOptimizerOfItsOwnSharesTheNormIfItSaysSo) {
  for (const bool shares : {false, true}) {
    Trainer trainer(MakeLayout({1, 1}, 1), "sgd {} clip_by_global_norm: 1",
                    {absl::StrCat("pattern: 'b' optimizer { momentum {} } shares_norms: ",
                                  shares ? "true" : "false")});
    trainer.Step({3, 4}, 1);
    EXPECT_FLOAT_EQ(trainer.parameters()[0], shares ? 1 - 0.6F : 0);
    EXPECT_FLOAT_EQ(trainer.parameters()[1], shares ? 1 - 0.8F : -3);
  }
}

TEST(SharedGroupsTest, AnOptimizerOfTheSameKindSharesSumsIfItSaysSo) {
  const Layout layout = MakeLayout({100, 30});
  const std::string group = "pattern: 'b' optimizer { prodigy {} }";
  Trainer together(layout, "prodigy {}");
  Trainer shared(layout, "prodigy {}", {group + " shares_norms: true"});
  Trainer apart(layout, "prodigy {}", {group});
  for (Trainer* const trainer : {&together, &shared, &apart}) trainer->Train(4, 1);
  ExpectSameTraining(shared, together);
  EXPECT_EQ(apart.kept().size(), 4U);
  // One of another kind has sums of its own.
  const Trainer other(layout, "prodigy {}",
                      {"pattern: 'b' optimizer { dog {} } shares_norms: true"});
  EXPECT_EQ(other.kept().size(), 4U);
}

double NormOf(const Values& values) {
  double squares = 0;
  for (const float value : values) {
    squares += static_cast<double>(value) * static_cast<double>(value);
  }
  return std::sqrt(squares);
}

// The norm over tensors that are transformed, tensors whose rows are centered and tensors of which
// only tiles are seen.
TEST(SharedGroupsTest, TheNormIsOneOverOptimizersOfWholeTensorsAndOthers) {
  const Layout layout = MakeLayout({3000, 4100, 900, 5}, 0.5F);
  for (const char* const kind : {"muon {}", "sm3 {}", "adafactor {}"}) {
    SCOPED_TRACE(kind);
    const std::vector<std::string> groups = {
        absl::StrCat("pattern: 'a' optimizer { ", kind, " } shares_norms: true"),
        "pattern: 'c' optimizer { momentum {} centralize_gradient: true } shares_norms: true"};
    Trainer clipped(layout, "adam {} clip_by_global_norm: 5", groups);
    EXPECT_EQ(clipped.plan().sum_passes(), 0);
    EXPECT_EQ(clipped.plan().transform_passes(), 2);
    Trainer plain(layout, "adam {}", groups);
    Trainer other_blocks(layout, "adam {} clip_by_global_norm: 5", groups, 2 * kTileElements, 1);
    for (unsigned step = 0; step < 3; ++step) {
      const Values gradient = Random(8005, step);
      // The norm is that of what is left of the rows of "c".
      Values centered = gradient;
      const auto columns = static_cast<size_t>(TestShape(900).columns());
      for (size_t row = 7100; row < 8000; row += columns) {
        double mean = 0;
        for (size_t i = row; i < row + columns; ++i) {
          mean += static_cast<double>(gradient[i]) / static_cast<double>(columns);
        }
        for (size_t i = row; i < row + columns; ++i) centered[i] -= static_cast<float>(mean);
      }
      Values bounded = gradient;
      const double factor = std::min(1.0, 5 / NormOf(centered));
      for (float& g : bounded) g = static_cast<float>(factor * static_cast<double>(g));
      clipped.Step(gradient, 0.01);
      other_blocks.Step(gradient, 0.01);
      plain.Step(bounded, 0.01);
    }
    for (size_t i = 0; i < 8005; ++i) {
      ASSERT_NEAR(clipped.parameters()[i], plain.parameters()[i], 2e-5) << i;
    }
    EXPECT_EQ(other_blocks.parameters(), clipped.parameters());
  }
}

// Tensors have bounds of their own beside an optimizer of whole tensors that has none.
TEST(SharedGroupsTest, BoundsOfTensorsHoldBesideOptimizersOfWholeTensors) {
  Trainer trainer(MakeLayout({6, 2}, 1), "sgd {} clip_by_tensor_norm: 1",
                  {"pattern: 'a' optimizer { muon {} } shares_norms: true"});
  trainer.Step({1, 2, 3, 4, 5, 6, 3, 4}, 1);
  EXPECT_FLOAT_EQ(trainer.parameters()[6], 1 - 0.6F);
  EXPECT_FLOAT_EQ(trainer.parameters()[7], 1 - 0.8F);
}

TEST(SharedGroupsTest, WhatContradictsItselfIsRefused) {
  const auto message = [](const std::string& group) {
    return std::string(
        MakePlan(MakeLayout({1, 1}), "sgd {} clip_by_global_norm: 1", {group}, kTileElements)
            .status()
            .message());
  };
  EXPECT_THAT(message("pattern: 'a' frozen: true shares_norms: true"),
              HasSubstr("groups[0].frozen: true, and so is"));
  EXPECT_THAT(
      message("pattern: 'a' shares_norms: true optimizer { sgd {} clip_by_global_norm: 1 }"),
      HasSubstr("groups[0].optimizer.clip_by_global_norm: set, and so is shares_norms"));
  EXPECT_EQ(message("pattern: 'a' shares_norms: true"), "");
  EXPECT_EQ(message("pattern: 'a' shares_norms: true optimizer { sgd {} clip_by_value: 1 }"), "");
}

}  // namespace
}  // namespace gradd
