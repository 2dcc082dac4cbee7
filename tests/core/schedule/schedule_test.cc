#include "core/schedule/schedule.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace gradd {
namespace {

using testing::HasSubstr;

constexpr int64_t kLastStep = int64_t{1} << 53;

// What tests/golden/generate.py computes under `name`, with a rate of 0.3.
struct GoldenSchedule {
  const char* name;
  const char* shape;
};

constexpr GoldenSchedule kGolden[] = {
    {"step_decay", "step_decay { step_size: 30 gamma: 0.7 }"},
    {"exponential_decay", "exponential_decay { decay_rate: 0.995 }"},
    {"multi_step_decay", "multi_step_decay { milestones: [ 1, 100, 101, 640 ] gamma: 0.3 }"},
    {"polynomial_decay", "polynomial_decay { decay_steps: 700 power: 2.5 }"},
    {"polynomial_decay_linear", "polynomial_decay { decay_steps: 999 }"},
    {"linear", "linear { total_steps: 613 start_factor: 0.9 end_factor: 0.2 }"},
    {"linear_up", "linear { total_steps: 400 start_factor: 0.1 end_factor: 1 }"},
    {"constant_factor",
     "piecewise { points { step: 0 factor: 0.25 } points { step: 300 factor: 1 } }"},
    {"cosine_decay", "cosine_decay { decay_steps: 999 end_factor: 0.01 }"},
    {"cosine_decay_to_zero", "cosine_decay { decay_steps: 999 }"},
    {"cosine_restarts", "cosine_restarts { period: 70 end_factor: 0.1 }"},
    {"cosine_restarts_growing", "cosine_restarts { period: 13 period_factor: 2 }"},
    {"cosine_restarts_tripling", "cosine_restarts { period: 9 period_factor: 3 end_factor: 0.02 }"},
    {"cyclic_triangular", "cyclic { up_steps: 60 max_factor: 6 }"},
    {"cyclic_triangular2",
     "cyclic { up_steps: 60 down_steps: 40 max_factor: 6 form: CYCLIC_FORM_TRIANGULAR2 }"},
    {"cyclic_exp_range",
     "cyclic { up_steps: 60 down_steps: 140 max_factor: 6 form: CYCLIC_FORM_EXP_RANGE "
     "gamma: 0.997 }"},
    {"one_cycle", "one_cycle { total_steps: 1000 }"},
    {"one_cycle_linear",
     "one_cycle { total_steps: 1000 rise_fraction: 0.2503 start_factor: 0.1 end_factor: 0.001 "
     "annealing: ANNEALING_LINEAR }"},
    {"one_cycle_three_phase", "one_cycle { total_steps: 1000 three_phase: true }"},
    {"one_cycle_three_phase_linear",
     "one_cycle { total_steps: 1000 three_phase: true rise_fraction: 0.4 "
     "annealing: ANNEALING_LINEAR }"},
    {"one_cycle_without_rise", "one_cycle { total_steps: 1000 rise_fraction: 0 }"},
    {"one_cycle_all_rise", "one_cycle { total_steps: 1000 rise_fraction: 1 }"},
    {"warm_up", "warm_up { steps: 80 start_factor: 0.25 }"},
    {"warm_up_cosine",
     "warm_up { steps: 80 start_factor: 0.25 } cosine_decay { decay_steps: 920 end_factor: 0.01 }"},
    {"warm_up_step",
     "warm_up { steps: 80 start_factor: 0.25 } step_decay { step_size: 90 gamma: 0.5 }"},
    {"sequence",
     "sequence {"
     "  parts { steps: 100 schedule { linear { total_steps: 100 start_factor: 0.5 end_factor: 1 } "
     "} }"
     "  parts { steps: 200 schedule { exponential_decay { decay_rate: 0.99 } } }"
     "  parts { schedule { cosine_restarts { period: 50 period_factor: 2 } } } }"},
    {"inverse_time_decay", "inverse_time_decay { decay_rate: 0.5 decay_steps: 20 }"},
    {"inverse_time_decay_staircase",
     "inverse_time_decay { decay_rate: 0.5 decay_steps: 20 staircase: true }"},
    {"inverse_square_root", "warm_up { steps: 64 } inverse_square_root { timescale: 64 }"},
    {"stable_decay",
     "warm_up { steps: 50 } stable_decay { stable_steps: 600 decay_steps: 300 end_factor: 0.1 }"},
    {"stable_decay_square_root",
     "stable_decay { stable_steps: 600 decay_steps: 350 annealing: ANNEALING_SQUARE_ROOT }"},
    {"piecewise",
     "piecewise { points { step: 100 factor: 0.5 } points { step: 200 factor: 1 }"
     "  points { step: 201 factor: 0.25 } points { step: 777 factor: 3 } }"},
    {"piecewise_interpolated",
     "piecewise { interpolate: true points { step: 100 factor: 0.5 }"
     "  points { step: 200 factor: 1 } points { step: 201 factor: 0.25 }"
     "  points { step: 777 factor: 3 } }"},
};

v1::Schedule Parse(const std::string& text) {
  v1::Schedule schedule;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &schedule)) << text;
  return schedule;
}

