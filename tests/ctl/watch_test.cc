#include "ctl/watch.h"

#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "ctl/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/ctl/fake_console.h"
#include "tests/ctl/fake_server.h"

namespace gradd::ctl {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

v1::RunProgress AtStep(int64_t step, v1::RunState state = v1::RUN_STATE_RUNNING) {
  v1::RunProgress progress;
  progress.set_step(step);
  progress.set_max_steps(10);
  progress.set_loss(1.0 / static_cast<double>(1 + step));
  progress.set_state(state);
  progress.set_live_workers(1);
  return progress;
}

class WatchTest : public ::testing::Test {
 protected:
  WatchTest() {
    server_.runs["runs/x"].set_name("runs/x");
    server_.runs["runs/x"].set_kept(true);
    server_.watch = [](const v1::WatchRunRequest&, grpc::ServerWriter<v1::RunProgress>* writer,
                       grpc::ServerContext*) {
      writer->Write(AtStep(5));
      writer->Write(AtStep(10, v1::RUN_STATE_FINISHED));
      return grpc::Status::OK;
    };
  }

  int Watch(std::vector<std::string> more = {}) {
    std::vector<std::string> args = {"--server", server_.address(), "watch", "x"};
    args.insert(args.end(), more.begin(), more.end());
    server_.Synchronize();
    const int code = console_.Run(args);
    server_.Synchronize();
    return code;
  }

