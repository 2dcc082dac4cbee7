#include "server/server.h"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

#include "gradd/v1/training_service.grpc.pb.h"
#include "server/memory_limit.h"
#include "server/probe.h"
#include "tests/server/test_server.h"
#include "tests/support/http_get.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

using testing::HasSubstr;

TEST(ValidateOptionsTest, NamesOptionValueAndRange) {
  const auto error = [](auto change) {
    ServerOptions options = TestServerOptions();
    change(&options);
    return std::string(ValidateOptions(options).message());
  };
  EXPECT_EQ(error([](ServerOptions*) {}), "");
  EXPECT_EQ(error([](ServerOptions* o) { o->listen = ""; }),
            "--listen: empty, HOST:PORT or unix:PATH expected");
  EXPECT_EQ(error([](ServerOptions* o) { o->listen = "127.0.0.1:116000"; }),
            "--listen: port 116000 of \"127.0.0.1:116000\" is outside [0, 65535]");
  EXPECT_EQ(
      error([](ServerOptions* o) { o->listen = "unix:/" + std::string(200, 'x'); }).substr(0, 14),
      "--listen: unix");
  EXPECT_EQ(error([](ServerOptions* o) { o->http = "unix:/run/gradd"; }),
            "--http: \"unix:/run/gradd\" is not of the form HOST:PORT");
  EXPECT_EQ(error([](ServerOptions* o) { o->http = "h:http"; }),
            "--http: \"h:http\" is not of the form HOST:PORT");
  EXPECT_EQ(error([](ServerOptions* o) { o->limits.max_runs = 0; }),
            "--max-runs: 0 is outside [1, 100000]");
  EXPECT_EQ(error([](ServerOptions* o) { o->limits.max_workers_per_run = 100'001; }),
            "--max-workers-per-run: 100001 is outside [1, 100000]");
  EXPECT_EQ(error([](ServerOptions* o) { o->limits.max_parameters_per_run = -5; }),
            "--max-parameters-per-run: -5 is outside [1, 1099511627776]");
  EXPECT_EQ(error([](ServerOptions* o) { o->limits.max_memory_bytes = -1; }),
            "--max-memory-bytes: -1 is outside [0, 1125899906842624]");
  EXPECT_EQ(error([](ServerOptions* o) { o->limits.max_staged_bytes = -1; }),
            "--max-staged-bytes: -1 is outside [0, 1125899906842624]");
  EXPECT_EQ(error([](ServerOptions* o) { o->limits.max_state_bytes = -1; }),
            "--max-state-bytes: -1 is outside [0, 1125899906842624]");
  EXPECT_EQ(error([](ServerOptions* o) { o->threads = 1025; }),
            "--threads: 1025 is outside [0, 1024]");
  EXPECT_EQ(error([](ServerOptions* o) { o->drain = absl::Seconds(-1); }),
            "--drain-seconds: -1 is outside [0, 3600]");
}

TEST(ServerStartTest, SaysWhichAddressCannotBeHad) {
  const auto first = Server::Start(TestServerOptions());
  ASSERT_TRUE(first.ok()) << first.status();

  ServerOptions same_grpc = TestServerOptions("");
  same_grpc.listen = (*first)->grpc_address();
  EXPECT_THAT(Server::Start(same_grpc).status().message(),
              HasSubstr("--listen: cannot listen on " + same_grpc.listen));

  ServerOptions same_http = TestServerOptions();
  same_http.http = (*first)->http_address();
  EXPECT_THAT(Server::Start(same_http).status().message(),
              HasSubstr("--http: cannot listen on " + same_http.http));

  for (const char* wrong : {"nonsense", ":80", "host:"}) {
    ServerOptions options = TestServerOptions();
    options.http = wrong;
    EXPECT_EQ(Server::Start(options).status().code(), absl::StatusCode::kInvalidArgument) << wrong;
  }
}

TEST(ServerStartTest, MemoryIsLimitedToWhatThereIsUnlessToldOtherwise) {
  ServerOptions options = TestServerOptions("");
  const auto limits = [&options] {
    return (*Server::Start(options))->registry()->budget().limits();
  };
  const int64_t there = MemoryForRuns(ReadMemoryLimits());
  EXPECT_LT(there, ReadMemoryLimits().memory_bytes);
  EXPECT_NEAR(static_cast<double>(limits().total), static_cast<double>(there), 64 << 20);
  EXPECT_EQ(limits().of(MemoryUse::kState), limits().total);
  EXPECT_EQ(limits().of(MemoryUse::kStaging), limits().total / 2);
  options.limits.max_memory_bytes = 100'000;
  EXPECT_EQ(limits().total, 100'000);
  EXPECT_EQ(limits().of(MemoryUse::kShared), 25'000);
  options.limits.max_state_bytes = 1234;
  options.limits.max_staged_bytes = 5678;
  EXPECT_EQ(limits().of(MemoryUse::kState), 1234);
  EXPECT_EQ(limits().of(MemoryUse::kStaging), 5678);
}

TEST(ServerStartTest, AFailedStartLeavesItsAddressesFree) {
  ServerOptions options = TestServerOptions();
  options.ready_file = "/nowhere/at/all/ready";
  const auto failed = Server::Start(options);
  EXPECT_THAT(failed.status().message(), HasSubstr("--ready-file: cannot write /nowhere"));
  EXPECT_TRUE(Server::Start(TestServerOptions()).ok());
}

TEST(ServerStartTest, TheReadyFileSaysWhereItListens) {
  ServerOptions options = TestServerOptions();
  options.ready_file = testing::TempDir() + "/gradd-ready";
  const auto server = Server::Start(options);
  ASSERT_TRUE(server.ok()) << server.status();
  std::ostringstream text;
  text << std::ifstream(options.ready_file).rdbuf();
  EXPECT_EQ(text.str(),
            "grpc=" + (*server)->grpc_address() + "\nhttp=" + (*server)->http_address() + "\n");
  std::remove(options.ready_file.c_str());
}

TEST(ServerStartTest, WhatIsNoFileIsNotReplacedByTheReadyFile) {
  ServerOptions options = TestServerOptions();
  options.ready_file = testing::TempDir() + "/gradd-ready-link";
  std::filesystem::create_symlink("/dev/null", options.ready_file);
  EXPECT_EQ(Server::Start(options).status().message(),
            "--ready-file: " + options.ready_file + " exists and is not a regular file");
  EXPECT_TRUE(std::filesystem::is_symlink(options.ready_file));
  std::filesystem::remove(options.ready_file);
}

TEST(ServerStartTest, TheReadyFileIsThereWhileTheServerServes) {
  ServerOptions options = TestServerOptions("");
  options.ready_file = testing::TempDir() + "/gradd-ready-while";
  std::ofstream(options.ready_file) << "grpc=of a killed server\n";
  ServerOptions taken = options;
  const auto other = Server::Start(TestServerOptions(""));
  taken.listen = (*other)->grpc_address();
  EXPECT_FALSE(Server::Start(taken).ok());
  EXPECT_FALSE(std::filesystem::exists(options.ready_file));
  const auto server = Server::Start(options);
  EXPECT_TRUE(std::filesystem::exists(options.ready_file));
  (*server)->Stop();
  EXPECT_FALSE(std::filesystem::exists(options.ready_file));
}

class UnixSocketTest : public testing::Test {
 protected:
  UnixSocketTest() { options_.listen = "unix:" + path_; }
  ~UnixSocketTest() override { std::filesystem::remove(path_); }

  bool Serves() const {
    const auto stub = v1::RunService::NewStub(
        grpc::CreateChannel(options_.listen, grpc::InsecureChannelCredentials()));
    grpc::ClientContext context;
    v1::ListRunsResponse response;
    return stub->ListRuns(&context, {}, &response).ok();
  }

  const std::string path_ = testing::TempDir() + "/gradd-" + std::to_string(getpid()) + ".sock";
  ServerOptions options_ = TestServerOptions("");
};

TEST_F(UnixSocketTest, ServesLikeAPort) {
  const auto server = Server::Start(options_);
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_EQ((*server)->grpc_address(), options_.listen);
  EXPECT_TRUE(Serves());
  const absl::Status probed = ProbeHealth(options_.listen);
  EXPECT_TRUE(probed.ok()) << probed;
}

TEST_F(UnixSocketTest, IsNotTakenFromAServerThatListens) {
  auto first = Server::Start(options_);
  ASSERT_TRUE(first.ok()) << first.status();
  const absl::Status second = Server::Start(options_).status();
  EXPECT_EQ(second.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(second.message(), HasSubstr(path_ + ": address in use"));
  EXPECT_TRUE(Serves());
  (*first)->Stop();
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(UnixSocketTest, IsReusedWhenItsServerWasKilled) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path_.copy(address.sun_path, sizeof(address.sun_path) - 1);
  const int killed = socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(bind(killed, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  close(killed);
  const auto server = Server::Start(options_);
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_TRUE(Serves());
}

TEST_F(UnixSocketTest, IsNotRemovedByAServerThatHasLostIt) {
  auto first = Server::Start(options_);
  std::filesystem::remove(path_);
  const auto second = Server::Start(options_);
  ASSERT_TRUE(second.ok()) << second.status();
  (*first)->Stop();
  EXPECT_TRUE(Serves());
}

TEST_F(UnixSocketTest, IsRefusedWhereAFileOfAnotherKindIs) {
  std::ofstream(path_) << "precious";
  EXPECT_THAT(Server::Start(options_).status().message(),
              HasSubstr(path_ + " exists and is not a socket"));
  EXPECT_TRUE(std::filesystem::exists(path_));
}

class ServerTest : public TestWithServer {
 protected:
  ServerTest() : TestWithServer("127.0.0.1:0") {}

  std::string Get(const std::string& page) const {
    const absl::StatusOr<std::string> answer = HttpGet(server_->http_address(), page);
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.value_or("");
  }
};

TEST_F(ServerTest, PagesAreHealthReadinessAndMetrics) {
  EXPECT_THAT(Get("/healthz"), HasSubstr("200 OK"));
  EXPECT_THAT(Get("/readyz"), HasSubstr("ready\n"));
  EXPECT_THAT(Get("/metrics"), HasSubstr("gradd_build_info"));
  EXPECT_THAT(Get("/secrets"), HasSubstr("404 Not Found"));
  const absl::Status probed = ProbeHealth(server_->grpc_address());
  EXPECT_TRUE(probed.ok()) << probed;
}

TEST_F(ServerTest, AStoppingServerIsAliveButNotReady) {
  server_->registry()->Drain();
  EXPECT_THAT(Get("/healthz"), HasSubstr("200 OK"));
  EXPECT_THAT(Get("/readyz"), HasSubstr("503 Service Unavailable"));
}

TEST_F(ServerTest, StopsWhilePullsAndWatchesAreOpen) {
  Create("r", SynchronousSpec(3 * kBlockElements, 1));
  grpc::ClientContext watch_context;
  v1::WatchRunRequest watch;
  watch.set_name("runs/r");
  const auto watching = runs_->WatchRun(&watch_context, watch);
  v1::RunProgress progress;
  ASSERT_TRUE(watching->Read(&progress));
  // A pull whose chunks nobody reads.
  const auto training = v1::TrainingService::NewStub(channel_);
  grpc::ClientContext pull_context;
  v1::PullRequest pull;
  pull.set_run("runs/r");
  const auto pulling = training->Pull(&pull_context, pull);
  std::thread stopper([this] { server_->Stop(); });
  const grpc::Status watched = watching->Finish();
  EXPECT_EQ(watched.error_code(), grpc::StatusCode::UNAVAILABLE) << watched.error_message();
  stopper.join();
}

TEST(ProbeHealthTest, AServerThatTakesConnectionsAndAnswersNothingIsNotHealthy) {
  const int silent = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(bind(silent, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(silent, 8), 0);
  ASSERT_EQ(getsockname(silent, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const std::string port = std::to_string(ntohs(address.sin_port));
  const absl::Status probed = ProbeHealth("127.0.0.1:" + port);
  EXPECT_EQ(probed.code(), absl::StatusCode::kUnavailable) << probed;
  EXPECT_THAT(probed.message(), HasSubstr("127.0.0.1:" + port));
  close(silent);
}

TEST(ProbeHealthTest, SaysWhatIsWrong) {
  EXPECT_EQ(ProbeHealth("nonsense").code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ProbeHealth("127.0.0.1:0").code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(ProbeHealth("127.0.0.1:1").message(), HasSubstr("cannot connect to 127.0.0.1:1"));
}

}  // namespace
}  // namespace gradd