v1::Schedule ParseShape(const std::string& shape) {
  return Parse(absl::StrCat("learning_rate: 0.3 ", shape));
}

nlohmann::json GoldenRates() {
  std::ifstream file(GRADD_GOLDEN "/schedules.json");
  return nlohmann::json::parse(file);
}

// As close as the rounding of another order of operations allows; where a rate is nearly zero, as
// close as its terms.
double Tolerance(double expected) { return 1e-12 * std::max(expected, 0.003); }

TEST(ScheduleTest, EveryShapeIsTorchs) {
  const nlohmann::json golden = GoldenRates();
  for (const GoldenSchedule& entry : kGolden) {
    SCOPED_TRACE(entry.name);
    const v1::Schedule schedule = ParseShape(entry.shape);
    ASSERT_TRUE(ValidateSchedule(schedule).ok()) << ValidateSchedule(schedule);
    ASSERT_GT(golden[entry.name].size(), 90u);
    for (const auto& point : golden[entry.name]) {
      const auto step = point[0].get<int64_t>();
      const auto expected = point[1].get<double>();
      EXPECT_NEAR(LearningRate(schedule, step), expected, Tolerance(expected)) << "step " << step;
    }
  }
}

TEST(ScheduleTest, NoShapeIsLeftOut) {
  std::set<std::string> shapes = {"constant"};
  for (const GoldenSchedule& entry : kGolden) {
    const v1::Schedule schedule = ParseShape(entry.shape);
    const auto* const shape = schedule.GetReflection()->GetOneofFieldDescriptor(
        schedule, schedule.GetDescriptor()->oneof_decl(0));
    if (shape != nullptr) shapes.insert(shape->name());
  }
  const auto* const oneof = v1::Schedule::descriptor()->oneof_decl(0);
  for (int i = 0; i < oneof->field_count(); ++i) {
    EXPECT_EQ(shapes.count(oneof->field(i)->name()), 1u) << oneof->field(i)->name();
  }
}

TEST(ScheduleTest, RatesAreFiniteAndNotNegativeUpToTheLastStep) {
  std::vector<int64_t> steps;
  for (int64_t step = 0; step < 3000; ++step) steps.push_back(step);
  for (int64_t step = 4096; step <= kLastStep; step *= 2) {
    for (const int64_t near : {step - 1, step, step + step / 3}) {
      steps.push_back(std::min(near, kLastStep));
    }
  }
  for (const GoldenSchedule& entry : kGolden) {
    const v1::Schedule schedule = ParseShape(entry.shape);
    v1::Schedule warm = schedule;
    warm.mutable_warm_up()->set_steps(17);
    warm.mutable_warm_up()->set_annealing(v1::ANNEALING_COSINE);
    for (const v1::Schedule& each : {schedule, warm}) {
      for (const int64_t step : steps) {
        const double rate = LearningRate(each, step);
        ASSERT_TRUE(std::isfinite(rate) && rate >= 0)
            << entry.name << " at " << step << ": " << rate;
      }
    }
  }
}

TEST(ScheduleTest, ShapesAsLongAsARunCanBeReachTheirEnds) {
  const std::string steps = absl::StrCat(kLastStep);
  for (const std::string& shape :
       {"linear { total_steps: " + steps + " end_factor: 0.5 }",
        "polynomial_decay { decay_steps: " + steps + " end_factor: 0.5 }",
        "cosine_decay { decay_steps: " + steps + " end_factor: 0.5 }",
        "stable_decay { decay_steps: " + steps + " end_factor: 0.5 }",
        "one_cycle { total_steps: " + steps + " end_factor: 0.5 }",
        "inverse_time_decay { decay_rate: 1 decay_steps: " + steps + " }",
        "piecewise { interpolate: true points { step: 0 factor: 1 } points { step: " + steps +
            " factor: 0.5 } }",
        "step_decay { step_size: " + steps + " gamma: 0.5 }",
        "sequence { parts { steps: " + steps + " } parts { schedule { learning_rate: 0.5 } } }"}) {
    const v1::Schedule schedule = Parse("learning_rate: 1 " + shape);
    ASSERT_TRUE(ValidateSchedule(schedule).ok()) << ValidateSchedule(schedule);
    EXPECT_DOUBLE_EQ(LearningRate(schedule, kLastStep), 0.5) << shape;
  }
  const v1::Schedule inverse =
      Parse("learning_rate: 1 inverse_square_root { timescale: " + steps + " }");
  EXPECT_DOUBLE_EQ(LearningRate(inverse, kLastStep), std::sqrt(0.5));
  // Periods of 1, 1000, 10^6, ... steps: the last one that begins is longer than what is left.
  const v1::Schedule restarts =
      Parse("learning_rate: 1 cosine_restarts { period: 1 period_factor: 1000 }");
  const int64_t begin = 1'001'001'001'001'001;  // Of the period of 10^18 steps.
  EXPECT_EQ(LearningRate(restarts, begin), 1);
  EXPECT_LT(LearningRate(restarts, begin - 1), 1e-12);
  EXPECT_GT(LearningRate(restarts, kLastStep), 0.99);
}

