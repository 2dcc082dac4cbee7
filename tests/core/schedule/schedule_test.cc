#include "core/schedule/schedule.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

namespace gradd {
namespace {

using testing::HasSubstr;

v1::Schedule Parse(const std::string& text) {
  v1::Schedule schedule;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &schedule)) << text;
  return schedule;
}

void ExpectAsTorch(const std::string& name, const v1::Schedule& schedule) {
  std::ifstream file(GRADD_GOLDEN "/schedules.json");
  const nlohmann::json golden = nlohmann::json::parse(file);
  ASSERT_GT(golden[name].size(), 20u);
  for (const auto& entry : golden[name]) {
    const auto step = entry[0].get<int64_t>();
    const auto expected = entry[1].get<double>();
    EXPECT_NEAR(LearningRate(schedule, step), expected, 1e-12 * expected) << "step " << step;
  }
}

TEST(ScheduleTest, ConstantStaysWhatItIs) {
  for (const char* text : {"learning_rate: 0.25", "learning_rate: 0.25 constant {}"}) {
    for (const int64_t step : {int64_t{0}, int64_t{1}, int64_t{1} << 53}) {
      EXPECT_EQ(LearningRate(Parse(text), step), 0.25);
    }
  }
}

TEST(ScheduleTest, StepDecayIsTorchs) {
  ExpectAsTorch("step_decay", Parse("learning_rate: 0.3 step_decay { step_size: 30 gamma: 0.7 }"));
}

TEST(ScheduleTest, ExponentialDecayIsTorchs) {
  ExpectAsTorch("exponential_decay",
                Parse("learning_rate: 0.3 exponential_decay { decay_rate: 0.995 }"));
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

TEST(ValidateScheduleTest, NamesFieldValueAndRange) {
  const auto message = [](const std::string& text) {
    const absl::Status status = ValidateSchedule(Parse(text));
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    return std::string(status.message());
  };
  EXPECT_EQ(message("learning_rate: nan"), "schedule.learning_rate: nan is outside [0, 1e+06]");
  EXPECT_THAT(message("learning_rate: -0.1"), HasSubstr("schedule.learning_rate: -0.1"));
  EXPECT_THAT(message("learning_rate: inf"), HasSubstr("schedule.learning_rate: inf"));
  EXPECT_THAT(message("step_decay { gamma: 0.5 }"), HasSubstr("step_decay.step_size: 0"));
  EXPECT_THAT(message("step_decay { step_size: 1 gamma: 1.5 }"),
              HasSubstr("step_decay.gamma: 1.5 is outside (0, 1]"));
  EXPECT_THAT(message("step_decay { step_size: 1 gamma: nan }"), HasSubstr("gamma: nan"));
  EXPECT_THAT(message("exponential_decay { decay_rate: 0 }"), HasSubstr("decay_rate: 0"));
  EXPECT_THAT(message("exponential_decay { decay_rate: 1 decay_steps: 0 }"),
              HasSubstr("decay_steps: 0"));
  EXPECT_TRUE(ValidateSchedule(Parse("learning_rate: 0")).ok());
  EXPECT_TRUE(
      ValidateSchedule(Parse("learning_rate: 1e6 exponential_decay { decay_rate: 1 }")).ok());
}

}  // namespace
}  // namespace gradd
