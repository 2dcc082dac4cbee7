#include "client/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/run/run_registry.h"
#include "server/server.h"
#include "tests/support/complete_push.h"
#include "tests/support/flaky_proxy.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

using testing::HasSubstr;

ServerOptions TestOptions() {
  ServerOptions options;
  options.listen = "127.0.0.1:0";
  options.http = "";
  options.drain = absl::Seconds(5);
  return options;
}

SessionOptions For(const std::string& server, const std::string& worker) {
  SessionOptions options;
  options.server = server;
  options.run = "r";
  options.worker = worker;
  options.initial_backoff = absl::Milliseconds(2);
  options.maximum_backoff = absl::Milliseconds(50);
  options.give_up_after = absl::Seconds(30);
  return options;
}

class SessionTest : public testing::Test {
 protected:
  std::shared_ptr<gradd::Run> Create(const v1::Run& spec) {
    return *server_->registry()->Create("r", spec, "");
  }
  std::unique_ptr<Session> Open(const std::string& worker) {
    auto session = Session::Open(For(server_->grpc_address(), worker));
    EXPECT_TRUE(session.ok()) << session.status();
    return *std::move(session);
  }
  const std::unique_ptr<Server> server_ = *Server::Start(TestOptions());
};

TEST_F(SessionTest, TrainsAModelOfSeveralBlocks) {
  constexpr int64_t kElements = 3 * kBlockElements + 12345;
  const auto run = Create(SynchronousSpec(kElements, 2));
  const auto train = [&](const std::string& worker, float value) {
    const auto session = Open(worker);
    EXPECT_EQ(session->parameter_count(), kElements);
    std::vector<float> gradient(kElements);
    std::iota(gradient.begin(), gradient.end(), value);
    std::vector<float> parameters(kElements);
    int64_t base = *session->Pull(absl::MakeSpan(parameters));
    for (int i = 0; i < 5; ++i) {
      const auto report = session->Push({base, 1, 0.5}, gradient, absl::MakeSpan(parameters)).get();
      ASSERT_TRUE(report.ok()) << report.status();
      EXPECT_EQ(report->outcome, v1::PUSH_OUTCOME_APPLIED);
      EXPECT_EQ(report->parameters_step, base + 1);
      base = report->parameters_step;
      for (const int64_t k : {int64_t{0}, int64_t{1}, kBlockElements, kElements - 1}) {
        ASSERT_EQ(parameters[static_cast<size_t>(k)], static_cast<float>(-base * (k + 2)));
      }
    }
    EXPECT_TRUE(session->Leave().ok());
  };
  std::thread other([&] { train("b", 1); });
  train("a", 3);
  other.join();
  // Parameters arrive while their step is still being completed.
  while (run->Progress().step() < 5) std::this_thread::yield();
}

// What session.h begins with, word for word but for the names of the run and the worker, and for
// ComputeGradient() and LoadNextBatch(): the gradient of (p - 3)^2 / 2.
absl::Status TrainAsTheHeaderSays(const std::string& server) {
  const auto compute_gradient = [](const std::vector<float>& parameters,
                                   absl::Span<float> gradient) {
    for (size_t i = 0; i < gradient.size(); ++i) gradient[i] = parameters[i] - 3;
    return 0.5 * gradient[0] * gradient[0];
  };
  constexpr int64_t kBatchSize = 32;

  gradd::SessionOptions options;
  options.server = server;
  options.run = "r";
  options.worker = "a";
  auto session = gradd::Session::Open(options);
  if (!session.ok()) return session.status();

  const auto count = static_cast<size_t>((*session)->parameter_count());
  std::vector<float> parameters(count);
  std::vector<float> gradient(count);
  absl::StatusOr<int64_t> base = (*session)->Pull(absl::MakeSpan(parameters));
  while (base.ok() && !(*session)->finished()) {
    const double loss = compute_gradient(parameters, absl::MakeSpan(gradient));
    auto answer = (*session)->Push({*base, kBatchSize, loss}, gradient, absl::MakeSpan(parameters));
    const absl::StatusOr<gradd::PushReport> report = answer.get();
    if (!report.ok() && (*session)->finished()) break;  // Another push was the last one.
    if (!report.ok()) return report.status();
    base = report->parameters_step;
  }
  if (!base.ok()) return base.status();
  return (*session)->Leave();
}

TEST_F(SessionTest, TheHeadersExampleTrains) {
  v1::Run spec = SynchronousSpec(1, 1);
  spec.set_max_steps(3);
  const auto run = Create(spec);
  const absl::Status trained = TrainAsTheHeaderSays(server_->grpc_address());
  EXPECT_TRUE(trained.ok()) << trained;
  EXPECT_EQ(run->Progress().step(), 3);
  EXPECT_EQ(run->Progress().loss(), 0);
}

