#include "server/trials_reactor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/server/test_server.h"
#include "tests/support/fake_worker.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class TrialsReactorTest : public TestWithServer {
 protected:
  TrialsReactorTest() : worker_(server_->registry(), "r", "w") {
    Create("r", SynchronousSpec(2, 1));
    worker_.Join();
  }

  // Starts trials of one step of the run "r", and takes their names.
  void Start(int trials) {
    v1::RunTrialsRequest request;
    request.set_name("runs/r");
    for (int i = 0; i < trials; ++i) {
      v1::Trial& trial = *request.add_trials();
      trial.mutable_optimizer()->mutable_sgd();
      trial.mutable_schedule()->set_learning_rate(1);
      trial.set_max_steps(1);
    }
    context_ = std::make_unique<grpc::ClientContext>();
    stream_ = runs_->RunTrials(context_.get(), request);
    ASSERT_TRUE(stream_->Read(&response_));
  }
  grpc::Status ReadToEnd() {
    while (stream_->Read(&response_)) news_.MergeFrom(response_);
    return stream_->Finish();
  }
  // Waits until no run is left but "r".
  void WaitUntilGone() {
    RunRegistry& registry = *server_->registry();
    int64_t seen = registry.changes();
    while (registry.All().size() > 1) {
      registry.AwaitChange(seen);
      seen = registry.changes();
    }
  }

  FakeWorker worker_;
  std::unique_ptr<grpc::ClientContext> context_;
  std::unique_ptr<grpc::ClientReader<v1::RunTrialsResponse>> stream_;
  v1::RunTrialsResponse response_;
  v1::RunTrialsResponse news_;
};

TEST_F(TrialsReactorTest, StreamsNewsAndEndsWithTheLastTrial) {
  Start(2);
  EXPECT_THAT(response_.names(), ElementsAre("runs/r-trial-1", "runs/r-trial-2"));
  for (const std::string run : {"r-trial-1", "r-trial-2"}) {
    FakeWorker trainer(server_->registry(), run, "w");
    trainer.Join();
    trainer.Push(1, 0, {1, 1});
    trainer.WaitForResult(0);
  }
  EXPECT_TRUE(ReadToEnd().ok());
  ASSERT_EQ(news_.news_size(), 2);
  EXPECT_EQ(news_.news(0).state(), v1::TRIAL_STATE_FINISHED);
  // Gone before the end is told: the next ones may start at once.
  EXPECT_EQ(server_->registry()->All().size(), 1U);
  Start(1);
}

TEST_F(TrialsReactorTest, CancellingDeletesTheTrialsAndFreesTheRun) {
  Start(3);
  EXPECT_EQ(server_->registry()->All().size(), 4U);
  worker_.Push(1, 0, {1, 1});
  EXPECT_TRUE(worker_.results().empty());
  context_->TryCancel();
  EXPECT_EQ(ReadToEnd().error_code(), grpc::StatusCode::CANCELLED);
  WaitUntilGone();
  EXPECT_EQ(worker_.WaitForResult(0).outcome(), v1::PUSH_OUTCOME_APPLIED);
}

TEST_F(TrialsReactorTest, ACallerThatIsGoneLeavesNothing) {
  const auto channel =
      grpc::CreateCustomChannel(server_->grpc_address(), grpc::InsecureChannelCredentials(), [] {
        grpc::ChannelArguments arguments;
        // A connection of its own, which ends with the channel.
        arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
        return arguments;
      }());
  {
    const auto stub = v1::RunService::NewStub(channel);
    v1::RunTrialsRequest request;
    request.set_name("runs/r");
    v1::Trial& trial = *request.add_trials();
    trial.mutable_optimizer()->mutable_sgd();
    trial.mutable_schedule()->set_learning_rate(1);
    trial.set_max_steps(1);
    grpc::ClientContext context;
    const auto stream = stub->RunTrials(&context, request);
    ASSERT_TRUE(stream->Read(&response_));
    // The destructors drop the call without a word.
    context.TryCancel();
  }
  WaitUntilGone();
}

TEST_F(TrialsReactorTest, RefusalsCarryReasonAndMessage) {
  v1::RunTrialsRequest request;
  request.set_name("runs/absent");
  request.add_trials()->set_max_steps(1);
  grpc::ClientContext context;
  const auto stream = runs_->RunTrials(&context, request);
  EXPECT_FALSE(stream->Read(&response_));
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr("absent"));
  EXPECT_EQ(context.GetServerTrailingMetadata().count("gradd-reason"), 1U);
}

TEST_F(TrialsReactorTest, EndsWhenTheServerStops) {
  Start(1);
  server_->Stop();
  EXPECT_EQ(ReadToEnd().error_code(), grpc::StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace gradd