TEST(ScheduleTest, ConstantStaysWhatItIs) {
  for (const char* text : {"learning_rate: 0.25", "learning_rate: 0.25 constant {}"}) {
    for (const int64_t step : {int64_t{0}, int64_t{1}, kLastStep}) {
      EXPECT_EQ(LearningRate(Parse(text), step), 0.25);
    }
  }
}

TEST(ScheduleTest, ExponentialDecayOverManyStepsAndAsAStaircase) {
  const v1::Schedule smooth =
      Parse("learning_rate: 2 exponential_decay { decay_rate: 0.5 decay_steps: 100 }");
  EXPECT_DOUBLE_EQ(LearningRate(smooth, 50), 2 * std::sqrt(0.5));
  EXPECT_DOUBLE_EQ(LearningRate(smooth, 300), 0.25);
  const v1::Schedule stairs = Parse(
      "learning_rate: 2 exponential_decay { decay_rate: 0.5 decay_steps: 100 staircase: true }");
  EXPECT_DOUBLE_EQ(LearningRate(stairs, 99), 2);
  EXPECT_DOUBLE_EQ(LearningRate(stairs, 100), 1);
}

TEST(ScheduleTest, WhatHasDecayedStaysAtItsEnd) {
  for (const char* shape : {"linear { total_steps: 100 end_factor: 0.1 }",
                            "polynomial_decay { decay_steps: 100 power: 3 end_factor: 0.1 }",
                            "cosine_decay { decay_steps: 100 end_factor: 0.1 }",
                            "one_cycle { total_steps: 101 end_factor: 0.1 }",
                            "stable_decay { stable_steps: 20 decay_steps: 80 end_factor: 0.1 }"}) {
    const v1::Schedule schedule = Parse(absl::StrCat("learning_rate: 2 ", shape));
    EXPECT_GT(LearningRate(schedule, 99), 0.2) << shape;
    for (const int64_t step : {int64_t{100}, int64_t{101}, int64_t{150}, int64_t{200}, kLastStep}) {
      EXPECT_DOUBLE_EQ(LearningRate(schedule, step), 0.2) << shape << " at " << step;
    }
  }
}

TEST(ScheduleTest, EveryShapeBeginsWhereItsWarmUpEnds) {
  for (const GoldenSchedule& entry : kGolden) {
    v1::Schedule schedule = ParseShape(entry.shape);
    schedule.clear_warm_up();
    const v1::Schedule cold = schedule;
    constexpr int64_t kSteps = 100'000;
    schedule.mutable_warm_up()->set_steps(kSteps);
    for (const v1::Annealing annealing : {v1::ANNEALING_LINEAR, v1::ANNEALING_COSINE}) {
      schedule.mutable_warm_up()->set_annealing(annealing);
      const double first = LearningRate(cold, 0);
      EXPECT_EQ(LearningRate(schedule, 0), 0) << entry.name;
      EXPECT_NEAR(LearningRate(schedule, kSteps / 2), first / 2, Tolerance(first)) << entry.name;
      EXPECT_NEAR(LearningRate(schedule, kSteps - 1), first, 1.1 * first / kSteps) << entry.name;
      for (const int64_t step : {0, 1, 30, 555}) {
        EXPECT_EQ(LearningRate(schedule, kSteps + step), LearningRate(cold, step)) << entry.name;
      }
    }
  }
}

TEST(ScheduleTest, PartsOfASequenceMeetWhereTheirRatesDo) {
  const v1::Schedule schedule = Parse(
      "learning_rate: 0.1 sequence {"
      "  parts { steps: 1000 schedule { linear { total_steps: 1000 start_factor: 0 end_factor: 1 } "
      "} }"
      "  parts { steps: 1000 schedule { cosine_decay { decay_steps: 1000 end_factor: 0.5 } } }"
      "  parts { schedule { learning_rate: 0.5 inverse_square_root { timescale: 100 } } } }");
  ASSERT_TRUE(ValidateSchedule(schedule).ok()) << ValidateSchedule(schedule);
  EXPECT_EQ(LearningRate(schedule, 1000), 0.1);
  EXPECT_EQ(LearningRate(schedule, 2000), 0.05);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 2300), 0.025);
  for (int64_t step = 0; step < 3000; ++step) {
    EXPECT_LT(std::abs(LearningRate(schedule, step + 1) - LearningRate(schedule, step)), 3e-4)
        << step;
  }
}

