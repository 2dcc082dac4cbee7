#include "ctl/durability_text.h"

#include <gtest/gtest.h>

#include <google/protobuf/text_format.h>

#include <string>

namespace gradd::ctl {
namespace {

template <typename Message>
Message Parse(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

TEST(DurabilityTextTest, Checkpoints) {
  const struct {
    const char* spec;
    const char* text;
  } kRows[] = {
      {"", "every 1m, the newest 3 are kept; newest: step 200, 3s ago"},
      {"every_steps: 1000",
       "every 1,000 steps or 1m, the newest 3 are kept; newest: step 200, 3s ago"},
      {"every { seconds: 30 } keep_last: 1",
       "every 30s, the newest 1 is kept; newest: step 200, 3s ago"},
      {"every { } every_steps: 1 keep_best: true",
       "every 1 step, the newest 3 and the best are kept; newest: step 200, 3s ago"},
      {"every { } keep_every_steps: 10000 keep_best: true",
       "when asked for, paused, finished or stopped, the newest 3, one in each 10,000 steps and "
       "the best are "
       "kept; newest: step 200, 3s ago"},
  };
  for (const auto& row : kRows) {
    EXPECT_EQ(CheckpointsText(Parse<v1::Checkpoints>(row.spec), "step 200, 3s ago"), row.text);
  }
  EXPECT_EQ(CheckpointsText({}, ""), "every 1m, the newest 3 are kept");
}

TEST(DurabilityTextTest, Guard) {
  const struct {
    const char* spec;
    const char* text;
  } kRows[] = {
      {"", ""},
      {"action: ACTION_PAUSE", "pauses the run where it diverges"},
      {"action: ACTION_ROLL_BACK",
       "rolls the run back where it diverges, at 0.5 x its rate, 3 times at most"},
      {"action: ACTION_ROLL_BACK rate_factor: 0.1 most_rollbacks: 1",
       "rolls the run back where it diverges, at 0.1 x its rate, 1 time at most"},
  };
  for (const auto& row : kRows) {
    EXPECT_EQ(GuardText(Parse<v1::DivergenceGuard>(row.spec)), row.text);
  }
}

TEST(DurabilityTextTest, Journal) {
  EXPECT_EQ(JournalText(Parse<v1::Run>("journal: true")),
            "yes: nothing is lost when the server dies");
  EXPECT_EQ(JournalText({}), "no: steps since the newest checkpoint are lost when the server dies");
}

}  // namespace
}  // namespace gradd::ctl
