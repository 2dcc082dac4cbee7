// All pairs of {optimizer, stage, live change, encoding, policy, restart of a worker, source of
// examples} on a tiny model, after every step against a reference in double.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/optim/weight_decay_defaults.h"
#include "core/run/run_registry.h"
#include "tests/core/run/pairs/exclusions.h"
#include "tests/core/run/pairs/live_change.h"
#include "tests/core/run/pairs/pair_case.h"
#include "tests/core/run/pairs/pair_player.h"
#include "tests/support/update.h"
#include "tests/support/virtual_executor.h"

namespace gradd {
namespace {

std::string KindOf(const OptimizerCase& row) {
  const auto* const kinds = v1::Optimizer::descriptor()->FindOneofByName("kind");
  const v1::Optimizer& spec = OptimizerOf(row);
  return spec.GetReflection()->GetOneofFieldDescriptor(spec, kinds)->name();
}

std::vector<std::string> Kinds() {
  std::vector<std::string> kinds;
  for (const OptimizerCase& row : OptimizerTable()) {
    const std::string kind = KindOf(row);
    if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) kinds.push_back(kind);
  }
  return kinds;
}

class AllPairsTest : public testing::TestWithParam<std::string> {};

TEST_P(AllPairsTest, FollowTheReference) {
  int played = 0;
  for (const PairCase& pair : PairCases()) {
    if (KindOf(*pair.row) != GetParam()) continue;
    EXPECT_EQ(Play(pair), "") << NameOf(pair);
    ++played;
  }
  EXPECT_GT(played, kStages);
}

INSTANTIATE_TEST_SUITE_P(Kinds, AllPairsTest, testing::ValuesIn(Kinds()),
                         [](const auto& param) { return param.param; });

FactorRow RowOf(const PairCase& pair) {
  return {static_cast<int>(pair.row - OptimizerTable().data()),
          static_cast<int>(pair.stage),
          static_cast<int>(pair.change),
          static_cast<int>(pair.form),
          static_cast<int>(pair.policy),
          static_cast<int>(pair.restart),
          static_cast<int>(pair.examples)};
}

TEST(PairCasesTest, HaveEveryPairThatMayBe) {
  std::vector<FactorRow> rows;
  for (const PairCase& pair : PairCases()) {
    rows.push_back(RowOf(pair));
    EXPECT_TRUE(MayBeTogether(rows.back())) << NameOf(pair);
  }
  EXPECT_THAT(MissingPairs(rows, PairFactors(), MayBeTogether), testing::IsEmpty());
  RecordProperty("cases", absl::StrCat(rows.size()));
  // All of the table with all stages, and hardly more.
  EXPECT_LE(rows.size(), OptimizerTable().size() * (kStages + 1));
}

// ---- What is left out ----

absl::Status Create(const OptimizerCase& row, Stage stage) {
  PairCase pair;
  pair.row = &row;
  pair.stage = stage;
  RunRegistry registry(Limits(), std::make_unique<VirtualExecutor>(/*seed=*/1));
  return registry.Create("r", SpecOf(FirstTraining(pair)), "").status();
}

absl::Status Change(const OptimizerCase& row, LiveChange change) {
  PairCase pair;
  pair.row = &row;
  const Training training = FirstTraining(pair);
  RunRegistry registry(Limits(), std::make_unique<VirtualExecutor>(/*seed=*/1));
  const auto run = registry.Create("r", SpecOf(training), "");
  if (!run.ok()) return run.status();
  const ChangedTraining changed = ChangeOf(training, change, /*step=*/0);
  google::protobuf::FieldMask mask;
  for (const std::string& path : changed.paths) mask.add_paths(path);
  // It is refused at once.
  auto update = BeginUpdate(run->get(), SpecOf(changed.training), mask, "ada");
  return IsAnswered(update) ? update.get().status() : absl::UnknownError("no answer");
}

bool HasDecay(const OptimizerCase& row, bool decoupled) {
  const v1::Optimizer& spec = OptimizerOf(row);
  if (spec.weight_decay() == 0) return false;
  v1::WeightDecayMode mode = spec.weight_decay_mode();
  if (mode == v1::WEIGHT_DECAY_MODE_UNSPECIFIED) {
    mode = WeightDecayDefaultsOf(spec.kind_case()).mode;
  }
  return (mode == v1::WEIGHT_DECAY_MODE_DECOUPLED) == decoupled;
}

TEST(ExclusionsTest, TheProductRefusesWhatIsSaidToBeRefused) {
  for (const OptimizerCase& row : OptimizerTable()) {
    for (int stage = 0; stage < kStages; ++stage) {
      const Exclusion* const exclusion = ExclusionOf(row, static_cast<Stage>(stage));
      const absl::Status status = Create(row, static_cast<Stage>(stage));
      SCOPED_TRACE(absl::StrCat(row.name, " ", NameOf(static_cast<Stage>(stage))));
      if (exclusion != nullptr && exclusion->why == Exclusion::Why::kRefused) {
        EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
        EXPECT_THAT(std::string(status.message()), testing::HasSubstr(exclusion->says));
      } else if (exclusion == nullptr) {
        EXPECT_TRUE(status.ok()) << status;
      }
    }
  }
}

TEST(ExclusionsTest, TheProductRefusesChangesThatAreSaidToBeRefused) {
  for (const OptimizerCase& row : OptimizerTable()) {
    for (int i = 0; i < kLiveChanges; ++i) {
      const auto change = static_cast<LiveChange>(i);
      const Exclusion* const exclusion = ExclusionOf(row, change);
      if (exclusion == nullptr || exclusion->why != Exclusion::Why::kRefused) continue;
      SCOPED_TRACE(absl::StrCat(row.name, " ", NameOf(change)));
      const absl::Status status = Change(row, change);
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
      EXPECT_THAT(std::string(status.message()), testing::HasSubstr(exclusion->says));
    }
  }
}

TEST(ExclusionsTest, WhatARowHasOfItsOwnIsThere) {
  for (const Exclusion& exclusion : Exclusions()) {
    for (const OptimizerCase& row : OptimizerTable()) {
      if (!exclusion.rows(row)) continue;
      SCOPED_TRACE(row.name);
      if (exclusion.why == Exclusion::Why::kRowHasDecay) {
        // The spec that the stage makes says another decay than the row.
        PairCase pair;
        pair.row = &row;
        pair.stage = *exclusion.stages.begin();
        EXPECT_NE(SpecOf(FirstTraining(pair)).optimizer().weight_decay(),
                  OptimizerOf(row).weight_decay());
      }
      if (exclusion.why != Exclusion::Why::kOwnRow) continue;
      const bool decoupled = exclusion.stages.count(Stage::kDecoupledDecay) > 0;
      EXPECT_TRUE(std::any_of(OptimizerTable().begin(), OptimizerTable().end(),
                              [&](const OptimizerCase& other) {
                                return KindOf(other) == KindOf(row) && HasDecay(other, decoupled);
                              }));
    }
  }
}

TEST(ExclusionsTest, EveryOneIsNeededAndSaysWhy) {
  for (const Exclusion& exclusion : Exclusions()) {
    EXPECT_TRUE(std::any_of(OptimizerTable().begin(), OptimizerTable().end(), exclusion.rows))
        << exclusion.says;
    EXPECT_FALSE(exclusion.stages.empty() && exclusion.changes.empty());
    const bool explains =
        exclusion.why == Exclusion::Why::kRefused || exclusion.why == Exclusion::Why::kNothingToSay;
    EXPECT_EQ(explains, !exclusion.says.empty());
  }
}

}  // namespace
}  // namespace gradd
