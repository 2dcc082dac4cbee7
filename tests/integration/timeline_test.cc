// New timelines under workers that train, and pushes that are taken back, with the real server and
// the real client.

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "client/session.h"
#include "core/run/run_registry.h"
#include "gradd/v1/training_service.grpc.pb.h"
#include "server/server.h"
#include "tests/support/complete_push.h"
#include "tests/support/no_claims.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

using testing::HasSubstr;

constexpr int64_t kTimelineElements = 3 * kBlockElements / 2;

class TimelineIntegrationTest : public testing::Test {
 protected:
  TimelineIntegrationTest() {
    ServerOptions options;
    options.listen = "127.0.0.1:0";
    options.http = "";
    options.drain = absl::Seconds(5);
    server_ = *Server::Start(options);
  }
  std::shared_ptr<gradd::Run> Create(const v1::Run& spec) {
    return *server_->registry()->Create("r", spec, "");
  }
  std::unique_ptr<Session> Open(const std::string& worker, bool shared_memory = false) {
    SessionOptions options;
    options.server = server_->grpc_address();
    options.run = "r";
    options.worker = worker;
    options.shared_memory = shared_memory;
    auto session = Session::Open(options);
    EXPECT_TRUE(session.ok()) << session.status();
    return *std::move(session);
  }
  std::unique_ptr<v1::TrainingService::Stub> Stub() {
    return v1::TrainingService::NewStub(
        grpc::CreateChannel(server_->grpc_address(), grpc::InsecureChannelCredentials()));
  }

  std::unique_ptr<Server> server_;
};

class TimelinesUnderWorkersTest : public TimelineIntegrationTest,
                                  public testing::WithParamInterface<bool> {
 protected:
  // A worker as session.h shows it. Its gradient is the timeline of the parameters that it has.
  void Train(const std::string& worker, int64_t* rolled_back) {
    const auto session = Open(worker, GetParam());
    std::vector<float> gradient(kTimelineElements);
    std::vector<float> parameters(kTimelineElements);
    absl::StatusOr<int64_t> base =
        GetParam() ? session->Pull() : session->Pull(absl::MakeSpan(parameters));
    while (base.ok() && !session->finished()) {
      const absl::Span<float> out = GetParam() ? session->gradient() : absl::MakeSpan(gradient);
      std::fill(out.begin(), out.end(), static_cast<float>(session->timeline()));
      auto answer = GetParam()
                        ? session->Push({*base, 1, 0.5})
                        : session->Push({*base, 1, 0.5}, gradient, absl::MakeSpan(parameters));
      const absl::StatusOr<PushReport> report = answer.get();
      if (!report.ok() && session->finished()) break;
      ASSERT_TRUE(report.ok()) << report.status();
      if (report->outcome == v1::PUSH_OUTCOME_ROLLED_BACK) ++*rolled_back;
      ASSERT_GE(report->parameters_step, 0);
      base = report->parameters_step;
    }
    EXPECT_TRUE(session->Leave().ok());
  }
};

TEST_P(TimelinesUnderWorkersTest, TheyGoOnAndNothingOfAnotherTimelineIsApplied) {
  v1::Run spec = SynchronousSpec(kTimelineElements, 2);
  spec.set_max_steps(40);
  const auto run = Create(spec);
  int64_t rolled_back[2] = {0, 0};
  std::thread a([&] { Train("a", &rolled_back[0]); });
  std::thread b([&] { Train("b", &rolled_back[1]); });
  for (const int64_t step : {5, 15, 25}) {
    while (run->Progress().step() < step) std::this_thread::yield();
    ASSERT_TRUE(run->BeginTimeline("ada").ok());
  }
  a.join();
  b.join();
  // A step of timeline t moves by -t.
  const v1::Run described = run->Describe(gradd::Run::Detail::kFull);
  EXPECT_EQ(described.progress().step(), 40);
  EXPECT_EQ(described.timeline(), 4U);
  float expected = -4 * 40;
  for (const v1::Change& change : described.history()) {
    if (change.field() == "timeline") expected += static_cast<float>(change.step());
  }
  std::vector<float> parameters(kTimelineElements);
  ASSERT_TRUE(Open("c")->Pull(absl::MakeSpan(parameters)).ok());
  EXPECT_EQ(parameters, std::vector<float>(kTimelineElements, expected));
  EXPECT_GT(rolled_back[0] + rolled_back[1], 0);
  AwaitNoClaims(*server_->registry());
}

