#include "ctl/text.h"

#include <cmath>
#include <limits>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace gradd::ctl {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

v1::RunProgress Halfway() {
  v1::RunProgress progress;
  progress.set_step(1920);
  progress.set_max_steps(4000);
  progress.set_state(v1::RUN_STATE_RUNNING);
  progress.set_loss(0.31214);
  progress.set_learning_rate(0.00081);
  progress.set_examples_per_second(62'144);
  progress.mutable_evaluation()->set_accuracy(0.8792);
  progress.mutable_time_left()->set_seconds(21);
  progress.set_live_workers(2);
  return progress;
}

TEST(ProgressLineTest, ShowsTheMostImportantIn40Columns) {
  const std::string line = ProgressLine("fashion", Halfway(), 40);
  EXPECT_EQ(line, "fashion  [####-----]  48 %  loss 0.3121");
  EXPECT_LE(line.size(), 40);
}

TEST(ProgressLineTest, ARunOfADataSetEndsWithIt) {
  v1::RunProgress progress;
  progress.set_step(186);
  progress.mutable_data()->set_used_batches(141);
  progress.mutable_data()->set_batches(564);
  progress.mutable_data()->set_epochs(3);
  EXPECT_THAT(ProgressLine("wt", progress, 80), HasSubstr("25 %  step 186  epoch 1/3"));
  // What comes first: its last step.
  progress.set_max_steps(200);
  EXPECT_THAT(ProgressLine("wt", progress, 80), HasSubstr("93 %  step 186/200  epoch 1/3"));
}

TEST(ProgressLineTest, ShowsMoreIn80Columns) {
  const std::string line = ProgressLine("fashion", Halfway(), 80);
  EXPECT_EQ(line, "fashion  48 %  step 1920/4000  loss 0.3121  accuracy 0.8792  0:21 left");
  EXPECT_LE(line.size(), 80);
  v1::RunProgress without = Halfway();
  without.clear_evaluation();
  EXPECT_EQ(ProgressLine("fashion", without, 80),
            "fashion  [##########-----------]  48 %  step 1920/4000  loss 0.3121  0:21 left");
}

TEST(ProgressLineTest, TheStepStaysIn80ColumnsWhateverElseThereIs) {
  for (const int64_t steps : {10, 4000, 1'000'000, 50'000'000}) {
    v1::RunProgress progress = Halfway();
    progress.set_max_steps(steps);
    progress.set_step(steps / 2);
    for (const char* run : {"r", "fashion", "a-rather-long-name-of-a-run"}) {
      EXPECT_THAT(ProgressLine(run, progress, 79),
                  HasSubstr("step " + std::to_string(steps / 2) + "/" + std::to_string(steps)));
    }
  }
}

TEST(ProgressLineTest, ShowsEverythingIn200Columns) {
  EXPECT_EQ(ProgressLine("fashion", Halfway(), 200),
            "fashion  [############################--------------------------------]  48 %"
            "  step 1920/4000  loss 0.3121  accuracy 0.8792  lr 0.00081  62.1k examples/s"
            "  0:21 left");
}

TEST(ProgressLineTest, NeverIsWiderThanTheTerminal) {
  v1::RunProgress endless = Halfway();
  endless.clear_max_steps();
  for (int width = 1; width <= 250; ++width) {
    EXPECT_LE(ProgressLine("fashion", Halfway(), width).size(), width);
    EXPECT_LE(ProgressLine("fashion", endless, width).size(), width);
    EXPECT_LE(ProgressLine(std::string(63, 'r'), Halfway(), width).size(), width);
  }
  EXPECT_EQ(ProgressLine("fashion", Halfway(), 4), "48 %");
}

TEST(ProgressLineTest, KeepsItsShapeWhileNumbersChange) {
  const auto bar_end = [](const v1::RunProgress& progress, int width) {
    return ProgressLine("fashion", progress, width).find(']');
  };
  for (int width = 20; width <= 200; ++width) {
    v1::RunProgress early = Halfway();
    early.set_step(7);
    early.set_loss(2.5);
    early.set_learning_rate(0.1);
    early.set_examples_per_second(900);
    early.mutable_time_left()->set_seconds(754);
    EXPECT_EQ(bar_end(early, width), bar_end(Halfway(), width)) << width;
  }
}

TEST(ProgressLineTest, HasNoBarWithoutATotal) {
  v1::RunProgress progress = Halfway();
  progress.clear_max_steps();
  progress.clear_time_left();
  EXPECT_EQ(ProgressLine("fashion", progress, 200),
            "fashion  step 1920  loss 0.3121  accuracy 0.8792  lr 0.00081  62.1k examples/s");
}

TEST(ProgressLineTest, LeavesOutWhatIsNotKnownYet) {
  v1::RunProgress progress;
  progress.set_max_steps(10);
  progress.set_learning_rate(0.1);
  progress.set_live_workers(1);
  EXPECT_EQ(ProgressLine("x", progress, 50), "x  [------------]   0 %  step 0/10  lr 0.1");
}

TEST(ProgressLineTest, NeverShowsWhatIsNotFinite) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double bad : {nan, infinity, -infinity}) {
    v1::RunProgress progress = Halfway();
    progress.set_loss(bad);
    progress.set_learning_rate(bad);
    progress.set_examples_per_second(bad);
    progress.mutable_evaluation()->set_accuracy(bad);
    const std::string line = ProgressLine("fashion", progress, 200);
    EXPECT_THAT(line, Not(HasSubstr("nan")));
    EXPECT_THAT(line, Not(HasSubstr("inf")));
    EXPECT_THAT(line, HasSubstr("step 1920/4000"));
  }
}

