#include "server/checkpoint_calls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <string>

#include "tests/server/test_server.h"
#include "tests/support/fake_worker.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

using RunStub = v1::RunService::Stub;

// With a state directory, or without one.
class CheckpointCallsTest : public testing::TestWithParam<bool> {
 protected:
  CheckpointCallsTest() {
    std::string path = testing::TempDir() + "/gradd-XXXXXX";
    directory_ = mkdtemp(path.data());
    Start();
  }
  ~CheckpointCallsTest() override {
    worker_.reset();
    if (server_ != nullptr) server_->Stop();
    server_.reset();
    std::filesystem::remove_all(directory_);
  }

  void Start() {
    ServerOptions options = TestServerOptions("");
    if (GetParam()) options.state_dir = directory_ + "/state";
    server_ = *Server::Start(options);
    runs_ = v1::RunService::NewStub(
        grpc::CreateChannel(server_->grpc_address(), grpc::InsecureChannelCredentials()));
  }
  template <typename Method, typename Request, typename Response>
  std::string Outcome(const Method& method, const Request& request, Response* response) {
    grpc::ClientContext context;
    const grpc::Status status = (runs_.get()->*method)(&context, request, response);
    if (status.ok()) return "OK";
    const auto& trailing = context.GetServerTrailingMetadata();
    const auto reason = trailing.find("gradd-reason");
    if (reason == trailing.end()) return "without a reason: " + status.error_message();
    return std::string(reason->second.data(), reason->second.size()) + ": " +
           status.error_message();
  }
  template <typename Request>
  static Request Named(Request request = Request()) {
    request.set_name("runs/r");
    return request;
  }
  // A run with a worker, after two steps, with a checkpoint of each.
  void Train() {
    v1::CreateRunRequest create;
    create.set_run_id("r");
    *create.mutable_run() = SynchronousSpec(2, 1);
    ASSERT_EQ(Outcome(&RunStub::CreateRun, create, &run_), "OK");
    worker_ = std::make_unique<FakeWorker>(server_->registry(), "r", "w", /*instance=*/1);
    worker_->join().set_sends_timelines(true);
    worker_->Join();
    for (int64_t step = 1; step <= 2; ++step) {
      worker_->Push(step, step - 1, {1, 2});
      ASSERT_EQ(worker_->WaitForResult(static_cast<size_t>(step - 1)).outcome(),
                v1::PUSH_OUTCOME_APPLIED);
      v1::Checkpoint made;
      ASSERT_EQ(Outcome(&RunStub::CheckpointRun, Named<v1::CheckpointRunRequest>(), &made), "OK");
      EXPECT_EQ(made.step(), step);
      EXPECT_GT(made.bytes(), 0);
      EXPECT_TRUE(made.newest());
    }
  }

  std::string directory_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<RunStub> runs_;
  std::unique_ptr<FakeWorker> worker_;
  v1::Run run_;
};

class WithoutStateDirectoryTest : public CheckpointCallsTest {};
INSTANTIATE_TEST_SUITE_P(Without, WithoutStateDirectoryTest, testing::Values(false));

TEST_P(WithoutStateDirectoryTest, EveryMethodSaysSo) {
  v1::CreateRunRequest create;
  create.set_run_id("r");
  *create.mutable_run() = SynchronousSpec(2, 1);
  ASSERT_EQ(Outcome(&RunStub::CreateRun, create, &run_), "OK");
  EXPECT_FALSE(run_.kept());
  const auto expect = [](const std::string& outcome) {
    EXPECT_THAT(outcome,
                StartsWith("NO_STATE_DIRECTORY: run \"r\" is in the server's memory only"));
    EXPECT_THAT(outcome, HasSubstr("--state-dir"));
  };
  v1::Checkpoint made;
  v1::ListCheckpointsResponse list;
  v1::RestoreRunResponse restored;
  v1::DiffRunResponse difference;
  v1::ForkRunRequest fork = Named<v1::ForkRunRequest>();
  fork.set_run_id("f");
  expect(Outcome(&RunStub::CheckpointRun, Named<v1::CheckpointRunRequest>(), &made));
  expect(Outcome(&RunStub::ListCheckpoints, Named<v1::ListCheckpointsRequest>(), &list));
  expect(Outcome(&RunStub::RestoreRun, Named<v1::RestoreRunRequest>(), &restored));
  expect(Outcome(&RunStub::ForkRun, fork, &run_));
  expect(Outcome(&RunStub::DiffRun, Named<v1::DiffRunRequest>(), &difference));
}