  FakeServer server_;
  FakeConsole console_;
};

TEST_F(WatchTest, WritesOneLinePerUpdateWhereThereIsNoTerminal) {
  EXPECT_EQ(Watch(), kExitOk);
  EXPECT_EQ(console_.out,
            "x  50 %  step 5/10  loss 0.1667  lr 0\n"
            "x  100 %  step 10/10  loss 0.0909  lr 0  finished\n");
  EXPECT_THAT(console_.err, IsEmpty());
}

v1::RunProgress In(v1::RunCondition condition, const std::string& reason, int64_t step = 5) {
  v1::RunProgress progress = AtStep(step);
  progress.set_condition(condition);
  progress.set_reason(reason);
  progress.set_live_workers(condition == v1::RUN_CONDITION_NO_WORKERS ? 0 : 1);
  return progress;
}

class ConditionWatchTest : public WatchTest {
 protected:
  ConditionWatchTest() {
    server_.watch = [](const v1::WatchRunRequest&, grpc::ServerWriter<v1::RunProgress>* writer,
                       grpc::ServerContext*) {
      writer->Write(In(v1::RUN_CONDITION_TRAINING, ""));
      writer->Write(In(v1::RUN_CONDITION_DIVERGED, "loss is 31x its best since step 2"));
      writer->Write(In(v1::RUN_CONDITION_DIVERGED, "loss is 40x its best since step 2", 6));
      writer->Write(In(v1::RUN_CONDITION_NO_WORKERS, "the last one, w0, left", 6));
      writer->Write(In(v1::RUN_CONDITION_TRAINING, "", 7));
      writer->Write(In(v1::RUN_CONDITION_WAITING_FOR_PUSHES, "w0 computes", 7));
      writer->Write(In(v1::RUN_CONDITION_PAUSED, "by alice", 7));
      return grpc::Status::OK;
    };
  }
};

TEST_F(ConditionWatchTest, ATerminalIsToldOnceWhyARunCannotGoOnAndWhenItDoes) {
  console_.width = 80;
  EXPECT_EQ(Watch(), kExitOk);
  EXPECT_EQ(console_.err,
            "gradctl: x has diverged: loss is 31x its best since step 2\n"
            "gradctl: x has no workers: the last one, w0, left\n"
            "gradctl: x is running again\n"
            "gradctl: x is paused: by alice\n");
  EXPECT_THAT(console_.out, HasSubstr("diverged"));
  EXPECT_THAT(console_.out, HasSubstr("no workers"));
  EXPECT_THAT(console_.out, HasSubstr("waiting"));
}

TEST_F(ConditionWatchTest, ALogHasTheReasonInItsLines) {
  EXPECT_EQ(Watch(), kExitOk);
  EXPECT_THAT(console_.err, IsEmpty());
  EXPECT_EQ(console_.out,
            "x  50 %  step 5/10  loss 0.1667  lr 0\n"
            "x  50 %  step 5/10  loss 0.1667  lr 0  diverged: loss is 31x its best since step 2\n"
            "x  60 %  step 6/10  loss 0.1429  lr 0  diverged: loss is 40x its best since step 2\n"
            "x  60 %  step 6/10  loss 0.1429  lr 0  no workers: the last one, w0, left\n"
            "x  70 %  step 7/10  loss 0.1250  lr 0\n"
            "x  70 %  step 7/10  loss 0.1250  lr 0  waiting: w0 computes\n"
            "x  70 %  step 7/10  loss 0.1250  lr 0  paused: by alice\n");
}

TEST_F(ConditionWatchTest, JsonHasThemAsFields) {
  console_.width = 80;
  EXPECT_EQ(Watch({"--json"}), kExitOk);
  EXPECT_THAT(console_.err, IsEmpty());
  std::istringstream lines(console_.out);
  std::string line;
  ASSERT_TRUE(std::getline(lines, line) && std::getline(lines, line));
  EXPECT_EQ(nlohmann::json::parse(line)["condition"], "RUN_CONDITION_DIVERGED");
  EXPECT_EQ(nlohmann::json::parse(line)["reason"], "loss is 31x its best since step 2");
}

TEST_F(WatchTest, EndsWhenARunThatDivergedHasNoWorkersAndSaysWhy) {
  server_.watch = [](const v1::WatchRunRequest&, grpc::ServerWriter<v1::RunProgress>* writer,
                     grpc::ServerContext*) {
    v1::RunProgress progress = In(v1::RUN_CONDITION_DIVERGED, "loss is 31x its best since step 2");
    writer->Write(progress);
    progress.set_live_workers(0);
    progress.set_reason("loss is 31x its best since step 2; no workers: the last one, w0, left");
    for (int i = 0; i < 3; ++i) writer->Write(progress);
    return grpc::Status::OK;
  };
  for (const int width : {0, 80}) {
    console_.width = width;
    EXPECT_EQ(Watch(), kExitRefused);
    EXPECT_THAT(
        console_.err,
        ::testing::EndsWith(
            "gradctl: x has diverged and has no workers: loss is 31x its best since step 2; "
            "no workers: the last one, w0, left (FAILED_PRECONDITION)\n"))
        << width;
  }
}

TEST_F(WatchTest, RedrawsOneLineOfATerminalAndRestoresTheCursor) {
  console_.width = 60;
  EXPECT_EQ(Watch(), kExitOk);
  EXPECT_THAT(console_.out, StartsWith("\x1b[?25l\r\x1b[Kx  ["));
  EXPECT_THAT(console_.out, HasSubstr("\r\x1b[Kx  [##########]  100 %"));
  EXPECT_THAT(console_.out, EndsWith("finished\n\x1b[?25h"));
  // One line break: all was drawn on the same line.
  EXPECT_EQ(std::count(console_.out.begin(), console_.out.end(), '\n'), 1);
}

TEST_F(WatchTest, FollowsTheWidthOfTheTerminal) {
  console_.width = 40;
  EXPECT_EQ(Watch(), kExitOk);
  const size_t last = console_.out.rfind("\r\x1b[K") + 4;
  EXPECT_EQ(console_.out.substr(last), "x  100 %  step 10/10  loss 0.0909\n\x1b[?25h");
}

TEST_F(WatchTest, JsonIsOneObjectPerUpdate) {
  console_.width = 80;
  EXPECT_EQ(Watch({"--json"}), kExitOk);
  std::istringstream lines(console_.out);
  std::vector<std::string> steps;
  for (std::string line; std::getline(lines, line);) {
    steps.push_back(nlohmann::json::parse(line)["step"]);
  }
  EXPECT_THAT(steps, ::testing::ElementsAre("5", "10"));
}

TEST_F(WatchTest, EndsWhenAFinishedRunHasNothingNewToSay) {
  bool ended = false;
  server_.watch = [&ended](const v1::WatchRunRequest&, grpc::ServerWriter<v1::RunProgress>* writer,
                           grpc::ServerContext* context) {
    v1::RunProgress progress = AtStep(10, v1::RUN_STATE_FINISHED);
    writer->Write(progress);
    progress.mutable_evaluation()->set_accuracy(0.75);
    writer->Write(progress);
    // Rates over the last seconds sink to zero.
    progress.set_examples_per_second(5);
    writer->Write(progress);
    while (!context->IsCancelled()) std::this_thread::yield();
    ended = true;
    return grpc::Status::CANCELLED;
  };
  EXPECT_EQ(Watch(), kExitOk);
  EXPECT_THAT(console_.out, EndsWith("accuracy 0.7500  lr 0  finished\n"));
  EXPECT_EQ(std::count(console_.out.begin(), console_.out.end(), '\n'), 2);
  server_.Stop();
  EXPECT_TRUE(ended);
}

TEST_F(WatchTest, AsksForUpdatesAtTheInterval) {
  v1::WatchRunRequest asked;
  server_.watch = [&asked](const v1::WatchRunRequest& request, grpc::ServerWriter<v1::RunProgress>*,
                           grpc::ServerContext*) {
    asked = request;
    return grpc::Status::OK;
  };
  EXPECT_EQ(Watch({"--interval", "250ms"}), kExitOk);
  EXPECT_EQ(asked.name(), "runs/x");
  EXPECT_EQ(asked.interval().nanos(), 250'000'000);
  EXPECT_FALSE(asked.keep_watching());
}

TEST_F(WatchTest, ReconnectsToAServerThatWentAwaySayingSo) {
  int watches = 0;
  server_.watch = [&watches](const v1::WatchRunRequest&,
                             grpc::ServerWriter<v1::RunProgress>* writer,
                             grpc::ServerContext* context) {
    if (++watches == 1) writer->Write(AtStep(5));
    if (watches < 4) {
      context->AddTrailingMetadata("gradd-reason", "STOPPING");
      return grpc::Status(grpc::StatusCode::UNAVAILABLE, "the server is stopping");
    }
    writer->Write(AtStep(10, v1::RUN_STATE_FINISHED));
    return grpc::Status::OK;
  };
  EXPECT_EQ(Watch(), kExitOk);
  EXPECT_EQ(watches, 4);
  EXPECT_THAT(console_.out, EndsWith("finished\n"));
  EXPECT_EQ(console_.err,
            "gradctl: the server is stopping; trying again (UNAVAILABLE)\n"
            "gradctl: connected again\n");
  ASSERT_EQ(console_.waits.size(), 3);
  absl::Duration backoff = absl::Milliseconds(100);
  for (const absl::Duration wait : console_.waits) {
    EXPECT_GE(wait, backoff / 2);
    EXPECT_LE(wait, backoff);
    backoff *= 2;
  }
}

// However long that takes: the server says that it is at it.
TEST_F(WatchTest, WaitsForARunThatIsRecovered) {
  int watches = 0;
  server_.watch = [&](const v1::WatchRunRequest&, grpc::ServerWriter<v1::RunProgress>* writer,
                      grpc::ServerContext* context) {
    if (++watches < 6) {
      console_.clock.Advance(absl::Seconds(20));
      context->AddTrailingMetadata("gradd-reason", "RUN_RECOVERING");
      return grpc::Status(grpc::StatusCode::UNAVAILABLE, "run \"a\" is being recovered");
    }
    writer->Write(AtStep(10, v1::RUN_STATE_FINISHED));
    return grpc::Status::OK;
  };
  EXPECT_EQ(Watch({"--reconnect", "30s"}), kExitOk);
  EXPECT_EQ(watches, 6);
  EXPECT_EQ(console_.err,
            "gradctl: run \"a\" is being recovered; trying again (UNAVAILABLE)\n"
            "gradctl: connected again\n");
}

TEST_F(WatchTest, ReconnectsAfterTheServerDied) {
  console_.on_wait = [this] {
    // Gone for good.
    server_.Stop();
  };
  server_.watch = [](const v1::WatchRunRequest&, grpc::ServerWriter<v1::RunProgress>* writer,
                     grpc::ServerContext*) {
    writer->Write(AtStep(5));
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "");
  };
  EXPECT_EQ(Watch({"--reconnect", "30s"}), kExitUnreachable);
  EXPECT_THAT(console_.err, HasSubstr("cannot reach gradd at " + server_.address()));
  EXPECT_GE(console_.clock.Elapsed(), absl::Seconds(30));
  EXPECT_LE(console_.clock.Elapsed(), absl::Seconds(35));
}