INSTANTIATE_TEST_SUITE_P(SharedMemory, TimelinesUnderWorkersTest, testing::Bool());

TEST_F(TimelineIntegrationTest, AStreamThatNeverSentOneEnds) {
  const auto run = Create(SynchronousSpec(1, 2));
  const auto stub = Stub();
  grpc::ClientContext context;
  const auto stream = stub->Train(&context);
  v1::TrainRequest request;
  request.mutable_join()->set_run("runs/r");
  request.mutable_join()->set_worker("raw");
  ASSERT_TRUE(stream->Write(request));
  v1::TrainResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.welcome().timeline(), 1U);
  EXPECT_EQ(response.welcome().run_uid(), run->Describe(gradd::Run::Detail::kSummary).uid());
  request.Clear();
  v1::Push& push = *request.mutable_push();
  push.mutable_header()->set_sequence(1);
  push.mutable_header()->set_examples(1);
  push.mutable_chunk()->set_data(std::string(4, '\0'));
  push.mutable_commit();
  ASSERT_TRUE(stream->Write(request));
  AwaitCompletePush(*run, "raw");
  ASSERT_TRUE(run->BeginTimeline("ada").ok());
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.push_result().outcome(), v1::PUSH_OUTCOME_ROLLED_BACK);
  EXPECT_FALSE(stream->Read(&response));
  const grpc::Status end = stream->Finish();
  EXPECT_EQ(end.error_code(), grpc::StatusCode::ABORTED);
  EXPECT_THAT(end.error_message(), HasSubstr("began timeline 2"));
  EXPECT_THAT(end.error_message(), HasSubstr("on timeline 1"));
}

TEST_F(TimelineIntegrationTest, TheFirstChunkOfAPullSaysOfWhichTimelineItIs) {
  const auto run = Create(SynchronousSpec(kTimelineElements, 1));
  ASSERT_TRUE(run->BeginTimeline("ada").ok());
  grpc::ClientContext context;
  v1::PullRequest request;
  request.set_run("runs/r");
  const auto reader = Stub()->Pull(&context, request);
  v1::ParameterChunk chunk;
  ASSERT_TRUE(reader->Read(&chunk));
  EXPECT_EQ(chunk.timeline(), 2U);
  EXPECT_EQ(chunk.run_uid(), run->Describe(gradd::Run::Detail::kSummary).uid());
  ASSERT_TRUE(reader->Read(&chunk));
  EXPECT_EQ(chunk.timeline(), 0U);
  EXPECT_EQ(chunk.run_uid(), "");
  EXPECT_FALSE(reader->Read(&chunk));
}

TEST_F(TimelineIntegrationTest, APushThatIsTakenBackLeavesNoTrace) {
  const auto run = Create(SynchronousSpec(kTimelineElements, 2));
  const auto a = Open("a");
  const auto b = Open("b");
  const std::vector<float> wrong(kTimelineElements, 100);
  const std::vector<float> right(kTimelineElements, 1);
  std::vector<float> parameters(kTimelineElements);
  a->AbortPush();  // There is none.
  auto taken_back = a->Push({0, 1, 0.5}, wrong, absl::MakeSpan(parameters));
  AwaitCompletePush(*run, "a");
  a->AbortPush();
  const absl::StatusOr<PushReport> report = taken_back.get();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->outcome, v1::PUSH_OUTCOME_ABORTED);
  EXPECT_EQ(report->parameters_step, -1);
  EXPECT_EQ(a->next_sequence(), 1);
  AwaitNoClaims(*server_->registry());
  auto applied = a->Push({0, 1, 0.5}, right, absl::MakeSpan(parameters));
  EXPECT_EQ(b->Push({0, 1, 0.5}, right, {}).get()->outcome, v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(applied.get()->outcome, v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(parameters, std::vector<float>(kTimelineElements, -1));
  a->AbortPush();
  EXPECT_EQ(a->next_sequence(), 2);
}

}  // namespace
}  // namespace gradd
