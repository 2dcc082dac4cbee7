#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/run/run_registry.h"
#include "gradd/v1/training_service.grpc.pb.h"
#include "server/address.h"
#include "server/server.h"
#include "tests/server/test_server.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

using ::testing::HasSubstr;

TEST(CallerOfTest, IsThePeersAddressWithoutThePort) {
  EXPECT_EQ(CallerOf("ipv4:10.0.0.1:43210"), "ipv4:10.0.0.1");
  EXPECT_EQ(CallerOf("ipv4:10.0.0.1:1"), CallerOf("ipv4:10.0.0.1:2"));
  EXPECT_EQ(CallerOf("ipv6:%5B::1%5D:43210"), "ipv6:%5B::1%5D");
  EXPECT_EQ(CallerOf("unix:/run/gradd"), "unix");
  EXPECT_EQ(CallerOf("unix:"), "unix");
}

// Callers on 127.0.0.1 may have two of everything.
class CallersTest : public testing::Test {
 protected:
  static std::unique_ptr<Server> StartServer() {
    ServerOptions options = TestServerOptions("");
    options.limits.max_watches = 4;
    options.limits.max_pulls = 4;
    options.limits.max_unjoined_streams = 4;
    options.limits.caller_percent = 50;
    return *Server::Start(options);
  }

  CallersTest() { EXPECT_TRUE(server_->registry()->Create("r", SynchronousSpec(2, 1), "").ok()); }

  struct Watch {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<v1::RunProgress>> stream;
    v1::RunProgress progress;
  };
  std::unique_ptr<Watch> BeginWatch() {
    auto watch = std::make_unique<Watch>();
    v1::WatchRunRequest request;
    request.set_name("runs/r");
    watch->stream = runs_->WatchRun(&watch->context, request);
    return watch;
  }

  const std::unique_ptr<Server> server_ = StartServer();
  const std::shared_ptr<grpc::Channel> channel_ =
      grpc::CreateChannel(server_->grpc_address(), grpc::InsecureChannelCredentials());
  const std::unique_ptr<v1::RunService::Stub> runs_ = v1::RunService::NewStub(channel_);
  const std::unique_ptr<v1::TrainingService::Stub> training_ =
      v1::TrainingService::NewStub(channel_);
};

TEST_F(CallersTest, WatchesAreLimitedPerCallerAndGivenBack) {
  std::vector<std::unique_ptr<Watch>> watches;
  for (int i = 0; i < 2; ++i) {
    watches.push_back(BeginWatch());
    ASSERT_TRUE(watches.back()->stream->Read(&watches.back()->progress));
  }
  const auto third = BeginWatch();
  EXPECT_FALSE(third->stream->Read(&third->progress));
  const grpc::Status refused = third->stream->Finish();
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(refused.error_message(), HasSubstr("caller ipv4:127.0.0.1 has 2 watches"));
  EXPECT_THAT(refused.error_message(), HasSubstr("(--max-watches)"));
  // Another caller is not locked out.
  EXPECT_TRUE(server_->registry()->callers().watches.Take("ipv4:10.0.0.1").ok());
  watches.back()->context.TryCancel();
  watches.back()->stream->Finish();
  // The server learns of it after the client.
  for (bool again = false; !again;) {
    const auto next = BeginWatch();
    again = next->stream->Read(&next->progress);
    next->context.TryCancel();
    next->stream->Finish();
  }
}

TEST_F(CallersTest, StreamsThatDoNotJoinAreLimitedAndThoseThatDoAreNot) {
  struct Stream {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReaderWriter<v1::TrainRequest, v1::TrainResponse>> stream;
    v1::TrainResponse response;
  };
  const auto begin = [this] {
    auto stream = std::make_unique<Stream>();
    stream->stream = training_->Train(&stream->context);
    return stream;
  };
  std::vector<std::unique_ptr<Stream>> joined;
  for (int i = 0; i < 5; ++i) {
    joined.push_back(begin());
    v1::TrainRequest join;
    join.mutable_join()->set_run("runs/r");
    join.mutable_join()->set_worker("w" + std::to_string(i));
    ASSERT_TRUE(joined.back()->stream->Write(join));
    ASSERT_TRUE(joined.back()->stream->Read(&joined.back()->response));
    ASSERT_TRUE(joined.back()->response.has_welcome());
    // A join counts as one until the thread that took it has said so.
    while (server_->registry()->callers().unjoined_streams.taken() > 0) std::this_thread::yield();
  }
  std::vector<std::unique_ptr<Stream>> idle;
  for (int i = 0; i < 2; ++i) idle.push_back(begin());
  while (server_->registry()->callers().unjoined_streams.taken() < 2) std::this_thread::yield();
  const auto refused = begin();
  EXPECT_FALSE(refused->stream->Read(&refused->response));
  const grpc::Status status = refused->stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("(--max-unjoined-streams)"));
  for (auto* streams : {&joined, &idle}) {
    for (auto& stream : *streams) {
      stream->context.TryCancel();
      stream->stream->Finish();
    }
  }
}

TEST_F(CallersTest, PullsAreLimitedPerCaller) {
  const auto taken = server_->registry()->callers().pulls.Take("ipv4:127.0.0.1", 2);
  ASSERT_TRUE(taken.ok());
  grpc::ClientContext context;
  v1::PullRequest request;
  request.set_run("runs/r");
  const auto pull = training_->Pull(&context, request);
  v1::ParameterChunk chunk;
  EXPECT_FALSE(pull->Read(&chunk));
  const grpc::Status status = pull->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("(--max-pulls)"));
}

}  // namespace
}  // namespace gradd