TEST(ScheduleTest, SequencesAndWarmUpsLieWithinSequences) {
  const v1::Schedule schedule = Parse(
      "learning_rate: 8 warm_up { steps: 10 start_factor: 0.5 } sequence {"
      "  parts { steps: 100 schedule { learning_rate: 0.5 sequence {"
      "    parts { steps: 50 schedule { sequence { parts { steps: 20 } parts {"
      "      schedule { learning_rate: 0.25 } } } } }"
      "    parts { schedule { learning_rate: 0 } } } } }"
      "  parts { schedule { warm_up { steps: 4 } } } }");
  ASSERT_TRUE(ValidateSchedule(schedule).ok()) << ValidateSchedule(schedule);
  EXPECT_EQ(LearningRate(schedule, 0), 2);
  EXPECT_EQ(LearningRate(schedule, 10), 4);
  EXPECT_EQ(LearningRate(schedule, 29), 4);
  EXPECT_EQ(LearningRate(schedule, 30), 1);
  EXPECT_EQ(LearningRate(schedule, 59), 1);
  EXPECT_EQ(LearningRate(schedule, 60), 0);
  EXPECT_EQ(LearningRate(schedule, 110), 0);
  EXPECT_EQ(LearningRate(schedule, 111), 2);
  EXPECT_EQ(LearningRate(schedule, 114), 8);
}

TEST(ScheduleTest, ANewLearningRateScalesTheWholeCurve) {
  for (const GoldenSchedule& entry : kGolden) {
    v1::Schedule schedule = ParseShape(entry.shape);
    for (const int64_t step : {0, 1, 77, 500, 999}) {
      schedule.set_learning_rate(0.5);
      const double rate = LearningRate(schedule, step);
      schedule.set_learning_rate(2);
      EXPECT_EQ(LearningRate(schedule, step), 4 * rate) << entry.name << " at " << step;
    }
  }
}

std::string Message(const std::string& text) {
  const absl::Status status = ValidateSchedule(Parse(text));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
  return std::string(status.message());
}

TEST(ValidateScheduleTest, NamesFieldValueAndRange) {
  EXPECT_EQ(Message(""), "schedule.learning_rate: not set, expected a number in [0, 1e+06]");
  EXPECT_EQ(Message("cosine_decay { decay_steps: 9 }"),
            "schedule.learning_rate: not set, expected a number in [0, 1e+06]");
  EXPECT_THAT(Message("learning_rate: 1e-46"),
              HasSubstr("schedule.learning_rate: 1e-46 is below 1.17549e-38"));
  EXPECT_EQ(Message("learning_rate: nan"), "schedule.learning_rate: nan is outside [0, 1e+06]");
  EXPECT_THAT(Message("learning_rate: -0.1"), HasSubstr("schedule.learning_rate: -0.1"));
  EXPECT_THAT(Message("learning_rate: inf"), HasSubstr("schedule.learning_rate: inf"));
  EXPECT_THAT(Message("step_decay { gamma: 0.5 }"), HasSubstr("step_decay.step_size: 0"));
  EXPECT_THAT(Message("step_decay { step_size: 1 gamma: 1.5 }"),
              HasSubstr("step_decay.gamma: 1.5 is outside (0, 1]"));
  EXPECT_THAT(Message("step_decay { step_size: 1 gamma: nan }"), HasSubstr("gamma: nan"));
  EXPECT_THAT(Message("exponential_decay { decay_rate: 0 }"), HasSubstr("decay_rate: 0"));
  EXPECT_THAT(Message("exponential_decay { decay_rate: 1 decay_steps: 0 }"),
              HasSubstr("decay_steps: 0"));
  EXPECT_TRUE(ValidateSchedule(Parse("learning_rate: 0")).ok());
  EXPECT_TRUE(
      ValidateSchedule(Parse("learning_rate: 1e6 exponential_decay { decay_rate: 1 }")).ok());
}

