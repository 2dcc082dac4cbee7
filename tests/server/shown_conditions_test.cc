#include "server/shown_conditions.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "core/base/duration.h"

namespace gradd {
namespace {

v1::RunProgress In(v1::RunCondition condition, const std::string& reason) {
  v1::RunProgress progress;
  progress.set_condition(condition);
  progress.set_reason(reason);
  return progress;
}

const absl::Time kNoon = absl::FromUnixSeconds(1'700'000'000);

TEST(SeverityTest, WhatIsBrokenComesBeforeWhatWaitsAndThatBeforeWhatTrains) {
  EXPECT_GT(SeverityOf(v1::RUN_CONDITION_DIVERGED), SeverityOf(v1::RUN_CONDITION_NO_WORKERS));
  EXPECT_GT(SeverityOf(v1::RUN_CONDITION_NO_WORKERS),
            SeverityOf(v1::RUN_CONDITION_WAITING_FOR_WORKERS));
  EXPECT_GT(SeverityOf(v1::RUN_CONDITION_WAITING_FOR_PUSHES), SeverityOf(v1::RUN_CONDITION_PAUSED));
  EXPECT_GT(SeverityOf(v1::RUN_CONDITION_HELD), SeverityOf(v1::RUN_CONDITION_TRAINING));
}

TEST(ShownConditionsTest, SinceIsWhatTheRunSaysAndDoesNotJitter) {
  ShownConditions conditions;
  v1::RunProgress progress = In(v1::RUN_CONDITION_NO_WORKERS, "none has joined yet");
  *progress.mutable_condition_time() = ToProto(absl::Seconds(60));
  EXPECT_EQ(conditions.Look("r", progress, kNoon).since, kNoon - absl::Seconds(60));
  *progress.mutable_condition_time() = ToProto(absl::Seconds(70) + absl::Milliseconds(3));
  EXPECT_EQ(conditions.Look("r", progress, kNoon + absl::Seconds(10)).since,
            kNoon - absl::Seconds(60));
  // Others have come and gone in between.
  *progress.mutable_condition_time() = ToProto(absl::Seconds(5));
  EXPECT_EQ(conditions.Look("r", progress, kNoon + absl::Seconds(20)).since,
            kNoon + absl::Seconds(15));
}

TEST(ShownConditionsTest, SinceIsTheFirstLookWhereTheRunCannotSay) {
  ShownConditions conditions;
  const auto diverged = In(v1::RUN_CONDITION_DIVERGED, "loss is 31x its best since step 1,204");
  conditions.Look("r", In(v1::RUN_CONDITION_TRAINING, ""), kNoon);
  conditions.Look("r", diverged, kNoon + absl::Seconds(5));
  const auto shown = conditions.Look("r", diverged, kNoon + absl::Seconds(10));
  EXPECT_EQ(shown.since, kNoon + absl::Seconds(5));
  EXPECT_EQ(shown.reason, "loss is 31x its best since step 1,204");
}

TEST(ShownConditionsTest, AReasonThatChangesAtEveryLookMakesFewSeries) {
  ShownConditions conditions;
  std::set<std::string> texts;
  constexpr int kLooks = 720;
  for (int i = 0; i < kLooks; ++i) {  // An hour.
    const std::string reason = "push " + std::to_string(i) + " was refused";
    texts.insert(
        conditions.Look("r", In(v1::RUN_CONDITION_DIVERGED, reason), kNoon + i * absl::Seconds(5))
            .reason);
  }
  EXPECT_LE(texts.size(), ShownConditions::kTexts + 60u);
  EXPECT_GE(texts.size(), ShownConditions::kTexts + 59u);
}

TEST(ShownConditionsTest, NoReasonIsShownThatIsNotOfTheCondition) {
  ShownConditions conditions;
  for (int i = 0; i < 2 * ShownConditions::kTexts; ++i) {
    const auto kind =
        i % 2 == 0 ? v1::RUN_CONDITION_WAITING_FOR_PUSHES : v1::RUN_CONDITION_WAITING_FOR_WORKERS;
    const std::string reason = "reason " + std::to_string(i);
    const std::string shown = conditions.Look("r", In(kind, reason), kNoon).reason;
    EXPECT_EQ(shown, i < ShownConditions::kTexts ? reason : "");
  }
  EXPECT_EQ(conditions.Look("r", In(v1::RUN_CONDITION_TRAINING, ""), kNoon).reason, "");
}

TEST(ShownConditionsTest, ForgetsRunsThatAreGoneAndCutsLongTexts) {
  ShownConditions conditions;
  const auto training = In(v1::RUN_CONDITION_TRAINING, std::string(5000, 'x'));
  const auto shown = conditions.Look("r", training, kNoon);
  EXPECT_LE(shown.reason.size(), ShownConditions::kMaxReasonBytes + 3);
  conditions.Keep({"r"});
  EXPECT_EQ(conditions.Look("r", training, kNoon + absl::Seconds(9)).since, kNoon);
  conditions.Keep({"q"});
  EXPECT_EQ(conditions.Look("r", training, kNoon + absl::Seconds(9)).since,
            kNoon + absl::Seconds(9));
}

}  // namespace
}  // namespace gradd
