#include "core/run/run_labels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "core/run/run.h"
#include "core/run/run_registry.h"
#include "tests/support/fake_clock.h"
#include "tests/support/specs.h"
#include "tests/support/update.h"

namespace gradd {
namespace {

using testing::HasSubstr;

RunLabels Labels(const std::string& key, const std::string& value) {
  RunLabels labels;
  labels[key] = value;
  return labels;
}

TEST(RunLabelsTest, NameTheKeyAndWhatIsWrong) {
  const struct {
    std::string key;
    std::string value;
    std::string message;  // Empty: right.
  } kCases[] = {
      {"group", "llm", ""},
      {"a", "", ""},
      {"team.example/tier_2-x", std::string(128, 'x'), ""},
      {std::string(63, 'k'), "Grüße", ""},
      {"", "x", "key \"\" is not 1 to 63 characters"},
      {std::string(64, 'k'), "x", "is not 1 to 63 characters of [a-z0-9._/-]"},
      {"Group", "x", "key \"Group\" is not"},
      {"2nd", "x", "key \"2nd\" is not"},
      {"a b", "x", "key \"a b\" is not"},
      {"group", std::string(129, 'x'), "the value of group has 129 bytes, at most 128 expected"},
      {"group", "a\nb", "the value of group, \"a\\nb\", is not UTF-8"},
      {"group", "\xff", "is not UTF-8"}};
  for (const auto& row : kCases) {
    const absl::Status status = ValidateLabels(Labels(row.key, row.value));
    EXPECT_EQ(status.ok(), row.message.empty()) << row.key << " " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(row.message)) << row.key;
  }
  RunLabels many;
  for (int i = 0; i < 32; ++i) many["k" + std::to_string(i)] = "";
  EXPECT_TRUE(ValidateLabels(many).ok());
  many["one-more"] = "";
  EXPECT_THAT(std::string(ValidateLabels(many).message()), HasSubstr("33 of them, at most 32"));
}

TEST(RunLabelsTest, AllThatAreWantedMustBeThere) {
  RunLabels labels = Labels("group", "llm");
  labels["tier"] = "2";
  EXPECT_TRUE(HasLabels(labels, {}));
  EXPECT_TRUE(HasLabels(labels, Labels("tier", "2")));
  EXPECT_TRUE(HasLabels(labels, labels));
  EXPECT_FALSE(HasLabels(labels, Labels("tier", "3")));
  EXPECT_FALSE(HasLabels(labels, Labels("owner", "")));
  EXPECT_FALSE(HasLabels({}, labels));
}

TEST(RunLabelsTest, AreChangedAllAtOnceAndRemembered) {
  FakeClock clock;
  RunRegistry registry(Limits(), /*threads=*/1, &clock);
  v1::Run spec = SynchronousSpec(1, 1);
  *spec.mutable_labels() = Labels("Group", "llm");
  EXPECT_THAT(std::string(registry.Create("r", spec, "").status().message()), HasSubstr("Group"));
  *spec.mutable_labels() = Labels("group", "llm");
  const auto run = *registry.Create("r", spec, "");

  google::protobuf::FieldMask mask;
  mask.add_paths("labels");
  v1::Run values;
  (*values.mutable_labels())["tier"] = "2";
  (*values.mutable_labels())["owner"] = "ada";
  ASSERT_TRUE(UpdateAndWait(run.get(), values, mask, "ada").ok());
  ASSERT_TRUE(UpdateAndWait(run.get(), values, mask, "ada").ok());  // That changes nothing.
  const v1::Run described = run->Describe(gradd::Run::Detail::kFull);
  EXPECT_EQ(described.labels().size(), 2U);
  EXPECT_FALSE(HasLabels(described.labels(), Labels("group", "llm")));
  ASSERT_EQ(described.history_size(), 1);
  EXPECT_EQ(described.history(0).field(), "labels");
  EXPECT_EQ(described.history(0).old_value(), R"({"group":"llm"})");
  EXPECT_EQ(described.history(0).new_value(), R"({"owner":"ada","tier":"2"})");

  (*values.mutable_labels())["tier"] = "\x01";
  EXPECT_FALSE(UpdateAndWait(run.get(), values, mask, "ada").ok());
  mask.set_paths(0, "labels.tier");
  EXPECT_FALSE(UpdateAndWait(run.get(), values, mask, "ada").ok());
}

}  // namespace
}  // namespace gradd