TEST(ValidateScheduleTest, EveryFieldHasItsRange) {
  struct Case {
    const char* text;
    const char* message;
  };
  const Case cases[] = {
      {"multi_step_decay { gamma: 1 }", "multi_step_decay.milestones: 0 entries, 1 to 1000"},
      {"multi_step_decay { milestones: [ 0 ] gamma: 1 }", "milestones[0]: 0 is outside [1, 2^53]"},
      {"multi_step_decay { milestones: [ 5, 5 ] gamma: 1 }",
       "milestones[1]: 5 is not above the one before, 5"},
      {"multi_step_decay { milestones: [ 5 ] }", "multi_step_decay.gamma: 0 is outside (0, 1]"},
      {"inverse_time_decay { decay_rate: -1 }", "decay_rate: -1 is outside [0, 1e+06]"},
      {"inverse_time_decay { decay_rate: 1 decay_steps: 0 }",
       "decay_steps: 0 is outside [1, 2^53]"},
      {"polynomial_decay {}", "polynomial_decay.decay_steps: 0"},
      {"polynomial_decay { decay_steps: 1 power: 0 }", "power: 0 is outside (0, 100]"},
      {"polynomial_decay { decay_steps: 1 end_factor: 1.5 }", "end_factor: 1.5 is outside [0, 1]"},
      {"linear {}", "linear.total_steps: 0"},
      {"linear { total_steps: 9007199254740993 }", "9007199254740993 is outside [1, 2^53]"},
      {"linear { total_steps: 1 start_factor: -1 }", "linear.start_factor: -1"},
      {"linear { total_steps: 1 end_factor: inf }", "linear.end_factor: inf"},
      {"cosine_decay {}", "cosine_decay.decay_steps: 0"},
      {"cosine_decay { decay_steps: 1 end_factor: nan }", "cosine_decay.end_factor: nan"},
      {"cosine_restarts {}", "cosine_restarts.period: 0"},
      {"cosine_restarts { period: 1 period_factor: 0 }", "period_factor: 0 is outside [1, 1000]"},
      {"cosine_restarts { period: 1 period_factor: 1001 }", "period_factor: 1001"},
      {"cosine_restarts { period: 1 end_factor: -1 }", "cosine_restarts.end_factor: -1"},
      {"cyclic { max_factor: 2 }", "cyclic.up_steps: 0"},
      {"cyclic { up_steps: 1 down_steps: 0 max_factor: 2 }", "cyclic.down_steps: 0"},
      {"cyclic { up_steps: 1 max_factor: 0.5 }", "cyclic.max_factor: 0.5 is outside [1, 1e+06]"},
      {"cyclic { up_steps: 1 max_factor: 2 form: CYCLIC_FORM_EXP_RANGE gamma: 2 }",
       "cyclic.gamma: 2 is outside (0, 1]"},
      {"cyclic { up_steps: 1 max_factor: 2 gamma: 0.5 }", "cyclic.gamma: 0.5 has no meaning"},
      {"one_cycle {}", "one_cycle.total_steps: 0"},
      {"one_cycle { total_steps: 1 rise_fraction: 1.1 }", "rise_fraction: 1.1 is outside [0, 1]"},
      {"one_cycle { total_steps: 1 rise_fraction: 0.6 three_phase: true }",
       "rise_fraction: 0.6 is outside [0, 0.5]"},
      {"one_cycle { total_steps: 1 start_factor: 2 }", "one_cycle.start_factor: 2"},
      {"one_cycle { total_steps: 1 end_factor: 2 }", "one_cycle.end_factor: 2"},
      {"stable_decay { stable_steps: -1 decay_steps: 1 }", "stable_steps: -1 is outside [0, 2^53]"},
      {"stable_decay {}", "stable_decay.decay_steps: 0"},
      {"stable_decay { decay_steps: 1 end_factor: 2 }", "stable_decay.end_factor: 2"},
      {"inverse_square_root {}", "inverse_square_root.timescale: 0"},
      {"piecewise {}", "piecewise.points: 0 entries"},
      {"piecewise { points { step: -1 } }", "piecewise.points[0].step: -1"},
      {"piecewise { points { step: 3 } points { step: 3 } }",
       "points[1].step: 3 is not above the one before, 3"},
      {"piecewise { points { factor: -1 } }", "piecewise.points[0].factor: -1"},
      {"warm_up {}", "schedule.warm_up.steps: 0"},
      {"warm_up { steps: 1 start_factor: 1.5 }", "warm_up.start_factor: 1.5 is outside [0, 1]"},
      {"begins_at: -1", "schedule.begins_at: -1 is outside [0, 2^53]"},
      {"begins_at: 9007199254740993", "schedule.begins_at: 9007199254740993 is outside [0, 2^53]"},
      {"sequence { parts { schedule { begins_at: 0 } } }",
       "schedule.sequence.parts[0].schedule.begins_at: set in a part of a sequence, expected in "
       "the "
       "run's schedule"},
      {"sequence {}", "schedule.sequence.parts: 0 entries"},
      {"sequence { parts {} parts {} }", "sequence.parts[0].steps: 0 is outside [1, 2^53]"},
      {"sequence { parts { steps: 1 } }", "sequence.parts[0].steps: 1 in the last part"},
      {"sequence { parts { schedule { learning_rate: -2 } } }",
       "schedule.sequence.parts[0].schedule.learning_rate: -2"},
      {"sequence { parts { schedule { linear {} } } }",
       "schedule.sequence.parts[0].schedule.linear.total_steps: 0"},
      {"sequence { parts { schedule { reduce_on_plateau {} } } }",
       "schedule.sequence.parts[0].schedule.reduce_on_plateau: set in a part of a sequence"},
      {"sequence { parts { schedule { sequence { parts { schedule { sequence { parts { schedule {"
       "  sequence { parts {} } } } } } } } } } }",
       "in 4 sequences, at most 3 may lie within each other"},
      {"reduce_on_plateau { factor: 1 }", "reduce_on_plateau.factor: 1 is outside (0, 1)"},
      {"reduce_on_plateau { patience: -1 }", "reduce_on_plateau.patience: -1"},
      {"reduce_on_plateau { threshold: 1 }", "threshold: 1 is outside [0, 1)"},
      {"reduce_on_plateau { threshold: nan threshold_mode: PLATEAU_THRESHOLD_MODE_ABSOLUTE }",
       "threshold: nan is outside [0, 1e+06]"},
      {"reduce_on_plateau { cooldown: -1 }", "reduce_on_plateau.cooldown: -1"},
      {"reduce_on_plateau { min_factor: 2 }", "reduce_on_plateau.min_factor: 2"},
      {"reduce_on_plateau { epsilon: -1 }", "reduce_on_plateau.epsilon: -1"},
      {"reduce_on_plateau { interval: 0 }", "reduce_on_plateau.interval: 0"},
      {"reduce_on_plateau { interval: 2 }", "reduce_on_plateau.interval: 2 has no meaning"},
  };
  for (const Case& each : cases) EXPECT_THAT(Message(each.text), HasSubstr(each.message));
}