class WithStateDirectoryTest : public CheckpointCallsTest {};
INSTANTIATE_TEST_SUITE_P(With, WithStateDirectoryTest, testing::Values(true));

TEST_P(WithStateDirectoryTest, ARunGoesBackWhileItsWorkerStaysConnected) {
  Train();
  v1::RestoreRunRequest request = Named<v1::RestoreRunRequest>();
  request.set_step(1);
  request.set_request_id("once");
  request.set_author("ada");
  v1::RestoreRunResponse restored;
  ASSERT_EQ(Outcome(&RunStub::RestoreRun, request, &restored), "OK");
  EXPECT_EQ(restored.timeline(), 2U);
  EXPECT_EQ(restored.from_step(), 2);
  worker_->Push(3, 2, {1, 2});  // Of the timeline that was given up: it has not said another one.
  const v1::PushResult result = worker_->WaitForResult(2);
  EXPECT_EQ(result.outcome(), v1::PUSH_OUTCOME_ROLLED_BACK);
  EXPECT_EQ(result.last_sequence(), 1);
  v1::RestoreRunResponse again;
  ASSERT_EQ(Outcome(&RunStub::RestoreRun, request, &again), "OK");
  EXPECT_EQ(again.DebugString(), restored.DebugString());
  request.set_step(2);
  EXPECT_THAT(Outcome(&RunStub::RestoreRun, request, &again), StartsWith("REQUEST_ID_USED: "));

  v1::ListCheckpointsResponse list;
  ASSERT_EQ(Outcome(&RunStub::ListCheckpoints, Named<v1::ListCheckpointsRequest>(), &list), "OK");
  ASSERT_EQ(list.checkpoints_size(), 3);
  EXPECT_TRUE(list.checkpoints(0).on_present_past());
  EXPECT_FALSE(list.checkpoints(1).on_present_past());
  EXPECT_TRUE(list.checkpoints(2).newest());
  EXPECT_GT(list.checkpoints(2).time().seconds(), 0);

  worker_.reset();
  server_->Stop();
  server_.reset();
  Start();
  request.set_step(1);
  std::string outcome;
  do {  // While the run is being recovered.
    outcome = Outcome(&RunStub::RestoreRun, request, &again);
  } while (outcome.rfind("RUN_RECOVERING", 0) == 0);
  ASSERT_EQ(outcome, "OK");
  EXPECT_EQ(again.DebugString(), restored.DebugString());
}

