// What gradctl says of checkpoints, and asks of the server.
#include "ctl/gradctl.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ctl/command_line.h"
#include "ctl/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/ctl/fake_console.h"
#include "tests/ctl/fake_server.h"

namespace gradd::ctl {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class CheckpointsTest : public ::testing::Test {
 protected:
  CheckpointsTest() {
    v1::Run& run = server_.runs["runs/a"];
    run.set_name("runs/a");
    run.set_kept(true);
    run.mutable_optimizer()->mutable_adam();
    run.mutable_schedule()->set_learning_rate(0.1);
  }
  int Run(std::vector<std::string> args, const std::string& input = "") {
    args.insert(args.begin(), {"--server", server_.address()});
    server_.Synchronize();
    const int code = console_.Run(args, input);
    server_.Synchronize();
    return code;
  }
  v1::Checkpoint* AddCheckpoint(uint64_t timeline, int64_t step) {
    v1::Checkpoint& checkpoint = *server_.checkpoints.add_checkpoints();
    checkpoint.set_name(absl::StrCat("checkpoint-", timeline, "-", step));
    checkpoint.set_timeline(timeline);
    checkpoint.set_step(step);
    checkpoint.set_bytes(1234567);
    checkpoint.mutable_time()->set_seconds(1'700'000'000 - 90);
    checkpoint.set_on_present_past(true);
    return &checkpoint;
  }

  FakeServer server_;
  FakeConsole console_;
};

TEST_F(CheckpointsTest, OneIsMadeAndNamed) {
  AddCheckpoint(1, 100);
  ASSERT_EQ(Run({"checkpoint", "a"}), kExitOk) << console_.err;
  EXPECT_EQ(console_.out, "a: checkpoint-1-100, step 100 of timeline 1, 1,234,567 bytes\n");
  EXPECT_EQ(Run({"checkpoint", "b"}), kExitRefused);
}

TEST_F(CheckpointsTest, TheyAreListedAsATable) {
  ASSERT_EQ(Run({"checkpoints", "a"}), kExitOk) << console_.err;
  EXPECT_EQ(console_.out, "a: no checkpoints yet\n");
  AddCheckpoint(1, 100)->set_evaluation_loss(0.25);
  server_.checkpoints.mutable_checkpoints(0)->set_best(true);
  AddCheckpoint(1, 200)->set_on_present_past(false);
  AddCheckpoint(2, 100)->set_newest(true);
  ASSERT_EQ(Run({"checkpoints", "a"}), kExitOk) << console_.err;
  EXPECT_EQ(console_.out,
            "TIMELINE  STEP       WHEN      BYTES  EVALUATION  WHICH\n"
            "       1   100  1m30s ago  1,234,567      0.2500  best\n"
            "       1   200  1m30s ago  1,234,567           -  given up\n"
            "       2   100  1m30s ago  1,234,567           -  newest\n");
  ASSERT_EQ(Run({"show", "a"}), kExitOk) << console_.err;
  EXPECT_THAT(console_.out,
              HasSubstr("every 1m, the newest 3 are kept; newest: step 100, 1m30s ago\n"));
}

TEST_F(CheckpointsTest, RestoreSaysWhatChanged) {
  ASSERT_EQ(Run({"restore", "a", "--step", "100", "--timeline", "3", "--author", "ada"}), kExitOk)
      << console_.err;
  ASSERT_EQ(server_.restores.size(), 1U);
  const v1::RestoreRunRequest& request = server_.restores[0];
  EXPECT_EQ(request.name(), "runs/a");
  EXPECT_EQ(request.step(), 100);
  EXPECT_EQ(request.timeline(), 3U);
  EXPECT_EQ(request.author(), "ada");
  EXPECT_THAT(request.request_id(), HasSubstr("gradctl-"));
  EXPECT_EQ(console_.out,
            "a: went back from step 120 of timeline 3 to step 100 of timeline 3, and goes on as "
            "timeline 4\n"
            "  schedule.learning_rate: 0.1 -> 0.2\n");
}

TEST_F(CheckpointsTest, ARetryOfRestoreHasTheSameId) {
  server_.unavailable_calls = 1;
  ASSERT_EQ(Run({"restore", "a", "--step", "100"}), kExitOk) << console_.err;
  ASSERT_EQ(server_.restores.size(), 2U);
  EXPECT_EQ(server_.restores[0].request_id(), server_.restores[1].request_id());
}

TEST_F(CheckpointsTest, AForkTakesWhatSetTakes) {
  ASSERT_EQ(Run({"fork", "a", "b", "--step", "100", "beta1=0.8", "learning-rate=0.3"}), kExitOk)
      << console_.err;
  ASSERT_EQ(server_.forks.size(), 1U);
  const v1::ForkRunRequest& request = server_.forks[0];
  EXPECT_EQ(request.name(), "runs/a");
  EXPECT_EQ(request.run_id(), "b");
  EXPECT_EQ(request.step(), 100);
  EXPECT_EQ(request.timeline(), 0U);
  EXPECT_THAT(request.update_mask().paths(),
              ElementsAre("optimizer.adam.beta1", "schedule.learning_rate"));
  EXPECT_EQ(request.run().optimizer().adam().beta1(), 0.8);
  EXPECT_EQ(console_.out, "b: begins at step 100 of a, 0 parameters in 0 tensors\n");
}

TEST_F(CheckpointsTest, DiffPrintsWhatChangedMostFirst) {
  ASSERT_EQ(Run({"diff", "a", "100", "2/200"}), kExitOk) << console_.err;
  ASSERT_EQ(server_.diffs.size(), 1U);
  EXPECT_EQ(server_.diffs[0].step(), 100);
  EXPECT_EQ(server_.diffs[0].timeline(), 0U);
  EXPECT_EQ(server_.diffs[0].other_step(), 200);
  EXPECT_EQ(server_.diffs[0].other_timeline(), 2U);
  EXPECT_EQ(console_.out,
            "a: step 100 of timeline 1 to step 200 of timeline 2\n"
            "TENSOR  ELEMENTS  NORM  CHANGE  RELATIVE\n"
            "(all)         12     2       1       0.5\n"
            "w             10     0       1         -\n"
            "and 1 that changed less\n");
}

TEST_F(CheckpointsTest, WrongArgumentsAreUsageErrors) {
  for (const std::vector<std::string>& args :
       std::vector<std::vector<std::string>>{{"restore", "a"},
                                             {"restore", "--step", "1"},
                                             {"restore", "a", "--step", "x"},
                                             {"restore", "a", "--step", "-1", "--timeline", "-1"},
                                             {"fork", "a", "--step", "1"},
                                             {"fork", "a", "b"},
                                             {"fork", "a", "b", "--step", "1", "nonsense"},
                                             {"diff", "a", "1"},
                                             {"diff", "a", "1", "x"},
                                             {"diff", "a", "1", "0/2"},
                                             {"diff", "a", "1", "-2"},
                                             {"diff", "a", "1", "2/"},
                                             {"verify"}}) {
    EXPECT_EQ(Run(args), kExitUsage) << args[0] << " " << args.back() << ": " << console_.err;
  }
  EXPECT_THAT(server_.restores, IsEmpty());
  EXPECT_THAT(server_.forks, IsEmpty());
}

TEST_F(CheckpointsTest, WhatIsInMemoryOnlyIsSaidOnce) {
  server_.runs["runs/m"].set_name("runs/m");
  ASSERT_EQ(Run({"list"}), kExitOk);
  EXPECT_EQ(console_.err, "gradctl: m is in the server's memory only, and gone with it\n");
  ASSERT_EQ(Run({"show", "m"}), kExitOk);
  EXPECT_THAT(console_.out, HasSubstr("no: in the server's memory only, and gone with it\n"));
  server_.watch = [](const auto&, auto*, auto*) { return grpc::Status::OK; };
  ASSERT_EQ(Run({"watch", "m"}), kExitOk);
  EXPECT_EQ(console_.err, "gradctl: m is in the server's memory only, and gone with it\n");
  ASSERT_EQ(Run({"watch", "a"}), kExitOk);
  EXPECT_EQ(console_.err, "");
  server_.runs.erase("runs/a");
  ASSERT_EQ(Run({"list"}), kExitOk);
  EXPECT_EQ(console_.err,
            "gradctl: these runs are in the server's memory only, and gone with it\n");
}

TEST_F(CheckpointsTest, CreateIfAbsentTakesTheRunThatIsThere) {
  constexpr char kLayoutJson[] = R"({"tensors": [{"name": "w", "shape": [2]}]})";
  const std::vector<std::string> create = {"create",          "n",  "--layout", "-",
                                           "--learning-rate", "0.1"};
  ASSERT_EQ(Run(create, kLayoutJson), kExitOk) << console_.err;
  EXPECT_EQ(Run(create, kLayoutJson), kExitRefused);
  std::vector<std::string> again = create;
  again.emplace_back("--if-absent");
  server_.runs["runs/n"].mutable_progress()->set_step(7);
  (*server_.runs["runs/n"].mutable_labels())["more"] = "1";
  ASSERT_EQ(Run(again, kLayoutJson), kExitOk) << console_.err;
  EXPECT_EQ(console_.out, "n: is there already, at step 7\n");
  EXPECT_EQ(console_.err, "");
  again[5] = "0.2";
  again.insert(again.end(), {"--optimizer", "adam"});
  ASSERT_EQ(Run(again, kLayoutJson), kExitOk) << console_.err;
  EXPECT_EQ(console_.err,
            "gradctl: n is another run than was asked for: its optimizer, schedule.learning_rate "
            "differ\n");
  ASSERT_EQ(Run(again, R"({"tensors": [{"name": "w", "shape": [3]}]})"), kExitOk);
  EXPECT_THAT(console_.err, HasSubstr("its layout.tensors, "));
}

}  // namespace
}  // namespace gradd::ctl