TEST_F(SessionTest, PushReturnsWhileItIsInFlight) {
  Create(SynchronousSpec(1, 2));
  const auto a = Open("a");
  const auto b = Open("b");
  const std::vector<float> gradient = {1};
  auto future = a->Push({0, 1, 0}, gradient, {});
  EXPECT_EQ(future.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  EXPECT_TRUE(b->Push({0, 1, 0}, gradient, {}).get().ok());
  EXPECT_TRUE(future.get().ok());
}

TEST_F(SessionTest, ARejectedPushIsAnErrorAndTheSessionGoesOn) {
  constexpr int64_t kElements = 5 * kBlockElements;
  const auto run = Create(SynchronousSpec(kElements, 1));
  const auto a = Open("a");
  std::vector<float> gradient(kElements, 1);
  gradient[5] = std::numeric_limits<float>::quiet_NaN();
  const auto rejected = a->Push({0, 1, 0}, gradient, {}).get();
  EXPECT_EQ(rejected.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReasonOf(rejected.status()), "NON_FINITE");
  EXPECT_THAT(rejected.status().message(), HasSubstr("push 1 from worker \"a\": element 5 is nan"));
  EXPECT_EQ(a->next_sequence(), 1);
  gradient[5] = 1;
  const auto applied = a->Push({0, 1, 0}, gradient, {}).get();
  ASSERT_TRUE(applied.ok()) << applied.status();
  EXPECT_EQ(a->next_sequence(), 2);
  EXPECT_EQ(run->Progress().step(), 1);
}

TEST_F(SessionTest, NoProxyIsAskedForAServerOnThisHost) {
  setenv("http_proxy", "http://127.0.0.1:1", 1);
  setenv("no_proxy", "", 1);
  Create(SynchronousSpec(1, 1));
  const auto session = Session::Open(For(server_->grpc_address(), "a"));
  unsetenv("http_proxy");
  unsetenv("no_proxy");
  EXPECT_TRUE(session.ok()) << session.status();
}

TEST_F(SessionTest, EveryPushCountsOnceThoughItsConnectionKeepsBreaking) {
  constexpr int64_t kElements = 100'000;
  constexpr int kPushes = 60;
  const auto run = Create(AsynchronousSpec(kElements));
  FlakyProxy proxy(server_->grpc_address());
  // From inside the join to the middle of the second push.
  proxy.CutAfter(100);
  auto opened = std::thread([&] {
    while (proxy.connections() < 3) std::this_thread::yield();
    proxy.CutAfter(0);
  });
  auto session = Session::Open(For(proxy.address(), "a"));
  opened.join();
  ASSERT_TRUE(session.ok()) << session.status();
  const std::vector<float> gradient(kElements, 1);
  std::vector<float> parameters(kElements);
  int64_t base = 0;
  for (int i = 0; i < kPushes; ++i) {
    proxy.CutAfter(i % 3 == 2 ? 0 : 30'000 + 17'000 * (i % 37));
    if (i % 3 == 0) proxy.CutNow();
    auto future = (*session)->Push({base, 1, 0}, gradient, absl::MakeSpan(parameters));
    if (i % 5 == 0) proxy.CutNow();
    while (future.wait_for(std::chrono::milliseconds(30)) == std::future_status::timeout) {
      proxy.CutAfter(0);  // A limit below one push would never let it through.
    }
    const auto report = future.get();
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_EQ(report->sequence, i + 1);
    // Also of those whose first result was lost.
    EXPECT_EQ(report->outcome, v1::PUSH_OUTCOME_APPLIED);
    ASSERT_EQ(report->parameters_step, i + 1);
    ASSERT_EQ(parameters[0], -(i + 1));
    ASSERT_EQ(parameters[kElements - 1], -(i + 1));
    base = report->parameters_step;
  }
  EXPECT_EQ(run->Progress().step(), kPushes);
  EXPECT_GT((*session)->reconnects(), 10);
}

TEST_F(SessionTest, ARestartedWorkerGoesOnAtItsNextSequence) {
  Create(AsynchronousSpec(1));
  const std::vector<float> gradient = {1};
  {
    const auto first = Open("a");
    EXPECT_EQ(first->next_sequence(), 1);
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(first->Push({i, 1, 0}, gradient, {}).get().ok());
  }
  const auto second = Open("a");
  EXPECT_EQ(second->next_sequence(), 4);
  EXPECT_TRUE(second->Push({3, 1, 0}, gradient, {}).get().ok());
}

TEST_F(SessionTest, ErrorsThatNoRetryCanMendAreTold) {
  Create(SynchronousSpec(2, 1));
  SessionOptions options = For(server_->grpc_address(), "a");
  options.run = "nothing";
  EXPECT_EQ(Session::Open(options).status().code(), absl::StatusCode::kNotFound);
  options.run = "r";
  v1::Tensor& tensor = *options.layout.add_tensors();
  tensor.set_name("w");
  tensor.add_shape(3);
  EXPECT_THAT(Session::Open(options).status().message(),
              HasSubstr("tensor 0 \"w\" has shape [3], the run has [2]"));
  options.server = "nonsense";
  EXPECT_THAT(Session::Open(options).status().message(), HasSubstr("\"nonsense\""));
}

TEST_F(SessionTest, GivesUpInBoundedTimeWhereNobodyListens) {
  SessionOptions options = For("127.0.0.1:1", "a");
  options.give_up_after = absl::Milliseconds(100);
  const auto session = Session::Open(options);
  EXPECT_EQ(session.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(session.status().message(), HasSubstr("no session with 127.0.0.1:1 for 100ms"));
}

TEST_F(SessionTest, ADeletedRunFailsThePushInFlight) {
  const auto run = Create(SynchronousSpec(1, 2));
  const auto a = Open("a");
  const std::vector<float> gradient = {1};
  auto future = a->Push({0, 1, 0}, gradient, {});
  AwaitCompletePush(*run, "a");
  ASSERT_TRUE(server_->registry()->Delete("runs/r").ok());
  EXPECT_EQ(future.get().status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(a->Push({0, 1, 0}, gradient, {}).get().status().code(), absl::StatusCode::kNotFound);
}

TEST_F(SessionTest, AFinishedRunIsKnownAndRefusesFurtherPushes) {
  v1::Run spec = SynchronousSpec(1, 1);
  spec.set_max_steps(1);
  Create(spec);
  const auto a = Open("a");
  const std::vector<float> gradient = {1};
  EXPECT_FALSE(a->finished());
  ASSERT_TRUE(a->Push({0, 1, 0}, gradient, {}).get().ok());
  const auto refused = a->Push({1, 1, 0}, gradient, {}).get();
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(a->finished());
}

TEST_F(SessionTest, DestroyingASessionWithAPushInFlightDoesNotHang) {
  Create(SynchronousSpec(1, 2));
  auto a = Open("a");
  const std::vector<float> gradient = {1};
  auto future = a->Push({0, 1, 0}, gradient, {});
  a.reset();
  EXPECT_EQ(future.get().status().code(), absl::StatusCode::kCancelled);
}

// As the header says: Leave() does not wait for a step that may wait for others.
TEST_F(SessionTest, LeavingAnswersThePushInFlightAndTheNextSessionTellsWhetherItCounted) {
  const auto run = Create(SynchronousSpec(1, 2));
  auto a = Open("a");
  const auto b = Open("b");
  const std::vector<float> gradient = {1};
  auto future = a->Push({0, 1, 0}, gradient, {});
  AwaitCompletePush(*run, "a");
  EXPECT_TRUE(a->Leave().ok());
  ASSERT_EQ(future.wait_for(std::chrono::seconds(30)), std::future_status::ready);
  const absl::Status left = future.get().status();
  EXPECT_EQ(left.code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(left.message(), HasSubstr("push 1 of worker \"a\" was not answered"));
  EXPECT_EQ(a->Push({0, 1, 0}, gradient, {}).get().status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(a->Leave().ok());  // Once more says the same.
  // It was complete, so the step that the other one's push makes has both.
  std::vector<float> parameters(1);
  EXPECT_TRUE(b->Push({0, 1, 0}, gradient, absl::MakeSpan(parameters)).get().ok());
  EXPECT_EQ(parameters[0], -1);
  EXPECT_EQ(Open("a")->next_sequence(), 2);
}

TEST_F(SessionTest, LeavingARunThatWasDeletedSaysSo) {
  Create(SynchronousSpec(1, 1));
  const auto a = Open("a");
  ASSERT_TRUE(server_->registry()->Delete("runs/r").ok());
  const std::vector<float> gradient = {1};
  EXPECT_EQ(a->Push({0, 1, 0}, gradient, {}).get().status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(a->Leave().code(), absl::StatusCode::kNotFound);
}

TEST_F(SessionTest, AStoppingServerFinishesThePushesInFlight) {
  const auto run = Create(SynchronousSpec(1, 2));
  SessionOptions options = For(server_->grpc_address(), "a");
  options.give_up_after = absl::Milliseconds(500);
  const auto a = *Session::Open(options);
  options.worker = "b";
  const auto b = *Session::Open(options);
  const std::vector<float> gradient = {1};
  auto future = a->Push({0, 1, 0}, gradient, {});
  AwaitCompletePush(*run, "a");
  std::thread stopper([&] { server_->Stop(); });
  while (!server_->registry()->draining()) std::this_thread::yield();
  EXPECT_TRUE(b->Push({0, 1, 0}, gradient, {}).get().ok());
  EXPECT_TRUE(future.get().ok());
  stopper.join();
  EXPECT_EQ(a->Push({1, 1, 0}, gradient, {}).get().status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace gradd
