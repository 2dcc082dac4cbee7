#include "server/peer_watch.h"

#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <memory>
#include <thread>

#include "gradd/v1/training_service.grpc.pb.h"
#include "tests/server/test_server.h"
#include "tests/support/fake_clock.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

TEST(PeerWatchTest, CancelsOnceWhoDoesNothingInTime) {
  FakeClock clock;
  PeerWatch watch(&clock, absl::Seconds(10));
  int idle_cancelled = 0;
  int busy_cancelled = 0;
  int done_cancelled = 0;
  int gone_cancelled = 0;
  const auto idle = watch.Add([&] { ++idle_cancelled; });
  const auto busy = watch.Add([&] { ++busy_cancelled; });
  const auto done = watch.Add([&] { ++done_cancelled; });
  watch.Add([&] { ++gone_cancelled; });
  done->Stop();
  for (int second = 0; second < 9; ++second) {
    clock.Advance(absl::Seconds(1));
    busy->Renew();
    watch.Tick();
  }
  EXPECT_EQ(idle_cancelled, 0);
  for (int second = 0; second < 20; ++second) {
    clock.Advance(absl::Seconds(1));
    busy->Renew();
    watch.Tick();
  }
  done->Expect(absl::Seconds(1));
  clock.Advance(absl::Milliseconds(999));
  watch.Tick();
  EXPECT_EQ(done_cancelled, 0);
  clock.Advance(absl::Milliseconds(1));
  watch.Tick();
  EXPECT_EQ(done_cancelled, 1);
  EXPECT_EQ(idle_cancelled, 1);
  EXPECT_EQ(busy_cancelled, 0);
  EXPECT_EQ(gone_cancelled, 0);
}

class ImpatientServerTest : public testing::Test {
 protected:
  static ServerOptions Options() {
    ServerOptions options = TestServerOptions("");
    options.peer_patience = absl::Milliseconds(300);
    return options;
  }

  const std::unique_ptr<Server> server_ = *Server::Start(Options());
  const std::unique_ptr<v1::TrainingService::Stub> training_ = v1::TrainingService::NewStub(
      grpc::CreateChannel(server_->grpc_address(), grpc::InsecureChannelCredentials()));
};

TEST_F(ImpatientServerTest, APullThatIsNotReadGivesItsParametersBack) {
  constexpr int64_t kElements = 16 << 20;  // More than what is under way on a connection.
  const auto run = server_->registry()->Create("r", SynchronousSpec(kElements, 1), "");
  ASSERT_TRUE(run.ok()) << run.status();
  grpc::ClientContext context;
  v1::PullRequest request;
  request.set_run("runs/r");
  request.set_view(v1::PARAMETER_VIEW_TRAINING);
  const auto reader = training_->Pull(&context, request);
  v1::ParameterChunk chunk;
  ASSERT_TRUE(reader->Read(&chunk));
  std::weak_ptr<const Snapshot> held;  // All who read this step share it.
  (*run)->RequestSnapshot(SnapshotContents::kTraining, [&](auto snapshot) { held = snapshot; });
  ASSERT_FALSE(held.expired());
  while (!held.expired()) std::this_thread::yield();
  while (reader->Read(&chunk)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(ImpatientServerTest, AStreamThatDoesNotJoinEnds) {
  grpc::ClientContext context;
  const auto stream = training_->Train(&context);
  v1::TrainResponse response;
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

}  // namespace
}  // namespace gradd
