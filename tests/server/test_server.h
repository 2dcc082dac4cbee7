#ifndef GRADD_TESTS_SERVER_TEST_SERVER_H_
#define GRADD_TESTS_SERVER_TEST_SERVER_H_

#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "core/run/run_registry.h"
#include "gradd/v1/run_service.grpc.pb.h"
#include "server/server.h"

namespace gradd {

inline ServerOptions TestServerOptions(const std::string& http = "127.0.0.1:0") {
  ServerOptions options;
  options.listen = "127.0.0.1:0";
  options.http = http;
  options.drain = absl::Seconds(5);
  return options;
}

// A server in this process, and a channel to it.
class TestWithServer : public testing::Test {
 protected:
  explicit TestWithServer(const std::string& http = "")
      : server_(*Server::Start(TestServerOptions(http))) {}

  void Create(const std::string& run_id, const v1::Run& spec) {
    const auto run = server_->registry()->Create(run_id, spec, "");
    ASSERT_TRUE(run.ok()) << run.status();
  }

  const std::unique_ptr<Server> server_;
  const std::shared_ptr<grpc::Channel> channel_ =
      grpc::CreateChannel(server_->grpc_address(), grpc::InsecureChannelCredentials());
  const std::unique_ptr<v1::RunService::Stub> runs_ = v1::RunService::NewStub(channel_);
};

}  // namespace gradd

#endif  // GRADD_TESTS_SERVER_TEST_SERVER_H_
