// Pushes that lose their memory to those of other runs, with the real server and the real client.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "client/session.h"
#include "core/run/run_registry.h"
#include "server/server.h"
#include "tests/support/complete_push.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

constexpr int64_t kResentElements = 3 * kBlockElements / 2;

class ResendTest : public testing::TestWithParam<PushEncoding::Kind> {
 protected:
  ResendTest() {
    ServerOptions options;
    options.listen = "127.0.0.1:0";
    options.http = "";
    options.drain = absl::Seconds(5);
    options.limits.max_staged_bytes = 2 * kResentElements * static_cast<int64_t>(sizeof(float));
    server_ = *Server::Start(options);
  }
  std::unique_ptr<Session> Open(const std::string& run, const std::string& worker) {
    SessionOptions options;
    options.server = server_->grpc_address();
    options.run = run;
    options.worker = worker;
    options.push_encoding.kind = GetParam();
    auto session = Session::Open(options);
    EXPECT_TRUE(session.ok()) << session.status();
    return *std::move(session);
  }
  static int64_t Resent(const gradd::Run& run) {
    return run.ReadMetrics().outcomes[v1::PUSH_OUTCOME_RESEND];
  }

  std::unique_ptr<Server> server_;
};

// The caller of Push() sees nothing of it.
TEST_P(ResendTest, TheClientPushesAgainByItself) {
  const auto paused =
      *server_->registry()->Create("paused", SynchronousSpec(kResentElements, 2), "");
  const auto other = *server_->registry()->Create("other", SynchronousSpec(kResentElements, 2), "");
  const std::vector<float> ones(kResentElements, 1);
  std::vector<float> parameters(kResentElements);
  const auto a = Open("paused", "a");
  const auto b = Open("paused", "b");
  auto of_a = a->Push({0, 1, 0.5}, ones, absl::MakeSpan(parameters));
  AwaitCompletePush(*paused, "a");
  ASSERT_TRUE(paused->Pause("ada").ok());
  const auto c = Open("other", "c");
  const auto d = Open("other", "d");
  auto of_c = c->Push({0, 1, 0.5}, ones, {});
  EXPECT_EQ(d->Push({0, 1, 0.5}, ones, {}).get()->outcome, v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(of_c.get()->outcome, v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(Resent(*paused), 1);
  ASSERT_TRUE(paused->Resume("ada").ok());
  EXPECT_EQ(b->Push({0, 1, 0.5}, ones, {}).get()->outcome, v1::PUSH_OUTCOME_APPLIED);
  const auto report = of_a.get();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->outcome, v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(report->sequence, 1);
  EXPECT_EQ(parameters, std::vector<float>(kResentElements, -1));
  EXPECT_EQ(other->Progress().step(), 1);
  EXPECT_TRUE(a->Leave().ok());
  EXPECT_TRUE(b->Leave().ok());
}

INSTANTIATE_TEST_SUITE_P(Encodings, ResendTest,
                         testing::Values(PushEncoding::Kind::kFloat32,
                                         PushEncoding::Kind::kBfloat16));

}  // namespace
}  // namespace gradd
