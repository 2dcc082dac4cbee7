#include "client/channel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "core/base/error.h"

namespace gradd {
namespace {

TEST(MakeChannelTest, RefusesWhatIsNoAddressSayingWhatIsExpected) {
  for (const char* server : {"", ":", "host", "host:", ":50051", "host:0", "host:65536", "host:-1",
                             "host:http", "unix:", "host:1x"}) {
    const auto channel = MakeChannel(server);
    EXPECT_EQ(ReasonOf(channel.status()), "ADDRESS_INVALID") << server;
    EXPECT_THAT(channel.status().message(), testing::HasSubstr("HOST:PORT or unix:PATH"));
  }
}

TEST(MakeChannelTest, SaysThatAnAddressIsNoUrl) {
  for (const char* server :
       {"http://127.0.0.1:50051", "https://host:1", "grpc://h:1/", "http://h"}) {
    EXPECT_THAT(MakeChannel(server).status().message(),
                testing::HasSubstr("it is no URL: leave out what begins it, as http://"))
        << server;
  }
  const auto channel = MakeChannel(std::string(9000, 'x'));
  EXPECT_LT(channel.status().message().size(), 200u);
}

TEST(MakeChannelTest, TakesHostsAddressesAndSockets) {
  for (const char* server : {"localhost:1", "127.0.0.1:65535", "[::1]:50051", "unix:/tmp/socket"}) {
    EXPECT_TRUE(MakeChannel(server).ok()) << server;
  }
}

TEST(FromGrpcStatusTest, KeepsCodeMessageAndReason) {
  EXPECT_TRUE(FromGrpcStatus(grpc::Status::OK, "").ok());
  const absl::Status status =
      FromGrpcStatus(grpc::Status(grpc::StatusCode::NOT_FOUND, "no such run"), "RUN_NOT_FOUND");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(), "no such run");
  EXPECT_EQ(ReasonOf(status), "RUN_NOT_FOUND");
}

}  // namespace
}  // namespace gradd