TEST_P(WithStateDirectoryTest, WrongRequestsAreRefusedWithWhatIsExpected) {
  Train();
  v1::RestoreRunRequest request = Named<v1::RestoreRunRequest>();
  v1::RestoreRunResponse restored;
  request.set_step(7);
  EXPECT_THAT(Outcome(&RunStub::RestoreRun, request, &restored),
              StartsWith("CHECKPOINT_NOT_FOUND: run \"r\" has no checkpoint of step 7 that it has "
                         "come by; it has those of step 2 (timeline 1), 1 (timeline 1)"));
  request.set_step(-1);
  EXPECT_THAT(Outcome(&RunStub::RestoreRun, request, &restored),
              StartsWith("OUT_OF_RANGE: step: -1 is outside [0, 2^53]"));
  request.set_step(1);
  request.set_timeline(9);
  EXPECT_THAT(Outcome(&RunStub::RestoreRun, request, &restored), HasSubstr("of timeline 9"));
  request.set_timeline(0);
  request.set_request_id(std::string(129, 'x'));
  EXPECT_THAT(Outcome(&RunStub::RestoreRun, request, &restored),
              StartsWith("OUT_OF_RANGE: request_id: 129 bytes"));
  request.set_request_id("a\nb");
  EXPECT_THAT(Outcome(&RunStub::RestoreRun, request, &restored),
              StartsWith("REQUEST_ID_INVALID: "));
  request.clear_request_id();
  request.set_author(std::string(129, 'x'));
  EXPECT_THAT(Outcome(&RunStub::RestoreRun, request, &restored), HasSubstr("author: 129 bytes"));
  request.set_name("runs/none");
  EXPECT_THAT(Outcome(&RunStub::RestoreRun, request, &restored), StartsWith("RUN_NOT_FOUND: "));

  v1::ForkRunRequest fork = Named<v1::ForkRunRequest>();
  fork.set_step(1);
  EXPECT_THAT(Outcome(&RunStub::ForkRun, fork, &run_), HasSubstr("run"));
  fork.set_run_id("r");
  EXPECT_THAT(Outcome(&RunStub::ForkRun, fork, &run_), StartsWith("RUN_EXISTS: "));
  fork.set_run_id("f");
  fork.mutable_update_mask()->add_paths("layout");
  EXPECT_THAT(Outcome(&RunStub::ForkRun, fork, &run_), StartsWith("MASK_INVALID: "));

  v1::DiffRunRequest diff = Named<v1::DiffRunRequest>();
  v1::DiffRunResponse difference;
  diff.set_step(1);
  diff.set_other_step(-5);
  EXPECT_THAT(Outcome(&RunStub::DiffRun, diff, &difference),
              StartsWith("OUT_OF_RANGE: other_step: -5"));
}

TEST_P(WithStateDirectoryTest, AForkIsARunOfItsOwn) {
  Train();
  v1::ForkRunRequest fork = Named<v1::ForkRunRequest>();
  fork.set_step(1);
  fork.set_run_id("f");
  fork.set_request_id("once");
  fork.mutable_run()->set_max_steps(1);
  fork.mutable_update_mask()->add_paths("max_steps");
  v1::Run forked;
  ASSERT_EQ(Outcome(&RunStub::ForkRun, fork, &forked), "OK");
  EXPECT_EQ(forked.name(), "runs/f");
  EXPECT_EQ(forked.progress().step(), 1);
  EXPECT_EQ(forked.state(), v1::RUN_STATE_FINISHED) << "there is no step left to make";
  EXPECT_TRUE(forked.kept());
  v1::Run again;
  ASSERT_EQ(Outcome(&RunStub::ForkRun, fork, &again), "OK");
  EXPECT_EQ(again.uid(), forked.uid());
  fork.set_request_id("twice");
  EXPECT_THAT(Outcome(&RunStub::ForkRun, fork, &again), StartsWith("RUN_EXISTS: "));
}

TEST_P(WithStateDirectoryTest, TwoCheckpointsAreCompared) {
  Train();
  v1::DiffRunRequest request = Named<v1::DiffRunRequest>();
  request.set_step(1);
  request.set_other_step(2);
  v1::DiffRunResponse difference;
  ASSERT_EQ(Outcome(&RunStub::DiffRun, request, &difference), "OK");
  EXPECT_EQ(difference.first().step(), 1);
  EXPECT_EQ(difference.second().step(), 2);
  EXPECT_EQ(difference.tensor_count(), 1);
  ASSERT_EQ(difference.tensors_size(), 1);
  EXPECT_EQ(difference.tensors(0).elements(), 2);
  EXPECT_GT(difference.tensors(0).difference(), 0);
  EXPECT_EQ(difference.total().difference(), difference.tensors(0).difference());
}

}  // namespace
}  // namespace gradd
