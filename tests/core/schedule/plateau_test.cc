#include "core/schedule/plateau.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

namespace gradd {
namespace {

v1::Schedule ScheduleWith(const std::string& settings) {
  v1::Schedule schedule;
  EXPECT_TRUE(
      google::protobuf::TextFormat::ParseFromString(settings, schedule.mutable_reduce_on_plateau()))
      << settings;
  return schedule;
}

v1::Evaluation EvaluationAt(int64_t step, double loss) {
  v1::Evaluation evaluation;
  evaluation.set_step(step);
  evaluation.set_loss(loss);
  return evaluation;
}

// Reports `losses`, of steps 1, 2, ...
void Report(std::initializer_list<double> losses, Plateau* plateau) {
  int64_t step = 0;
  for (const double loss : losses) plateau->ObserveTrainingLoss(++step, loss);
}

TEST(PlateauTest, EveryReductionIsTorchs) {
  struct Case {
    const char* name;
    const char* settings;
  };
  // torch's rates are 0.3 times ours, its min_lr and eps too.
  const Case cases[] = {
      {"plateau_defaults", "epsilon: 3.3333333333333334e-8"},
      {"plateau_min_relative", "factor: 0.5 patience: 3 threshold: 0.01 epsilon: 3.33333333e-8"},
      {"plateau_min_absolute",
       "factor: 0.7 patience: 2 threshold: 0.05 threshold_mode: PLATEAU_THRESHOLD_MODE_ABSOLUTE "
       "cooldown: 4 epsilon: 3.33333333e-8"},
      {"plateau_max_relative",
       "mode: PLATEAU_MODE_MAX factor: 0.25 patience: 4 threshold: 0.002 min_factor: 0.02"},
      {"plateau_max_absolute",
       "mode: PLATEAU_MODE_MAX factor: 0.9 patience: 0 threshold: 0.001 "
       "threshold_mode: PLATEAU_THRESHOLD_MODE_ABSOLUTE cooldown: 1 epsilon: 0.01"},
  };
  std::ifstream file(GRADD_GOLDEN "/schedules.json");
  const nlohmann::json golden = nlohmann::json::parse(file);
  for (const Case& each : cases) {
    SCOPED_TRACE(each.name);
    v1::Schedule schedule = ScheduleWith(each.settings);
    schedule.mutable_reduce_on_plateau()->set_metric(v1::PLATEAU_METRIC_TRAINING_LOSS);
    Plateau plateau(schedule);
    ASSERT_EQ(golden[each.name].size(), 300u);
    int64_t step = 0;
    double last_rate = 0.3;
    for (const auto& observation : golden[each.name]) {
      const auto rate = observation[1].get<double>();
      const bool fell = plateau.ObserveTrainingLoss(++step, observation[0].get<double>());
      ASSERT_EQ(fell, rate < last_rate) << "observation " << step;
      ASSERT_NEAR(0.3 * plateau.factor(), rate, 1e-12 * rate) << "observation " << step;
      last_rate = rate;
    }
    EXPECT_LT(last_rate, 0.1);
  }
}

TEST(PlateauTest, WithoutSettingsNothingIsReduced) {
  Plateau plateau{v1::Schedule()};
  for (int64_t step = 1; step < 100; ++step) {
    EXPECT_FALSE(plateau.ObserveTrainingLoss(step, 1));
    EXPECT_FALSE(plateau.ObserveEvaluation(EvaluationAt(step, 1)));
  }
  EXPECT_EQ(plateau.factor(), 1);
}

TEST(PlateauTest, TheEvaluationsLossIsTheDefaultAndEachStepCountsOnce) {
  Plateau plateau(ScheduleWith("factor: 0.5 patience: 1"));
  EXPECT_FALSE(plateau.ObserveEvaluation(EvaluationAt(0, 1)));
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(plateau.ObserveEvaluation(EvaluationAt(10, 1)));
  EXPECT_FALSE(plateau.ObserveEvaluation(EvaluationAt(9, 1)));
  EXPECT_TRUE(plateau.ObserveEvaluation(EvaluationAt(11, 1)));
  EXPECT_FALSE(plateau.ObserveTrainingLoss(12, 1));
  EXPECT_EQ(plateau.factor(), 0.5);
}

TEST(PlateauTest, AnAccuracyIsBetterWhenItIsGreater) {
  Plateau plateau(
      ScheduleWith("metric: PLATEAU_METRIC_EVALUATION_ACCURACY factor: 0.5 patience: 0"));
  v1::Evaluation evaluation = EvaluationAt(1, 1);
  for (const double accuracy : {0.5, 0.6, 0.7}) {
    evaluation.set_accuracy(accuracy);
    EXPECT_FALSE(plateau.ObserveEvaluation(evaluation));
    evaluation.set_step(evaluation.step() + 1);
  }
  EXPECT_FALSE(plateau.ObserveEvaluation(EvaluationAt(10, 1)));  // Says nothing about accuracy.
  evaluation.set_step(11);
  evaluation.set_accuracy(0.6);
  EXPECT_TRUE(plateau.ObserveEvaluation(evaluation));
}

TEST(PlateauTest, TheTrainingLossIsObservedEveryIntervalSteps) {
  Plateau plateau(
      ScheduleWith("metric: PLATEAU_METRIC_TRAINING_LOSS factor: 0.5 patience: 1 interval: 10"));
  for (int64_t step = 1; step < 30; ++step) EXPECT_FALSE(plateau.ObserveTrainingLoss(step, 1));
  EXPECT_TRUE(plateau.ObserveTrainingLoss(30, 1));
}

TEST(PlateauTest, ALossThatIsNoNumberIsNeverBetter) {
  Plateau plateau(ScheduleWith("metric: PLATEAU_METRIC_TRAINING_LOSS factor: 0.5 patience: 1"));
  const double nan = std::numeric_limits<double>::quiet_NaN();
  Report({nan, nan}, &plateau);
  EXPECT_EQ(plateau.factor(), 0.5);
}

TEST(PlateauTest, ARelativeThresholdIsAFractionOfTheMagnitude) {
  // A log-likelihood, a reward: losses below 0. -100 is no better than -100.
  const char* const settings = "metric: PLATEAU_METRIC_TRAINING_LOSS factor: 0.5 patience: 2";
  Plateau constant(ScheduleWith(settings));
  Report({-100, -100, -100, -100}, &constant);
  EXPECT_EQ(constant.factor(), 0.5);
  Plateau nearly(ScheduleWith(std::string(settings) + " threshold: 0.01"));
  Report({-100, -100.9, -100.9, -100.9}, &nearly);
  EXPECT_EQ(nearly.factor(), 0.5);
  Plateau falling(ScheduleWith(std::string(settings) + " threshold: 0.01"));
  Report({-100, -101.1, -102.2, -103.3, -104.4, -105.5}, &falling);
  EXPECT_EQ(falling.factor(), 1);
  // From above 0 to below it, and at 0 itself, where every fall counts.
  Plateau through(ScheduleWith(settings));
  Report({2, 1, 0, -1e-9, -1, -2, -4}, &through);
  EXPECT_EQ(through.factor(), 1);
  // More is better: -100 is better than -101, and -100.5 not by 1 %.
  Plateau rising(ScheduleWith(std::string(settings) + " threshold: 0.01 mode: PLATEAU_MODE_MAX"));
  Report({-101, -99, -97, -95, -93}, &rising);
  EXPECT_EQ(rising.factor(), 1);
  Report({-92.5, -92.5, -92.5}, &rising);
  EXPECT_EQ(rising.factor(), 0.5);
}

TEST(PlateauTest, OnlyOtherSettingsBeginAnew) {
  v1::Schedule schedule =
      ScheduleWith("metric: PLATEAU_METRIC_TRAINING_LOSS factor: 0.5 patience: 1");
  Plateau plateau(schedule);
  Report({1, 1, 1, 1}, &plateau);
  ASSERT_EQ(plateau.factor(), 0.5);
  schedule.set_learning_rate(3);
  schedule.mutable_cosine_decay()->set_decay_steps(3);
  plateau.Configure(schedule);
  EXPECT_EQ(plateau.factor(), 0.5);
  EXPECT_TRUE(plateau.ObserveTrainingLoss(5, 1));  // The second that was no better.
  schedule.mutable_reduce_on_plateau()->set_patience(2);
  plateau.Configure(schedule);
  EXPECT_EQ(plateau.factor(), 1);
  Report({2, 2, 2}, &plateau);  // The best one is forgotten too: two are no better.
  EXPECT_EQ(plateau.factor(), 1);
  Report({2}, &plateau);
  EXPECT_EQ(plateau.factor(), 0.5);
  schedule.clear_reduce_on_plateau();
  plateau.Configure(schedule);
  EXPECT_EQ(plateau.factor(), 1);
}

TEST(PlateauTest, ReadBackAfterAnyObservationItGoesOnAsItWould) {
  const v1::Schedule training = [] {
    v1::Schedule schedule = ScheduleWith("patience: 2 cooldown: 3 factor: 0.5");
    schedule.mutable_reduce_on_plateau()->set_metric(v1::PLATEAU_METRIC_TRAINING_LOSS);
    return schedule;
  }();
  Plateau live(training);
  for (int64_t step = 1; step <= 60; ++step) {
    state::v1::PlateauState state;
    live.Write(&state);
    Plateau read(training);
    ASSERT_TRUE(read.Read(state).ok());
    const double loss = step % 11 == 0 ? 1.0 / static_cast<double>(step) : 5;
    EXPECT_EQ(read.ObserveTrainingLoss(step, loss), live.ObserveTrainingLoss(step, loss)) << step;
    EXPECT_EQ(read.factor(), live.factor()) << step;
  }
  EXPECT_LT(live.factor(), 0.25) << "it fell more than once";

  const v1::Schedule by_evaluation = ScheduleWith("patience: 0");
  Plateau first(by_evaluation);
  first.ObserveEvaluation(EvaluationAt(7, 1));
  state::v1::PlateauState state;
  first.Write(&state);
  Plateau second(by_evaluation);
  ASSERT_TRUE(second.Read(state).ok());
  EXPECT_FALSE(second.ObserveEvaluation(EvaluationAt(7, 2))) << "it was observed before";
  EXPECT_TRUE(second.ObserveEvaluation(EvaluationAt(8, 2)));
  state.set_factor(2);
  EXPECT_FALSE(second.Read(state).ok());
  state.set_factor(1);
  state.set_cooldown_left(-1);
  EXPECT_FALSE(second.Read(state).ok());
}

}  // namespace
}  // namespace gradd
