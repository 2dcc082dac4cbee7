#include "ctl/entry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace gradd::ctl {
namespace {

using testing::HasSubstr;

std::string Refusal(const std::vector<std::string>& texts) {
  return std::string(ParseEntries(texts).status().message());
}

TEST(EntryTest, UnderstandsKindRateAndValues) {
  const auto entries = ParseEntries(
      {"adam", "sgd:0.1", "momentum:momentum=0.95,learning-rate=0.01", "adam:0.002,beta1=0.8"});
  ASSERT_TRUE(entries.ok()) << entries.status();
  ASSERT_EQ(entries->size(), 4U);
  EXPECT_TRUE((*entries)[0].optimizer.has_adam());
  EXPECT_FALSE((*entries)[0].rate.has_value());
  EXPECT_TRUE((*entries)[1].optimizer.has_sgd());
  EXPECT_EQ((*entries)[1].rate, 0.1);
  EXPECT_EQ((*entries)[2].optimizer.momentum().momentum(), 0.95);
  EXPECT_EQ((*entries)[2].rate, 0.01);
  EXPECT_EQ((*entries)[3].optimizer.adam().beta1(), 0.8);
  EXPECT_EQ((*entries)[3].rate, 0.002);
  EXPECT_EQ((*entries)[3].name, "adam:0.002,beta1=0.8");
}

TEST(EntryTest, NamesWhatIsWrong) {
  EXPECT_THAT(
      Refusal({"adam", "adagard"}),
      HasSubstr("\"adagard\": unknown optimizer \"adagard\", perhaps adagrad; there are sgd,"));
  EXPECT_THAT(Refusal({""}), HasSubstr("unknown optimizer"));
  EXPECT_THAT(Refusal({"adam:"}), HasSubstr("\"adam:\": nothing after the colon"));
  EXPECT_THAT(Refusal({"adam:fast"}), HasSubstr("\"adam:fast\": "));
  EXPECT_THAT(Refusal({"sgd:beta1=0.9"}), HasSubstr("\"sgd:beta1=0.9\": "));
  EXPECT_THAT(Refusal({"sgd:steps=9"}), HasSubstr("\"sgd:steps=9\": "));
  EXPECT_THAT(Refusal({"sgd:0.1,learning-rate=0.2"}), HasSubstr("\"learning-rate\" stands twice"));
  EXPECT_THAT(Refusal({"sgd:gamma=0.9"}), HasSubstr("\"sgd:gamma=0.9\": "));
}

TEST(EntryTest, MethodsThatFindTheirStepSizesHaveARateOfTheirOwn) {
  const auto entries =
      ParseEntries({"dog", "prodigy:beta1=0.8", "rprop", "dog:0.5", "schedulefreesgd"});
  ASSERT_TRUE(entries.ok()) << entries.status();
  EXPECT_EQ((*entries)[0].rate, 1);
  EXPECT_TRUE((*entries)[0].rate_is_own);
  EXPECT_EQ((*entries)[1].rate, 1);
  EXPECT_EQ((*entries)[2].rate, 0.01);
  EXPECT_EQ((*entries)[3].rate, 0.5);
  EXPECT_FALSE((*entries)[3].rate_is_own);
  EXPECT_FALSE((*entries)[4].rate.has_value());
  EXPECT_EQ(Refusal({"dog", "dog:1"}), "\"dog\" and \"dog:1\" are the same");
}

TEST(EntryTest, RefusesTwoThatAreTheSame) {
  EXPECT_EQ(Refusal({"adam", "sgd", "adam"}), "\"adam\" and \"adam\" are the same");
  EXPECT_EQ(Refusal({"adam:0.1", "adam:learning-rate=1e-1"}),
            "\"adam:0.1\" and \"adam:learning-rate=1e-1\" are the same");
  EXPECT_EQ(Refusal({"adam:0.1", "adam:0.2", "adam"}), "");
}

TEST(EntryTest, AllAreOneOfEachKind) {
  const std::vector<Entry> all = AllEntries();
  EXPECT_EQ(static_cast<int>(all.size()),
            v1::Optimizer::descriptor()->oneof_decl(0)->field_count());
  std::set<int> kinds;
  for (const Entry& entry : all) kinds.insert(entry.optimizer.kind_case());
  EXPECT_EQ(kinds.size(), all.size());
}

}  // namespace
}  // namespace gradd::ctl
