#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "client/session.h"
#include "core/base/error.h"
#include "core/run/run_registry.h"
#include "server/server.h"
#include "tests/support/flaky_proxy.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

constexpr int64_t kSharedElements = 3 * kBlockElements + 12345;

class SharedMemoryTest : public testing::Test {
 protected:
  void Start(int64_t max_shared_bytes = int64_t{1} << 30) {
    ServerOptions options;
    options.listen = "127.0.0.1:0";
    options.http = "";
    options.limits.max_shared_bytes = max_shared_bytes;
    server_ = *Server::Start(options);
  }
  std::unique_ptr<Session> Open(const std::string& worker, const std::string& address = "") {
    SessionOptions options;
    options.server = address.empty() ? server_->grpc_address() : address;
    options.run = "r";
    options.worker = worker;
    options.shared_memory = true;
    options.initial_backoff = absl::Milliseconds(2);
    options.maximum_backoff = absl::Milliseconds(50);
    auto session = Session::Open(std::move(options));
    EXPECT_TRUE(session.ok()) << session.status();
    return *std::move(session);
  }
  // The parameters of a run whose every gradient was `gradient`: SGD at learning rate 1.
  static void ExpectParameters(const Session& session, float value) {
    const absl::Span<const float> parameters = session.parameters();
    ASSERT_EQ(parameters.size(), static_cast<size_t>(kSharedElements));
    for (size_t i = 0; i < parameters.size(); ++i) ASSERT_EQ(parameters[i], value) << i;
  }
  static PushReport MustPush(Session* session, int64_t base, float gradient) {
    const absl::Span<float> values = session->gradient();
    std::fill(values.begin(), values.end(), gradient);
    auto report = session->Push({base, 1, 0.5}).get();
    EXPECT_TRUE(report.ok()) << report.status();
    return report.ok() ? *report : PushReport();
  }
  std::unique_ptr<Server> server_;
};

TEST_F(SharedMemoryTest, APushMovesNoDataAndTheParametersAppearWhereTheyWere) {
  Start();
  ASSERT_TRUE(server_->registry()->Create("r", SynchronousSpec(kSharedElements, 1), "").ok());
  const auto session = Open("a");
  int64_t base = *session->Pull();
  const float* const gradient = session->gradient().data();
  const float* const parameters = session->parameters().data();
  ExpectParameters(*session, 0);
  for (int step = 1; step <= 4; ++step) {
    const PushReport report = MustPush(session.get(), base, 2);
    EXPECT_TRUE(session->shares_memory());
    EXPECT_EQ(report.outcome, v1::PUSH_OUTCOME_APPLIED);
    base = report.parameters_step;
    EXPECT_EQ(base, step);
    ExpectParameters(*session, static_cast<float>(-2 * step));
  }
  EXPECT_EQ(session->gradient().data(), gradient);
  EXPECT_EQ(session->parameters().data(), parameters);
}

TEST_F(SharedMemoryTest, WhatAWorkerReadsStaysAsItIsWhileOthersGoOn) {
  Start();
  ASSERT_TRUE(server_->registry()->Create("r", AsynchronousSpec(kSharedElements), "").ok());
  const auto slow = Open("slow");
  const auto fast = Open("fast");
  MustPush(slow.get(), 0, 1);
  ExpectParameters(*slow, -1);
  for (int step = 1; step <= 5; ++step) {
    MustPush(fast.get(), step, 1);
    ExpectParameters(*fast, static_cast<float>(-1 - step));
    ExpectParameters(*slow, -1);
  }
  MustPush(slow.get(), 1, 1);
  ExpectParameters(*slow, -7);
}

TEST_F(SharedMemoryTest, WithoutRoomTheSameCallsUseTheStream) {
  Start(/*max_shared_bytes=*/kSharedElements * 4 - 1);
  ASSERT_TRUE(server_->registry()->Create("r", SynchronousSpec(kSharedElements, 1), "").ok());
  const auto session = Open("a");
  ASSERT_EQ(*session->Pull(), 0);
  MustPush(session.get(), 0, 3);
  EXPECT_FALSE(session->shares_memory());
  ExpectParameters(*session, -3);
}

TEST_F(SharedMemoryTest, VectorsOfTheCallersOwnWorkToo) {
  Start();
  ASSERT_TRUE(server_->registry()->Create("r", SynchronousSpec(kSharedElements, 1), "").ok());
  const auto session = Open("a");
  const std::vector<float> gradient(kSharedElements, 5);
  std::vector<float> parameters(kSharedElements);
  const auto report = session->Push({0, 1, 0}, gradient, absl::MakeSpan(parameters)).get();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(parameters.front(), -5);
  EXPECT_EQ(parameters.back(), -5);
}

TEST_F(SharedMemoryTest, SurvivesBrokenConnectionsWithoutLosingOrRepeatingAPush) {
  Start();
  const auto run = *server_->registry()->Create("r", SynchronousSpec(kSharedElements, 1), "");
  FlakyProxy proxy(server_->grpc_address());
  const auto session = Open("a", proxy.address());
  int64_t base = *session->Pull();
  for (int step = 1; step <= 10; ++step) {
    if (step % 2 == 0) proxy.CutNow();
    base = MustPush(session.get(), base, 1).parameters_step;
    ASSERT_EQ(base, step);
    ExpectParameters(*session, static_cast<float>(-step));
  }
  EXPECT_EQ(run->Progress().step(), 10);
  EXPECT_GE(session->reconnects(), 4);
}

TEST_F(SharedMemoryTest, RegionsGoWithTheirSessions) {
  Start();
  ASSERT_TRUE(server_->registry()->Create("r", SynchronousSpec(kSharedElements, 1), "").ok());
  {
    const auto session = Open("a");
    MustPush(session.get(), 0, 1);
    EXPECT_EQ(server_->registry()->shared_bytes(), RoundUpToPages(kSharedElements * 4));
    ASSERT_TRUE(session->Leave().ok());
  }
  while (server_->registry()->shared_bytes() != 0) std::this_thread::yield();
}

// The worker writes into its region while the server reads it. Whatever the server makes of it, a
// value that is not finite never gets into the parameters.
TEST_F(SharedMemoryTest, ARegionThatChangesWhileItIsReadDoesNoHarm) {
  Start();
  const auto run = *server_->registry()->Create("r", SynchronousSpec(kSharedElements, 1), "");
  const auto session = Open("a");
  MustPush(session.get(), 0, 0);  // From here on the gradient is in shared memory.
  const absl::Span<float> gradient = session->gradient();
  std::atomic<bool> stop{false};
  std::thread vandal([&] {
    for (size_t i = 0; !stop; i = (i + 7919) % gradient.size()) {
      volatile float* const value = &gradient[i];
      *value = std::numeric_limits<float>::quiet_NaN();
      *value = 0;
    }
  });
  int64_t base = 1;
  int applied = 0;
  int rejected = 0;
  for (int push = 0; push < 40; ++push) {
    const auto report = session->Push({base, 1, 0}).get();
    if (report.ok()) {
      ++applied;
      base = report->parameters_step;
    } else {
      ASSERT_EQ(ReasonOf(report.status()), "NON_FINITE") << report.status();
      ++rejected;
    }
    for (const float value : session->parameters()) ASSERT_EQ(value, 0);
  }
  stop = true;
  vandal.join();
  EXPECT_EQ(run->Progress().step(), 1 + applied);
  EXPECT_EQ(applied + rejected, 40);
}

}  // namespace
}  // namespace gradd
