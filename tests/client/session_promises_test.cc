// Whatever a server does, and in whatever order the calls of a session come: each call returns, and
// each future becomes ready, in bounded time or when the session ends.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "client/session.h"
#include "tests/client/fake_train_server.h"
#include "tests/support/flaky_proxy.h"

namespace gradd {
namespace {

using absl::StatusCode;
using testing::Contains;
using PushFuture = std::future<absl::StatusOr<PushReport>>;

// Several chunks; more than a connection takes that nobody reads from.
constexpr int64_t kManyElements = 1 << 20;
// Less than that: a connection that is stuck takes gRPC some seconds to give up.
constexpr int64_t kSomeElements = 5000;
// Only reached when something hangs.
constexpr std::chrono::seconds kPromisePatience{30};

SessionOptions PromiseOptions(const std::string& server) {
  SessionOptions options;
  options.server = server;
  options.run = "r";
  options.worker = "w";
  options.initial_backoff = absl::Milliseconds(1);
  options.maximum_backoff = absl::Milliseconds(4);
  options.give_up_after = absl::Milliseconds(150);
  options.leave_timeout = absl::Milliseconds(30);
  return options;
}

bool BecomesReady(const PushFuture& future) {
  return future.wait_for(kPromisePatience) == std::future_status::ready;
}

// What becomes of the connection once the session is open.
enum class Line { kGood, kHeld, kLost };

struct PromiseRow {
  const char* name;
  Manners manners;
  Line line;
  // Whether a push is answered while the session lasts, and how.
  std::optional<StatusCode> push;
  // What Leave() says.
  std::vector<StatusCode> leave;
};

std::ostream& operator<<(std::ostream& out, const PromiseRow& row) { return out << row.name; }

const PromiseRow kPromiseRows[] = {
    {"Answers", Manners::kAnswers, Line::kGood, StatusCode::kOk, {StatusCode::kOk}},
    {"Silent", Manners::kSilent, Line::kGood, {}, {StatusCode::kDeadlineExceeded}},
    {"Deaf", Manners::kDeaf, Line::kGood, {}, {StatusCode::kDeadlineExceeded}},
    {"Held", Manners::kAnswers, Line::kHeld, {}, {StatusCode::kDeadlineExceeded}},
    // The session is about to be regained all the time, and is not.
    {"Lost",
     Manners::kAnswers,
     Line::kLost,
     {},
     {StatusCode::kUnavailable, StatusCode::kDeadlineExceeded}},
    {"Deletes",
     Manners::kDeletes,
     Line::kGood,
     StatusCode::kNotFound,
     {StatusCode::kOk, StatusCode::kNotFound}},
    // The session is regained all the time, and lost again.
    {"Refuses",
     Manners::kRefuses,
     Line::kGood,
     {},
     {StatusCode::kOk, StatusCode::kUnavailable, StatusCode::kDeadlineExceeded}},
    {"Rambles",
     Manners::kRambles,
     Line::kGood,
     StatusCode::kInternal,
     {StatusCode::kOk, StatusCode::kInternal}},
};

// What the user does, or the server; the destructor comes last.
enum class Act { kPush, kLeave, kPull, kServerEnds };

class SessionPromisesTest : public testing::TestWithParam<PromiseRow> {
 protected:
  static void Play(const PromiseRow& row, const std::vector<Act>& acts) {
    const int64_t elements = row.line == Line::kGood ? kManyElements : kSomeElements;
    FakeTrainServer server(row.manners, elements);
    FlakyProxy proxy(server.address());
    auto opened = Session::Open(PromiseOptions(proxy.address()));
    ASSERT_TRUE(opened.ok()) << opened.status();
    std::unique_ptr<Session> session = *std::move(opened);
    if (row.line != Line::kGood) proxy.Hold();
    if (row.line == Line::kLost) proxy.CutNow();
    const std::vector<float> gradient(static_cast<size_t>(elements), 1);
    std::vector<float> parameters(gradient.size());
    PushFuture push;
    bool ended = false;
    bool left = false;
    for (const Act act : acts) {
      switch (act) {
        case Act::kPush:
          push = session->Push({0, 1, 0}, gradient, {});
          // A held connection hides that the server is gone.
          if (row.push || left || (ended && row.line == Line::kGood)) {
            EXPECT_TRUE(BecomesReady(push));
          }
          break;
        case Act::kLeave: {
          std::vector<StatusCode> allowed = row.leave;
          if (ended) {
            allowed.insert(allowed.end(),
                           {StatusCode::kOk, StatusCode::kUnavailable, StatusCode::kCancelled});
          }
          const absl::Status status = session->Leave();
          EXPECT_THAT(allowed, Contains(status.code())) << status;
          left = true;
          // Not only when the session is destroyed.
          if (push.valid()) {
            EXPECT_TRUE(BecomesReady(push));
          }
          break;
        }
        case Act::kPull:
          if (row.line == Line::kGood) {
            const auto step = session->Pull(absl::MakeSpan(parameters));
            EXPECT_EQ(step.ok(), !ended) << step.status();
          }
          break;
        case Act::kServerEnds:
          server.Stop();
          ended = true;
          break;
      }
    }
    session.reset();
    ASSERT_TRUE(BecomesReady(push));
    const absl::Status status = push.get().status();
    // By the server's answer, the end of the session, the server's end, or too late for any.
    std::vector<StatusCode> allowed = {StatusCode::kCancelled, StatusCode::kUnavailable,
                                       StatusCode::kFailedPrecondition};
    if (row.push) allowed.push_back(*row.push);
    EXPECT_THAT(allowed, Contains(status.code())) << status;
  }
};

TEST_P(SessionPromisesTest, AreKeptInEveryOrder) {
  std::vector<Act> acts = {Act::kPush, Act::kLeave, Act::kPull, Act::kServerEnds};
  do {
    std::string order;
    for (const Act act : acts) order += "PLpE"[static_cast<int>(act)];
    SCOPED_TRACE(order);
    Play(GetParam(), acts);
  } while (std::next_permutation(acts.begin(), acts.end()) && !HasFailure());
}

TEST_P(SessionPromisesTest, AreKeptByTheDestructor) { Play(GetParam(), {Act::kPush}); }

INSTANTIATE_TEST_SUITE_P(Table, SessionPromisesTest, testing::ValuesIn(kPromiseRows),
                         [](const auto& row) { return std::string(row.param.name); });

// The second push waits for the first, which nobody answers.
TEST(SessionPromiseTest, LeaveFromAnotherThreadReleasesAPushThatWaits) {
  FakeTrainServer server(Manners::kSilent, kManyElements);
  const auto session = *Session::Open(PromiseOptions(server.address()));
  const std::vector<float> gradient(kManyElements, 1);
  PushFuture first = session->Push({0, 1, 0}, gradient, {});
  std::thread second([&] {
    EXPECT_EQ(session->Push({0, 1, 0}, gradient, {}).get().status().code(),
              StatusCode::kFailedPrecondition);
  });
  EXPECT_EQ(session->Leave().code(), StatusCode::kDeadlineExceeded);
  second.join();
  ASSERT_TRUE(BecomesReady(first));
  EXPECT_THAT(first.get().status().message(),
              testing::HasSubstr("push 1 of worker \"w\" was not answered when the session left"));
}

// gRPC reads the gradient for as long as it holds the connection to be alive, so its caller has to
// wait for that; but Leave() does not.
TEST(SessionPromiseTest, LeaveDoesNotWaitForAStuckConnection) {
  FakeTrainServer server(Manners::kAnswers, kManyElements);
  FlakyProxy proxy(server.address(), /*receive_bytes=*/4096);
  const auto session = *Session::Open(PromiseOptions(proxy.address()));
  proxy.Hold();
  const std::vector<float> gradient(kManyElements, 1);
  PushFuture push = session->Push({0, 1, 0}, gradient, {});
  const absl::Time begin = absl::Now();
  EXPECT_EQ(session->Leave().code(), StatusCode::kDeadlineExceeded);
  EXPECT_LT(absl::Now() - begin, absl::Seconds(4));
  ASSERT_TRUE(BecomesReady(push));
  EXPECT_EQ(push.get().status().code(), StatusCode::kCancelled);
}

TEST(SessionPromiseTest, OpenRefusesToHaveFewerBatchesReadyThanNone) {
  SessionOptions options = PromiseOptions("127.0.0.1:1");
  options.batches_ahead = -1;
  const absl::Status status = Session::Open(std::move(options)).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "batches_ahead: -1, at least 0 expected");
}

TEST(SessionPromiseTest, OpenGivesUpOnAServerThatDoesNotWelcome) {
  FakeTrainServer server(Manners::kNoWelcome, kManyElements);
  const absl::Status status = Session::Open(PromiseOptions(server.address())).status();
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_THAT(status.message(), testing::HasSubstr("the server did not answer `join`"));
}

}  // namespace
}  // namespace gradd
