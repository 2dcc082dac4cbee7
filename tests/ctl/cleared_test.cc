#include "ctl/cleared.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

namespace gradd::ctl {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

v1::Run RunOf(const std::string& text) {
  v1::Run run;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &run)) << text;
  return run;
}

TEST(ClearedFieldsTest, AreThoseThatAMessageReplacedWholeDoesNotHave) {
  const v1::Run before = RunOf(
      "optimizer { adam { beta1: 0.8 epsilon: 1e-6 } weight_decay: 0.1 look_ahead { interval: 3 } }"
      "schedule { learning_rate: 1 warm_up { steps: 9 start_factor: 0.1 } }");
  EXPECT_THAT(
      ClearedFields(before, RunOf("optimizer { adam { beta1: 0.7 } look_ahead {} }"), "optimizer"),
      ElementsAre("optimizer.adam.epsilon", "optimizer.weight_decay",
                  "optimizer.look_ahead.interval"));
  EXPECT_THAT(ClearedFields(before, RunOf("optimizer { sgd {} weight_decay: 0.2 }"), "optimizer"),
              ElementsAre("optimizer.look_ahead"));
  EXPECT_THAT(ClearedFields(before, RunOf("optimizer { adam {} }"), "optimizer.adam"),
              ElementsAre("optimizer.adam.beta1", "optimizer.adam.epsilon"));
  EXPECT_THAT(ClearedFields(before, RunOf("schedule { learning_rate: 1 warm_up { steps: 7 } }"),
                            "schedule"),
              ElementsAre("schedule.warm_up.start_factor"));
}

TEST(ClearedFieldsTest, AreNoneWhereOneNumberWasSet) {
  const v1::Run before = RunOf("optimizer { adam { beta1: 0.8 } weight_decay: 0.1 } max_steps: 9");
  for (const char* path :
       {"optimizer.weight_decay", "optimizer.adam.beta1", "max_steps", "groups", "nonsense"}) {
    EXPECT_THAT(ClearedFields(before, v1::Run(), path), IsEmpty()) << path;
  }
  EXPECT_THAT(ClearedFields(before, before, "optimizer"), IsEmpty());
}

}  // namespace
}  // namespace gradd::ctl