TEST(ProgressLineTest, SaysWhyNothingMoves) {
  v1::RunProgress progress = Halfway();
  progress.set_live_workers(0);
  EXPECT_THAT(ProgressLine("x", progress, 200), HasSubstr("no workers"));
  progress.set_state(v1::RUN_STATE_PAUSED);
  EXPECT_THAT(ProgressLine("x", progress, 200), HasSubstr("paused"));
  progress.set_state(v1::RUN_STATE_HELD);
  EXPECT_THAT(ProgressLine("x", progress, 200), HasSubstr("held"));
  progress.set_state(v1::RUN_STATE_FINISHED);
  EXPECT_THAT(ProgressLine("x", progress, 200), HasSubstr("finished"));
}

TEST(ProgressLineTest, Says100PercentOnlyWhenItIsSo) {
  v1::RunProgress progress = Halfway();
  progress.set_step(3999);
  EXPECT_THAT(ProgressLine("x", progress, 200), HasSubstr("99 %"));
  EXPECT_THAT(ProgressLine("x", progress, 200), HasSubstr("-]"));
  progress.set_step(4000);
  EXPECT_THAT(ProgressLine("x", progress, 200), HasSubstr("100 %"));
  EXPECT_THAT(ProgressLine("x", progress, 200), Not(HasSubstr("-]")));
  // The maximum was lowered meanwhile.
  progress.set_step(9000);
  EXPECT_THAT(ProgressLine("x", progress, 200), HasSubstr("100 %"));
}

TEST(ProgressLogLineTest, HasEverythingButTheBar) {
  EXPECT_EQ(ProgressLogLine("fashion", Halfway()),
            "fashion  48 %  step 1920/4000  loss 0.3121  accuracy 0.8792  lr 0.00081"
            "  62.1k examples/s  0:21 left");
}

TEST(NumberTextTest, RatesHaveThreeDigitsAndAUnit) {
  EXPECT_EQ(RateText(0), "0");
  EXPECT_EQ(RateText(3.14159), "3.14");
  EXPECT_EQ(RateText(999.4), "999");
  EXPECT_EQ(RateText(999.6), "1k");
  EXPECT_EQ(RateText(62'144), "62.1k");
  EXPECT_EQ(RateText(3'400'000), "3.4M");
  EXPECT_EQ(RateText(999'700'000), "1G");
}

TEST(NumberTextTest, CountsAreGroupedByThousands) {
  EXPECT_EQ(GroupedText(0), "0");
  EXPECT_EQ(GroupedText(999), "999");
  EXPECT_EQ(GroupedText(1000), "1,000");
  EXPECT_EQ(GroupedText(2'000'000'000), "2,000,000,000");
  EXPECT_EQ(GroupedText(-123'456), "-123,456");
}

TEST(NumberTextTest, LossesKeepTheirDigitsAtAnySize) {
  EXPECT_EQ(LossText(0), "0.0000");
  EXPECT_EQ(LossText(0.31214), "0.3121");
  EXPECT_EQ(LossText(0.0000123), "1.23e-05");
  EXPECT_EQ(LossText(12'345'678), "1.23e+07");
}

TEST(NumberTextTest, TimesAreRoundedUpToSeconds) {
  EXPECT_EQ(ClockText(absl::ZeroDuration()), "0:00");
  EXPECT_EQ(ClockText(absl::Milliseconds(20'100)), "0:21");
  EXPECT_EQ(ClockText(absl::Seconds(723)), "12:03");
  EXPECT_EQ(ClockText(absl::Hours(27) + absl::Seconds(5)), "27:00:05");
  EXPECT_EQ(ClockText(absl::Seconds(-3)), "0:00");
}

TEST(TableTest, AlignsTextLeftAndNumbersRight) {
  EXPECT_EQ(Table({"NAME", "N", "GROUP", "STATE"},
                  {{"a", "1", "-", "x"}, {"bbbbb", "100", "-", "yy"}, {"c", "-", "-", ""}}),
            "NAME     N  GROUP  STATE\n"
            "a        1  -      x\n"
            "bbbbb  100  -      yy\n"
            "c        -  -\n");
}

}  // namespace
}  // namespace gradd::ctl