TEST(ValidateScheduleTest, TheHighestRateStaysFarBelowTheEndOfFloat32) {
  const char* const cases[] = {
      "learning_rate: 1e6 cyclic { up_steps: 3 max_factor: 1e6 }",
      "learning_rate: 1e6 linear { total_steps: 3 end_factor: 1e6 }",
      "learning_rate: 1e6 linear { total_steps: 3 start_factor: 1e6 }",
      "learning_rate: 1e6 piecewise { points { step: 3 factor: 1e6 } }",
      "learning_rate: 1 sequence { parts { schedule { learning_rate: 1e6 cyclic { up_steps: 3 "
      "max_factor: 1e6 } } } }",
  };
  for (const char* const text : cases) {
    EXPECT_TRUE(ValidateSchedule(Parse(text)).ok()) << text;
    const std::string nested =
        absl::StrCat("learning_rate: 2 sequence { parts { schedule { ", text, " } } }");
    EXPECT_EQ(Message(nested),
              "schedule: the learning rate times its largest factor is 2e+12, at most 1e+12 "
              "expected");
    // And no step has a higher one.
    for (int64_t step = 0; step < 20; ++step) {
      EXPECT_LE(LearningRate(Parse(text), step), 1e12) << text;
    }
  }
}

// Rates and momenta alike: nobody else has to subtract anything.
TEST(ScheduleTest, EveryShapeCountsFromItsBegin) {
  std::vector<v1::Schedule> schedules;
  for (const GoldenSchedule& entry : kGolden) schedules.push_back(ParseShape(entry.shape));
  schedules.push_back(Parse("learning_rate: 1 cyclic { up_steps: 7 max_factor: 3 momentum {} }"));
  schedules.push_back(
      Parse("learning_rate: 1 warm_up { steps: 9 } one_cycle { total_steps: 300 momentum {} }"));
  constexpr int64_t kBegin = 1234;
  for (const v1::Schedule& schedule : schedules) {
    SCOPED_TRACE(schedule.ShortDebugString());
    v1::Schedule later = schedule;
    later.set_begins_at(kBegin);
    ASSERT_TRUE(ValidateSchedule(later).ok()) << ValidateSchedule(later);
    for (int64_t step = 0; step < 1000; ++step) {
      ASSERT_EQ(LearningRate(later, kBegin + step), LearningRate(schedule, step)) << step;
      ASSERT_EQ(LearningRateWithoutWarmUp(later, kBegin + step),
                LearningRateWithoutWarmUp(schedule, step))
          << step;
      ASSERT_EQ(Momentum(later, kBegin + step), Momentum(schedule, step)) << step;
    }
    for (const int64_t before : {int64_t{0}, kBegin - 1}) {
      EXPECT_EQ(LearningRate(later, before), LearningRate(schedule, 0));
      EXPECT_EQ(Momentum(later, before), Momentum(schedule, 0));
    }
    later.set_begins_at(0);
    EXPECT_EQ(LearningRate(later, 77), LearningRate(schedule, 77));
  }
}