TEST_F(WatchTest, AServerThatWasNeverThereIsNotWaitedFor) {
  server_.Stop();
  EXPECT_EQ(Watch(), kExitUnreachable);
  EXPECT_THAT(console_.waits, IsEmpty());
}

TEST_F(WatchTest, ADeletedRunEndsItWithAnError) {
  server_.watch = [](const v1::WatchRunRequest&, grpc::ServerWriter<v1::RunProgress>* writer,
                     grpc::ServerContext* context) {
    writer->Write(AtStep(5));
    context->AddTrailingMetadata("gradd-reason", "RUN_NOT_FOUND");
    return grpc::Status(grpc::StatusCode::NOT_FOUND, "run \"x\" was deleted");
  };
  console_.width = 80;
  EXPECT_EQ(Watch(), kExitRefused);
  EXPECT_THAT(console_.out, EndsWith("\n\x1b[?25h"));
  EXPECT_EQ(console_.err, "gradctl: run \"x\" was deleted (NOT_FOUND)\n");
}

TEST_F(WatchTest, CtrlCEndsItWith130AndRestoresTheCursor) {
  server_.watch = [this](const v1::WatchRunRequest&, grpc::ServerWriter<v1::RunProgress>* writer,
                         grpc::ServerContext* context) {
    writer->Write(AtStep(5));
    // The stream stays open until the client ends it.
    console_.interrupt.Trigger();
    while (!context->IsCancelled()) std::this_thread::yield();
    return grpc::Status::CANCELLED;
  };
  console_.width = 80;
  EXPECT_EQ(Watch(), kExitInterrupted);
  // Whether the first update was drawn before or not, the cursor is there.
  EXPECT_EQ(console_.out.find("\x1b[?25l") == std::string::npos,
            console_.out.find("\x1b[?25h") == std::string::npos);
}

