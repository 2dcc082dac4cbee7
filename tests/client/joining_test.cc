#include "client/joining.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "core/base/error.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

using testing::HasSubstr;
using Verdict = Joining::Verdict;

SessionOptions JoiningOptions() {
  SessionOptions options;
  options.server = "somewhere:1";
  options.run = "r";
  options.worker = "w";
  return options;
}

v1::Welcome GoodWelcome() {
  v1::Welcome welcome;
  *welcome.mutable_layout() = VectorLayout(10).message();
  welcome.set_parameter_count(10);
  welcome.set_max_steps(7);
  welcome.set_last_sequence(3);
  welcome.mutable_limits()->set_max_chunk_bytes(1 << 20);
  welcome.mutable_limits()->add_encodings(v1::ENCODING_FLOAT32);
  return welcome;
}

TEST(JoiningTest, TheRequestSaysWhatTheOptionsSay) {
  SessionOptions options = JoiningOptions();
  options.shared_memory = true;
  options.parameter_encodings = {v1::ENCODING_FLOAT32, v1::ENCODING_BFLOAT16};
  options.layout = VectorLayout(10).message();
  const Joining joining(options);
  const v1::Join join = joining.Request().join();
  EXPECT_EQ(join.run(), "runs/r");
  EXPECT_EQ(join.worker(), "w");
  EXPECT_NE(join.instance(), 0U);
  EXPECT_TRUE(join.want_shared_memory());
  EXPECT_EQ(join.parameter_encodings_size(), 2);
  EXPECT_EQ(join.layout().tensors_size(), 1);
  EXPECT_TRUE(join.sends_timelines());
}

TEST(JoiningTest, SharedMemoryIsNotAskedForWhereGradientsOrParametersAreEncoded) {
  SessionOptions options = JoiningOptions();
  options.shared_memory = true;
  options.push_encoding.kind = PushEncoding::Kind::kInt8;
  EXPECT_FALSE(Joining(options).Request().join().want_shared_memory());
  options.push_encoding.kind = PushEncoding::Kind::kFloat32;
  options.parameter_encodings = {v1::ENCODING_BFLOAT16};
  EXPECT_FALSE(Joining(options).Request().join().want_shared_memory());
}

TEST(JoiningTest, TheFirstWelcomeFixesTheFacts) {
  const SessionOptions options = JoiningOptions();
  Joining joining(options);
  EXPECT_EQ(joining.Welcomed(GoodWelcome(), {99, 99}).kind, Verdict::Kind::kWelcome);
  EXPECT_EQ(joining.facts().parameter_count, 10);
  EXPECT_EQ(joining.facts().max_steps, 7);
  EXPECT_EQ(joining.layout().element_count(), 10);
  EXPECT_EQ(joining.facts().vectors, nullptr);
}

TEST(JoiningTest, AWelcomeIsLookedAt) {
  const struct {
    const char* what;
    std::function<void(v1::Welcome*)> change;
    Verdict::Kind kind;
    const char* why;
  } rows[] = {
      {"no parameters", [](auto* welcome) { welcome->set_parameter_count(0); },
       Verdict::Kind::kProtocolBroken, "welcome with 0 parameters"},
      {"more than any memory holds",
       [](auto* welcome) { welcome->set_parameter_count(int64_t{1} << 41); },
       Verdict::Kind::kProtocolBroken, "welcome with 2199023255552 parameters"},
      {"no chunks", [](auto* welcome) { welcome->mutable_limits()->set_max_chunk_bytes(0); },
       Verdict::Kind::kProtocolBroken, "in chunks of 0 bytes"},
      {"another layout", [](auto* welcome) { welcome->set_parameter_count(11); },
       Verdict::Kind::kProtocolBroken, "11 parameters and a layout of others"},
      {"another encoding",
       [](auto* welcome) {
         welcome->mutable_limits()->clear_encodings();
         welcome->mutable_limits()->add_encodings(v1::ENCODING_INT8);
       },
       Verdict::Kind::kFail, "somewhere:1 does not take ENCODING_FLOAT32 but ENCODING_INT8"},
  };
  for (const auto& row : rows) {
    const SessionOptions options = JoiningOptions();
    Joining joining(options);
    v1::Welcome welcome = GoodWelcome();
    row.change(&welcome);
    const Joining::Verdict verdict = joining.Welcomed(welcome, {});
    EXPECT_EQ(verdict.kind, row.kind) << row.what;
    EXPECT_THAT(verdict.why.message(), HasSubstr(row.why));
  }
}

