#include "server/train_reactor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "gradd/v1/training_service.grpc.pb.h"
#include "tests/server/test_server.h"
#include "tests/support/fake_worker.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

class TrainReactorTest : public TestWithServer {};

// A result that says that parameters follow leaves together with them; but those of a worker that
// is too far ahead come when the others are there.
TEST_F(TrainReactorTest, AResultDoesNotWaitForParametersThatComeLater) {
  v1::Run spec = AsynchronousSpec(1);
  spec.mutable_policy()->mutable_bounded_staleness()->set_bound(1);
  Create("r", spec);
  FakeWorker slow(server_->registry(), "r", "slow");
  slow.Join();

  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::minutes(1));
  const auto stub = v1::TrainingService::NewStub(channel_);
  const auto stream = stub->Train(&context);
  v1::TrainRequest request;
  request.mutable_join()->set_run("runs/r");
  request.mutable_join()->set_worker("fast");
  ASSERT_TRUE(stream->Write(request));
  v1::TrainResponse response;
  ASSERT_TRUE(stream->Read(&response));
  ASSERT_TRUE(response.has_welcome());
  for (int sequence = 1; sequence <= 2; ++sequence) {
    request.Clear();
    v1::Push& push = *request.mutable_push();
    push.mutable_header()->set_sequence(sequence);
    push.mutable_header()->set_base_step(sequence - 1);
    push.mutable_header()->set_examples(1);
    const float one = 1;
    push.mutable_chunk()->set_data(&one, sizeof(one));
    push.mutable_commit()->set_want_parameters(true);
    ASSERT_TRUE(stream->Write(request));
    ASSERT_TRUE(stream->Read(&response)) << "push " << sequence << " has no answer";
    EXPECT_EQ(response.push_result().sequence(), sequence);
    EXPECT_TRUE(response.push_result().parameters_follow());
    if (sequence == 1) {
      ASSERT_TRUE(stream->Read(&response));
      EXPECT_EQ(response.parameters().step(), 1);
    }
  }
  slow.Push(1, 0, {1});
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.parameters().step(), 3);
  context.TryCancel();
}

}  // namespace
}  // namespace gradd