TEST_F(WatchTest, CtrlCEndsItWhileItWaitsForTheServer) {
  server_.watch = [](const v1::WatchRunRequest&, grpc::ServerWriter<v1::RunProgress>* writer,
                     grpc::ServerContext*) {
    writer->Write(AtStep(5));
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "");
  };
  console_.on_wait = [this] { console_.interrupt.Trigger(); };
  console_.width = 80;
  EXPECT_EQ(Watch(), kExitInterrupted);
  EXPECT_THAT(console_.out, EndsWith("\n\x1b[?25h"));
  EXPECT_EQ(console_.waits.size(), 1);
}

TEST_F(WatchTest, AProgressLineIsNotMixedWithAMessage) {
  int watches = 0;
  server_.watch = [&watches](const v1::WatchRunRequest&,
                             grpc::ServerWriter<v1::RunProgress>* writer, grpc::ServerContext*) {
    writer->Write(AtStep(5));
    return ++watches == 1 ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "") : grpc::Status::OK;
  };
  console_.width = 80;
  EXPECT_EQ(Watch(), kExitOk);
  // The line was cleared before the message, which went to the other stream.
  EXPECT_THAT(console_.out, HasSubstr("\r\x1b[K\r\x1b[K"));
  EXPECT_THAT(console_.out, Not(HasSubstr("trying again")));
}

}  // namespace
}  // namespace gradd::ctl
