#include "server/address.h"

#include <gtest/gtest.h>

#include <string>

namespace gradd {
namespace {

std::string ParseError(const char* address, int lowest_port = 0) {
  return std::string(ParseHostPort("http", address, lowest_port).status().message());
}

TEST(AddressTest, TakesHostAndPortApart) {
  EXPECT_EQ(ParseHostPort("http", "localhost:0")->host, "localhost");
  EXPECT_EQ(ParseHostPort("http", "0.0.0.0:65535")->port, 65535);
  EXPECT_EQ(ParseHostPort("http", "[::1]:80")->host, "[::1]");
}

TEST(AddressTest, RefusesPortsThatAreNoneNamingOptionValueAndRange) {
  EXPECT_EQ(ParseError("127.0.0.1:116000"),
            "--http: port 116000 of \"127.0.0.1:116000\" is outside [0, 65535]");
  EXPECT_EQ(ParseError("h:-1"), "--http: port -1 of \"h:-1\" is outside [0, 65535]");
  EXPECT_EQ(ParseError("h:0", 1), "--http: port 0 of \"h:0\" is outside [1, 65535]");
  for (const char* address : {"", ":", "80", ":80", "h:", "h:http", "h:8x",
                              "h:99999999999999999999", "unix:/a", "unix:80"}) {
    EXPECT_EQ(ParseError(address),
              "--http: \"" + std::string(address) + "\" is not of the form HOST:PORT");
  }
}

TEST(AddressTest, KnowsTheFormsOfUnixAddresses) {
  EXPECT_EQ(UnixPath("unix:/run/s"), "/run/s");
  EXPECT_EQ(UnixPath("unix:///run/s"), "/run/s");
  EXPECT_EQ(UnixPath("unix:s"), "s");
  EXPECT_EQ(UnixPath("unix:"), "");
  EXPECT_EQ(UnixPath("h:1"), "");
}

}  // namespace
}  // namespace gradd
