#include "core/base/caller_shares.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "core/base/error.h"

namespace gradd {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class CallerSharesTest : public ::testing::Test {
 protected:
  // True if it is there now.
  bool Take(const std::string& caller, int64_t count = 1) {
    auto ticket = shares_.Take(caller, count);
    if (ticket.ok()) tickets_.push_back(*std::move(ticket));
    return ticket.ok();
  }

  CallerShares shares_{{"watches", "max-watches", /*total=*/10, /*percent=*/30}};
  std::vector<CallerShares::Ticket> tickets_;
};

TEST_F(CallerSharesTest, WhatOneCallerHasDoesNotLockOutAnother) {
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Take("a"));
  EXPECT_FALSE(Take("a"));
  EXPECT_TRUE(Take("b"));
  EXPECT_EQ(shares_.taken(), 4);
}

TEST_F(CallerSharesTest, WhatIsGivenBackCanBeTakenAgain) {
  EXPECT_TRUE(Take("a", 3));
  EXPECT_FALSE(Take("a"));
  tickets_.clear();
  EXPECT_EQ(shares_.taken(), 0);
  EXPECT_TRUE(Take("a", 2));
  EXPECT_FALSE(Take("a", 2));
  EXPECT_TRUE(Take("a", 1));
}

TEST_F(CallerSharesTest, AllTogetherHaveALimitToo) {
  for (const char* const caller : {"a", "b", "c"}) EXPECT_TRUE(Take(caller, 3));
  EXPECT_FALSE(Take("d", 2));
  EXPECT_TRUE(Take("d", 1));
  EXPECT_FALSE(Take("e"));
}

TEST_F(CallerSharesTest, ErrorsNameTheLimitAndItsFlag) {
  EXPECT_TRUE(Take("ipv4:10.0.0.1", 2));
  const absl::Status mine = shares_.Take("ipv4:10.0.0.1", 2).status();
  EXPECT_EQ(mine.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(mine), "TOO_MANY_FOR_CALLER");
  EXPECT_EQ(mine.message(),
            "caller ipv4:10.0.0.1 has 2 watches and asks for 2 more; one caller may have 3, 30 % "
            "(--caller-percent) of the server's 10 (--max-watches)");
  for (const char* const caller : {"b", "c"}) EXPECT_TRUE(Take(caller, 3));
  const absl::Status all = shares_.Take("d", 3).status();
  EXPECT_EQ(ReasonOf(all), "TOO_MANY_IN_ALL");
  EXPECT_THAT(std::string(all.message()),
              AllOf(HasSubstr("8 watches"), HasSubstr("limit of 10 (--max-watches)")));
}

TEST_F(CallerSharesTest, EverybodyMayHaveOne) {
  CallerShares few({"pulls", "max-pulls", /*total=*/2, /*percent=*/10});
  const auto ticket = few.Take("a");
  EXPECT_TRUE(ticket.ok());
  EXPECT_FALSE(few.Take("a").ok());
}

TEST(CallerSharesLifeTest, TicketsMayOutliveTheShares) {
  CallerShares::Ticket ticket;
  {
    CallerShares shares({"pulls", "max-pulls", 2, 50});
    ticket = *shares.Take("a");
  }
  ticket.reset();
}

}  // namespace
}  // namespace gradd