TEST(ScheduleTest, WithoutItsWarmUpsARateIsThatToWhichTheyRise) {
  const v1::Schedule schedule = Parse(
      "learning_rate: 8 warm_up { steps: 10 } sequence {"
      "  parts { steps: 10 schedule { warm_up { steps: 4 } linear { total_steps: 4 } } }"
      "  parts { schedule { learning_rate: 0.5 warm_up { steps: 2 } } } }");
  EXPECT_EQ(LearningRate(schedule, 0), 0);
  for (const int64_t step : {0, 5, 9, 10, 12, 14}) {
    EXPECT_EQ(LearningRateWithoutWarmUp(schedule, step), 8) << step;
  }
  EXPECT_EQ(LearningRateWithoutWarmUp(schedule, 15), 6);
  EXPECT_EQ(LearningRateWithoutWarmUp(schedule, 20), 4);
  for (const int64_t step : {15, 17, 19, 22, 100}) {
    EXPECT_EQ(LearningRateWithoutWarmUp(schedule, step), LearningRate(schedule, step)) << step;
  }
}

TEST(ValidateScheduleTest, EnumNumbersThatAreNoneAreRefused) {
  const auto message = [](const v1::Schedule& schedule) {
    return std::string(ValidateSchedule(schedule).message());
  };
  v1::Schedule cyclic = Parse("cyclic { up_steps: 1 max_factor: 2 }");
  cyclic.mutable_cyclic()->set_form(static_cast<v1::CyclicForm>(99));
  EXPECT_EQ(message(cyclic), "schedule.cyclic.form: 99 is no CyclicForm");
  v1::Schedule warm_up = Parse("warm_up { steps: 1 }");
  warm_up.mutable_warm_up()->set_annealing(static_cast<v1::Annealing>(99));
  EXPECT_EQ(message(warm_up), "schedule.warm_up.annealing: 99 is no Annealing");
  v1::Schedule plateau;
  plateau.mutable_reduce_on_plateau()->set_metric(static_cast<v1::PlateauMetric>(99));
  EXPECT_EQ(message(plateau), "schedule.reduce_on_plateau.metric: 99 is no PlateauMetric");
}

TEST(ValidateScheduleTest, ListsAreBounded) {
  v1::Schedule schedule;
  schedule.set_learning_rate(1);
  for (int i = 1; i <= 1000; ++i) schedule.mutable_multi_step_decay()->add_milestones(i);
  schedule.mutable_multi_step_decay()->set_gamma(0.5);
  EXPECT_TRUE(ValidateSchedule(schedule).ok());
  schedule.mutable_multi_step_decay()->add_milestones(1001);
  EXPECT_THAT(std::string(ValidateSchedule(schedule).message()), HasSubstr("1001 entries"));
  schedule.mutable_multi_step_decay()->mutable_milestones()->RemoveLast();
  v1::Schedule sequence;
  for (int i = 0; i < 40; ++i) {
    v1::SequenceSchedule::Part& part = *sequence.mutable_sequence()->add_parts();
    *part.mutable_schedule() = schedule;
    if (i < 39) part.set_steps(1);
  }
  EXPECT_THAT(std::string(ValidateSchedule(sequence).message()),
              HasSubstr(" bytes, at most 65536 expected"));
}

// What tests/golden/generate.py computes under `name`: torch's momentum, step by step.
constexpr GoldenSchedule kGoldenMomentum[] = {
    {"cyclic_triangular_momentum", "cyclic { up_steps: 60 max_factor: 6 momentum {} }"},
    {"cyclic_triangular2_momentum",
     "cyclic { up_steps: 60 down_steps: 40 max_factor: 6 form: CYCLIC_FORM_TRIANGULAR2 "
     "momentum {} }"},
    {"cyclic_exp_range_momentum",
     "cyclic { up_steps: 60 down_steps: 140 max_factor: 6 form: CYCLIC_FORM_EXP_RANGE "
     "gamma: 0.997 momentum {} }"},
    {"cyclic_exp_range_momentum_options",
     "cyclic { up_steps: 60 max_factor: 6 form: CYCLIC_FORM_EXP_RANGE gamma: 0.99 "
     "momentum { low: 0.3 high: 0.99 } }"},
    {"one_cycle_momentum", "one_cycle { total_steps: 1000 momentum {} }"},
    {"one_cycle_linear_momentum",
     "one_cycle { total_steps: 1000 rise_fraction: 0.2503 annealing: ANNEALING_LINEAR "
     "momentum { low: 0.5 high: 0.9 } }"},
    {"one_cycle_three_phase_momentum",
     "one_cycle { total_steps: 1000 three_phase: true momentum {} }"},
    {"one_cycle_three_phase_linear_momentum",
     "one_cycle { total_steps: 1000 three_phase: true rise_fraction: 0.4 "
     "annealing: ANNEALING_LINEAR momentum {} }"},
    {"one_cycle_without_rise_momentum",
     "one_cycle { total_steps: 1000 rise_fraction: 0 momentum {} }"},
    {"one_cycle_all_rise_momentum", "one_cycle { total_steps: 1000 rise_fraction: 1 momentum {} }"},
};

