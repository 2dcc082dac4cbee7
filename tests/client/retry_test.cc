#include "client/retry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "core/base/error.h"

namespace gradd {
namespace {

using absl::StatusCode;
using testing::HasSubstr;

SessionOptions RetryOptions(absl::Duration give_up_after = absl::Seconds(10)) {
  SessionOptions options;
  options.server = "somewhere:1";
  options.initial_backoff = absl::Seconds(1);
  options.maximum_backoff = absl::Seconds(4);
  options.give_up_after = give_up_after;
  return options;
}

Retry RetryFrom(absl::Duration now, absl::Duration give_up_after = absl::Seconds(10)) {
  return Retry(RetryOptions(give_up_after), /*seed=*/1, now);
}

const absl::Status kServerGone = absl::UnavailableError("gone");

TEST(RetryTest, EveryEndIsEitherTriedAgainOrFinal) {
  const struct {
    StatusCode code;
    bool again;
  } rows[] = {
      {StatusCode::kOk, true},
      {StatusCode::kCancelled, true},
      {StatusCode::kUnknown, true},
      {StatusCode::kInvalidArgument, false},
      {StatusCode::kDeadlineExceeded, true},
      {StatusCode::kNotFound, false},
      {StatusCode::kAlreadyExists, true},
      {StatusCode::kPermissionDenied, false},
      {StatusCode::kResourceExhausted, true},
      {StatusCode::kFailedPrecondition, false},
      {StatusCode::kAborted, true},
      {StatusCode::kOutOfRange, false},
      {StatusCode::kUnimplemented, false},
      {StatusCode::kInternal, true},
      {StatusCode::kUnavailable, true},
      {StatusCode::kDataLoss, false},
      {StatusCode::kUnauthenticated, false},
  };
  for (const auto& row : rows) {
    const absl::Status why = row.code == StatusCode::kOk
                                 ? absl::OkStatus()
                                 : Error(row.code, "VERSION_LOST", "why it ended");
    SCOPED_TRACE(why.ToString());
    const Retry::Verdict verdict = RetryFrom(absl::ZeroDuration()).Ended(why, absl::Seconds(1));
    if (row.again) {
      EXPECT_TRUE(verdict.failure.ok());
      EXPECT_GE(verdict.at, absl::Seconds(1.5));
      EXPECT_LE(verdict.at, absl::Seconds(2));
      EXPECT_THAT(verdict.line,
                  HasSubstr(why.ok() ? "the server ended the stream" : "why it ended"));
    } else {
      EXPECT_EQ(verdict.failure, why);
    }
  }
}

TEST(RetryTest, ASessionThatANewerOneTookOverDoesNotTakeItBack) {
  const absl::Status taken = Error(StatusCode::kAborted, "SESSION_TAKEN_OVER", "newer");
  EXPECT_EQ(RetryFrom(absl::ZeroDuration()).Ended(taken, absl::ZeroDuration()).failure, taken);
}

TEST(RetryTest, TheBackoffGrowsAndIsShortAgainAfterASession) {
  Retry retry = RetryFrom(absl::ZeroDuration(), absl::Hours(1));
  absl::Duration now;
  const auto wait = [&] {
    const absl::Duration at = retry.Ended(kServerGone, now).at;
    return at - std::exchange(now, at);
  };
  EXPECT_LE(wait(), absl::Seconds(1));
  EXPECT_LE(wait(), absl::Seconds(2));
  EXPECT_GE(wait(), absl::Seconds(2));
  EXPECT_LE(wait(), absl::Seconds(4));
  retry.Welcomed();
  EXPECT_LE(wait(), absl::Seconds(1));
  EXPECT_EQ(retry.sessions(), 1);
}

TEST(RetryTest, GivesUpWhenThereWasNoSessionForSoLong) {
  Retry retry = RetryFrom(absl::Seconds(100));
  EXPECT_TRUE(retry.Ended(kServerGone, absl::Seconds(109)).failure.ok());
  const absl::Status failure = retry.Ended(kServerGone, absl::Seconds(110)).failure;
  EXPECT_EQ(failure.code(), StatusCode::kUnavailable);
  EXPECT_EQ(failure.message(), "no session with somewhere:1 for 10s: gone");
}

// Also where the next try would begin too late.
TEST(RetryTest, WaitsForNoTryThatComesAfterItsTime) {
  Retry retry = RetryFrom(absl::ZeroDuration());
  EXPECT_FALSE(retry.Ended(kServerGone, absl::Seconds(9.6)).failure.ok());
}

TEST(RetryTest, TheTimeWithoutASessionBeginsWithItsLoss) {
  Retry retry = RetryFrom(absl::ZeroDuration());
  retry.Welcomed();
  EXPECT_TRUE(retry.Ended(kServerGone, absl::Hours(5)).failure.ok());
  // A try that came to nothing does not begin it anew.
  EXPECT_TRUE(retry.Ended(kServerGone, absl::Hours(5) + absl::Seconds(5)).failure.ok());
  EXPECT_FALSE(retry.Ended(kServerGone, absl::Hours(5) + absl::Seconds(10)).failure.ok());
}

TEST(RetryTest, ATryWaitsForItsWelcomeNoLongerThanTheWholeMayTake) {
  const struct {
    double give_up_seconds;
    double now_seconds;
    double patience_seconds;
  } rows[] = {
      {300, 0, 20},                   // Not for ever: another address, or server, may answer.
      {300, 290, 10}, {300, 299, 5},  // What has begun gets a chance.
      {300, 310, 5},  {12, 0, 12},   {0.1, 0, 5},
  };
  for (const auto& row : rows) {
    const Retry retry = RetryFrom(absl::ZeroDuration(), absl::Seconds(row.give_up_seconds));
    const absl::Duration now = absl::Seconds(row.now_seconds);
    EXPECT_EQ(retry.WelcomeDue(now) - now, absl::Seconds(row.patience_seconds))
        << row.give_up_seconds << " " << row.now_seconds;
  }
}

}  // namespace
}  // namespace gradd
