#include "core/base/duration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace gradd {
namespace {

using testing::HasSubstr;

google::protobuf::Duration Message(int64_t seconds, int32_t nanos) {
  google::protobuf::Duration message;
  message.set_seconds(seconds);
  message.set_nanos(nanos);
  return message;
}

TEST(DurationTest, GoesThereAndBack) {
  for (const absl::Duration duration : {absl::ZeroDuration(), absl::Milliseconds(1500),
                                        absl::Hours(30), -absl::Milliseconds(1500)}) {
    EXPECT_EQ(FromProto(ToProto(duration)), duration);
  }
}

TEST(DurationTest, RefusesWhatIsMalformedOrOutOfRange) {
  const auto parse = [](int64_t seconds, int32_t nanos) {
    return ParseDuration("lease", Message(seconds, nanos), absl::Seconds(1), absl::Hours(1));
  };
  EXPECT_EQ(*parse(1, 0), absl::Seconds(1));
  EXPECT_EQ(*parse(3600, 0), absl::Hours(1));
  EXPECT_FALSE(parse(0, 999'999'999).ok());
  EXPECT_FALSE(parse(3600, 1).ok());
  EXPECT_FALSE(parse(2, -1).ok());
  EXPECT_FALSE(parse(2, std::numeric_limits<int32_t>::max()).ok());
  EXPECT_FALSE(parse(std::numeric_limits<int64_t>::max(), 0).ok());
  EXPECT_FALSE(parse(std::numeric_limits<int64_t>::min(), 0).ok());
  EXPECT_THAT(parse(7200, 0).status().message(), HasSubstr("lease: 2h is outside [1s, 1h]"));
}

}  // namespace
}  // namespace gradd
