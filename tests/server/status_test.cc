#include "server/status.h"

#include <gmock/gmock.h>
#include <grpcpp/support/server_callback.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/base/utf8.h"

namespace gradd {
namespace {

using testing::EndsWith;
using testing::SizeIs;
using testing::StartsWith;

std::string MessageOf(const std::string& message) {
  grpc::CallbackServerContext context;
  return ToGrpcStatus(InvalidArgument("WRONG", message), &context).error_message();
}

TEST(ToGrpcStatusTest, MessagesOfUpTo4000BytesStayAsTheyAre) {
  for (const size_t size : {0, 1, 3999, 4000}) {
    const std::string message(size, 'x');
    EXPECT_EQ(MessageOf(message), message);
  }
}

TEST(ToGrpcStatusTest, OfLongerOnesTheMiddleIsLeftOut) {
  const std::string message =
      MessageOf(absl::StrCat("found ", std::string(9000, 'x'), " expected a number"));
  EXPECT_THAT(message, SizeIs(4000));
  EXPECT_THAT(message, StartsWith("found xxx"));
  EXPECT_THAT(message, EndsWith("xxx expected a number"));
  EXPECT_THAT(message, testing::HasSubstr("xxx ... xxx"));
}

TEST(ToGrpcStatusTest, WhatIsEncodedCountsAsItTravelsAndCharactersStayWhole) {
  for (int before = 0; before < 3; ++before) {
    std::string snowmen(static_cast<size_t>(before), 'a');
    for (int i = 0; i < 1000; ++i) snowmen += "\xe2\x98\x83";  // Nine bytes each.
    const std::string message = MessageOf(snowmen);
    EXPECT_LE(message.size(), 4000U / 3 + 10);
    EXPECT_GT(message.size(), 1200U);
    EXPECT_TRUE(IsPrintableUtf8(message));
  }
}

}  // namespace
}  // namespace gradd