TEST(MomentumTest, EveryShapeIsTorchs) {
  const nlohmann::json golden = GoldenRates();
  size_t momenta = 0;
  for (const auto& [name, points] : golden.items()) {
    if (absl::StrContains(name, "momentum")) ++momenta;
  }
  EXPECT_EQ(momenta, std::size(kGoldenMomentum));
  for (const GoldenSchedule& entry : kGoldenMomentum) {
    SCOPED_TRACE(entry.name);
    const v1::Schedule schedule = ParseShape(entry.shape);
    ASSERT_TRUE(ValidateSchedule(schedule).ok()) << ValidateSchedule(schedule);
    ASSERT_GT(golden[entry.name].size(), 90u);
    for (const auto& point : golden[entry.name]) {
      const auto step = point[0].get<int64_t>();
      EXPECT_NEAR(Momentum(schedule, step), point[1].get<double>(), 1e-12) << "step " << step;
    }
  }
}

// The values are those of torch's CyclicLR and OneCycleLR, worked out by hand.
TEST(MomentumTest, GoesAgainstTheRate) {
  const v1::Schedule cyclic = Parse(
      "learning_rate: 0.1 cyclic { up_steps: 4 down_steps: 8 max_factor: 5 form: "
      "CYCLIC_FORM_TRIANGULAR2 momentum {} }");
  EXPECT_TRUE(CyclesMomentum(cyclic));
  EXPECT_TRUE(ValidateSchedule(cyclic).ok());
  for (const auto& [step, expected] : std::vector<std::pair<int64_t, double>>{
           {0, 0.9}, {2, 0.85}, {4, 0.8}, {8, 0.85}, {12, 0.9}, {16, 0.85}, {28, 0.875}}) {
    EXPECT_NEAR(Momentum(cyclic, step), expected, 1e-15) << step;
  }
  const v1::Schedule one_cycle = Parse(
      "learning_rate: 0.1 one_cycle { total_steps: 21 rise_fraction: 0.2857142857142857 annealing: "
      "ANNEALING_LINEAR momentum { low: 0.5 high: 0.9 } }");
  for (const auto& [step, expected] : std::vector<std::pair<int64_t, double>>{
           {0, 0.9}, {1, 0.82}, {5, 0.5}, {8, 0.58}, {20, 0.9}, {1000, 0.9}}) {
    EXPECT_NEAR(Momentum(one_cycle, step), expected, 1e-12) << step;
  }
  v1::Schedule three = one_cycle;
  three.mutable_one_cycle()->set_three_phase(true);
  for (const auto& [step, expected] :
       std::vector<std::pair<int64_t, double>>{{5, 0.5}, {10, 0.9}, {15, 0.9}, {20, 0.9}}) {
    EXPECT_NEAR(Momentum(three, step), expected, 1e-12) << step;
  }
  v1::Schedule warm = cyclic;
  warm.mutable_warm_up()->set_steps(10);
  EXPECT_EQ(Momentum(warm, 3), 0.9);
  EXPECT_NEAR(Momentum(warm, 14), 0.8, 1e-15);
}

TEST(MomentumTest, IsNoneWhereItIsNotSet) {
  const v1::Schedule plain = Parse("learning_rate: 0.1 cyclic { up_steps: 4 max_factor: 5 }");
  EXPECT_FALSE(CyclesMomentum(plain));
  EXPECT_LT(Momentum(plain, 3), 0);
  const v1::Schedule sequence = Parse(
      "learning_rate: 0.1 sequence { parts { steps: 5 schedule { learning_rate: 1 constant {} } } "
      "parts { schedule { learning_rate: 1 cyclic { up_steps: 4 max_factor: 5 momentum {} } } } }");
  EXPECT_TRUE(CyclesMomentum(sequence));
  EXPECT_LT(Momentum(sequence, 4), 0);
  EXPECT_EQ(Momentum(sequence, 5), 0.9);
}

TEST(MomentumTest, HasItsRange) {
  for (const char* const momentum :
       {"high: 1", "low: -0.1", "low: 0.95", "high: 0.5", "low: nan", "high: nan"}) {
    const v1::Schedule schedule = Parse(absl::StrCat(
        "learning_rate: 0.1 cyclic { up_steps: 4 max_factor: 5 momentum { ", momentum, " } }"));
    EXPECT_EQ(ValidateSchedule(schedule).code(), absl::StatusCode::kInvalidArgument) << momentum;
  }
}

}  // namespace
}  // namespace gradd
