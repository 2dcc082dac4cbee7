#include "core/run/run_reports.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "tests/support/fake_clock.h"

namespace gradd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr absl::Duration kPace = absl::Seconds(1);

class RunReportsTest : public testing::Test {
 protected:
  std::vector<std::string> Lines() {
    std::vector<std::string> lines;
    for (const LogEntry& entry : log_->Take(clock_.Elapsed())) lines.push_back(entry.Line());
    return lines;
  }
  void Tell(v1::RunCondition kind, absl::Duration lasts, absl::Duration pace = kPace) {
    Condition condition;
    condition.kind = kind;
    condition.reason = "why";
    condition.since = clock_.Elapsed() - lasts;
    reports_.TellCondition(condition, pace, /*had_workers=*/true, 7);
  }

  FakeClock clock_;
  std::shared_ptr<RunLog> log_ = std::make_shared<RunLog>();
  RunReports reports_{"r", /*is_trial=*/false, log_, &clock_};
};

TEST_F(RunReportsTest, AConditionIsToldOnceAndWhenItIsOver) {
  Tell(v1::RUN_CONDITION_TRAINING, absl::ZeroDuration());
  EXPECT_THAT(Lines(), IsEmpty());
  Tell(v1::RUN_CONDITION_DIVERGED, absl::Seconds(1));
  Tell(v1::RUN_CONDITION_DIVERGED, absl::Seconds(2));
  EXPECT_THAT(Lines(), ElementsAre("run diverged: run=r reason=why step=7"));
  Tell(v1::RUN_CONDITION_TRAINING, absl::ZeroDuration());
  Tell(v1::RUN_CONDITION_TRAINING, absl::ZeroDuration());
  EXPECT_THAT(Lines(), ElementsAre("run goes on: run=r step=7"));
}

// Why it is paused is news, even where it was known to diverge; and its condition is none then.
TEST_F(RunReportsTest, APauseByTheServerIsToldOnce) {
  Tell(v1::RUN_CONDITION_DIVERGED, absl::Seconds(1));
  reports_.Paused("loss is 31x its best", 8);
  Tell(v1::RUN_CONDITION_DIVERGED, absl::Seconds(1));
  EXPECT_THAT(Lines(), ElementsAre("run diverged: run=r reason=why step=7",
                                   "run paused: run=r reason=\"loss is 31x its best\" step=8"));
  RunReports other("s", /*is_trial=*/false, log_, &clock_);
  other.Paused("nan", 8);
  EXPECT_THAT(Lines(), ElementsAre("run paused: run=s reason=nan step=8"));
}

TEST_F(RunReportsTest, AWaitIsToldWhenItIsLongerThanStepsTake) {
  Tell(v1::RUN_CONDITION_WAITING_FOR_PUSHES, absl::Seconds(29));
  Tell(v1::RUN_CONDITION_WAITING_FOR_PUSHES, absl::Seconds(59), /*pace=*/absl::Seconds(20));
  EXPECT_THAT(Lines(), IsEmpty());
  Tell(v1::RUN_CONDITION_WAITING_FOR_PUSHES, absl::Seconds(60), /*pace=*/absl::Seconds(20));
  EXPECT_THAT(Lines(), ElementsAre("run waits for pushes: run=r reason=why step=7 for=1m"));
}

TEST_F(RunReportsTest, TheConditionIsLookedAtOnceASecond) {
  clock_.Advance(absl::Seconds(1));
  EXPECT_TRUE(reports_.WantsCondition());
  clock_.Advance(absl::Milliseconds(999));
  EXPECT_FALSE(reports_.WantsCondition());
  clock_.Advance(absl::Milliseconds(1));
  EXPECT_TRUE(reports_.WantsCondition());
}

TEST_F(RunReportsTest, AtMostThreeWorkersAreNamed) {
  const std::string rest = "reason=\"others need their room, and the run is paused\" pushes=";
  reports_.PushesDropped({"a", "b", "c"}, "is paused", 7);
  EXPECT_THAT(Lines(), ElementsAre("pushes dropped: run=r worker=a,b,c " + rest + "3 step=7"));
  RunReports other("s", /*is_trial=*/false, log_, &clock_);
  other.PushesDropped({"a", "b", "c", "d"}, "is paused", 7);
  EXPECT_THAT(Lines(), ElementsAre("pushes dropped: run=s worker=a,b,c,... " + rest + "4 step=7"));
}

// What comes many times a second is limited for each run and each reason.
TEST_F(RunReportsTest, RejectionsAreLimitedByReason) {
  for (int i = 0; i < 3; ++i) {
    reports_.PushRejected("w", 1, InvalidArgument("NON_FINITE", "nan"), 7);
    reports_.PushRejected("w", 1, InvalidArgument("OUT_OF_RANGE", "-1"), 7);
  }
  EXPECT_EQ(Lines().size(), 2U);
}

TEST_F(RunReportsTest, ATrialTellsThoseWhoRaceItAndNotTheLog) {
  RunReports trial("t", /*is_trial=*/true, log_, &clock_);
  const auto recorded = std::make_shared<TrialLog>(clock_.Elapsed());
  trial.RecordIn(recorded);
  clock_.Advance(absl::Seconds(2));
  EXPECT_FALSE(trial.WantsCondition());
  state::v1::StepDecision decision;
  decision.set_loss(0.5);
  decision.set_learning_rate(0.1);
  trial.StepMade(decision, 8, 0.75);
  trial.Finished(v1::RunProgress());
  trial.Paused("not finite", 8);
  trial.IsNoGood("not finite");
  EXPECT_THAT(Lines(), IsEmpty());
  const TrialLog::News news = recorded->Take(10);
  ASSERT_EQ(news.steps.size(), 1U);
  EXPECT_EQ(news.steps[0].step(), 8);
  EXPECT_EQ(news.steps[0].loss(), 0.5);
  EXPECT_EQ(news.steps[0].smoothed_loss(), 0.75);
  EXPECT_EQ(news.steps[0].seconds(), 2);
  EXPECT_EQ(ReasonOf(news.refusal), "NON_FINITE");
}

TEST_F(RunReportsTest, NobodyNeedsToListen) {
  RunReports silent("r", /*is_trial=*/false, nullptr, &clock_);
  silent.TimelineBegun(2, "ada", 7);
  silent.PushRejected("w", 1, InvalidArgument("NON_FINITE", "nan"), 7);
}

}  // namespace
}  // namespace gradd