TEST(JoiningTest, ALaterWelcomeMustBeOfTheSameRun) {
  const SessionOptions options = JoiningOptions();
  Joining joining(options);
  ASSERT_EQ(joining.Welcomed(GoodWelcome(), {}).kind, Verdict::Kind::kWelcome);
  EXPECT_EQ(joining.Welcomed(GoodWelcome(), {3, 3}).kind, Verdict::Kind::kWelcome);
  EXPECT_EQ(joining.Welcomed(GoodWelcome(), {2, 3}).kind, Verdict::Kind::kWelcome);
  EXPECT_EQ(joining.Welcomed(GoodWelcome(), {3, 4}).kind, Verdict::Kind::kWelcome);
  const Joining::Verdict lost = joining.Welcomed(GoodWelcome(), {4, 5});
  EXPECT_EQ(lost.kind, Verdict::Kind::kFail);
  EXPECT_EQ(lost.why.message(),
            "runs/r is not as this session left it: it has 10 parameters and its last push of "
            "worker \"w\" is 3, expected 10 and 5");
  EXPECT_EQ(joining.Welcomed(GoodWelcome(), {1, 2}).kind, Verdict::Kind::kFail);
  v1::Welcome smaller = GoodWelcome();
  *smaller.mutable_layout() = VectorLayout(9).message();
  smaller.set_parameter_count(9);
  EXPECT_EQ(joining.Welcomed(smaller, {3, 3}).kind, Verdict::Kind::kFail);
}

TEST(JoiningTest, ANewTimelineMayKnowOtherPushesAndIsStillOfTheSameRun) {
  const SessionOptions options = JoiningOptions();
  Joining joining(options);
  v1::Welcome welcome = GoodWelcome();
  welcome.set_timeline(1);
  welcome.set_run_uid("ab");
  ASSERT_EQ(joining.Welcomed(welcome, {}).kind, Verdict::Kind::kWelcome);
  EXPECT_EQ(joining.facts().run_uid, "ab");
  EXPECT_EQ(joining.Welcomed(welcome, {4, 5}).kind, Verdict::Kind::kFail);
  welcome.set_timeline(2);
  EXPECT_EQ(joining.Welcomed(welcome, {4, 5}).kind, Verdict::Kind::kWelcome);
  EXPECT_EQ(joining.Welcomed(welcome, {4, 5}).kind, Verdict::Kind::kFail) << "it is no new one";
  welcome.set_timeline(3);
  EXPECT_EQ(joining.Welcomed(welcome, {1, 2}).kind, Verdict::Kind::kWelcome) << "or more of them";
  welcome.set_run_uid("cd");
  const Joining::Verdict other = joining.Welcomed(welcome, {3, 3});
  EXPECT_EQ(other.kind, Verdict::Kind::kFail);
  EXPECT_THAT(other.why.message(), HasSubstr("its uid is \"cd\", expected \"ab\""));
}

TEST(JoiningTest, WhereTheServersMemoryCannotBeOpenedItJoinsAgainWithoutIt) {
  SessionOptions options = JoiningOptions();
  options.shared_memory = true;
  Joining joining(options);
  v1::Welcome welcome = GoodWelcome();
  welcome.mutable_shared_memory()->set_process_id(-1);
  const Joining::Verdict verdict = joining.Welcomed(welcome, {});
  EXPECT_EQ(verdict.kind, Verdict::Kind::kJoinAgain);
  EXPECT_THAT(verdict.why.message(), HasSubstr("joining without it"));
  EXPECT_FALSE(joining.Request().join().want_shared_memory());
  // A restarted worker, which knows nothing yet.
  EXPECT_EQ(joining.Welcomed(GoodWelcome(), {0, 0}).kind, Verdict::Kind::kWelcome);
  EXPECT_EQ(joining.facts().vectors->gradient().size(), 10U);
}

}  // namespace
}  // namespace gradd
