#include "client/session_exchange.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <thread>
#include <utility>

namespace gradd {
namespace {

bool Ready(const std::future<absl::StatusOr<PushReport>>& future) {
  return future.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
}

class SessionExchangeTest : public testing::Test {
 protected:
  // As a user's thread orders a push.
  std::future<absl::StatusOr<PushReport>> Push() {
    PushOrder order;
    order.loan = std::make_shared<PushLoan>();
    std::future<absl::StatusOr<PushReport>> future = order.loan->promise.get_future();
    if (exchange_.Push(std::move(order))) exchange_.Wake();
    return future;
  }
  // As the session's thread takes a push up and answers it.
  void Answer(std::shared_ptr<PushLoan> loan) {
    exchange_.PushCompleted(std::move(loan), PushReport(), ++sequence_);
  }

  std::atomic<int> wakes_{0};
  int64_t sequence_ = 1;
  SessionExchange exchange_{[this] { ++wakes_; }};
};

TEST_F(SessionExchangeTest, OpensOrFails) {
  std::thread opener([&] { exchange_.Opened(/*finished=*/true, 9); });
  EXPECT_TRUE(exchange_.WaitUntilOpen().ok());
  opener.join();
  EXPECT_TRUE(exchange_.finished());
  EXPECT_EQ(exchange_.next_sequence(), 9);
  EXPECT_EQ(exchange_.reconnects(), 0);
  exchange_.Opened(/*finished=*/false, 9);
  EXPECT_FALSE(exchange_.finished());
  EXPECT_EQ(exchange_.reconnects(), 1);
}

TEST_F(SessionExchangeTest, FailsBeforeItOpens) {
  std::thread failer([&] { exchange_.Fail(absl::NotFoundError("no run")); });
  EXPECT_EQ(exchange_.WaitUntilOpen(), absl::NotFoundError("no run"));
  failer.join();
}

TEST_F(SessionExchangeTest, WakesOnceUntilItsOrdersAreTaken) {
  const std::future<absl::StatusOr<PushReport>> future = Push();
  exchange_.Close();
  EXPECT_EQ(wakes_, 1);
  EXPECT_FALSE(exchange_.closed());
  const SessionExchange::Orders orders = exchange_.TakeWoken();
  EXPECT_TRUE(orders.push.has_value());
  EXPECT_TRUE(orders.close);
  EXPECT_TRUE(exchange_.closed());
  EXPECT_FALSE(exchange_.Take().push.has_value());
}

TEST_F(SessionExchangeTest, AnAbortIsOfThePushInFlightAndOfNoLaterOne) {
  exchange_.AbortPush();
  EXPECT_EQ(wakes_, 0) << "there is none";
  const std::future<absl::StatusOr<PushReport>> first = Push();
  exchange_.AbortPush();
  SessionExchange::Orders orders = exchange_.Take();
  EXPECT_TRUE(orders.push.has_value());
  EXPECT_TRUE(orders.abort);
  EXPECT_FALSE(exchange_.Take().abort);
  exchange_.AbortPush();
  Answer(std::move(orders.push->loan));
  const std::future<absl::StatusOr<PushReport>> second = Push();
  orders = exchange_.Take();
  EXPECT_TRUE(orders.push.has_value());
  EXPECT_FALSE(orders.abort);
}

TEST_F(SessionExchangeTest, ASecondPushWaitsForTheFirst) {
  const std::future<absl::StatusOr<PushReport>> first = Push();
  std::atomic<bool> second_ordered{false};
  std::thread second([&] {
    const std::future<absl::StatusOr<PushReport>> future = Push();
    second_ordered = true;
  });
  SessionExchange::Orders orders = exchange_.Take();
  EXPECT_FALSE(second_ordered);
  EXPECT_FALSE(Ready(first));
  Answer(std::move(orders.push->loan));
  EXPECT_TRUE(Ready(first));
  second.join();
  EXPECT_TRUE(exchange_.Take().push.has_value());
  EXPECT_EQ(exchange_.next_sequence(), 2);
}

// What ends the wait, or the possibility, of a push.
TEST_F(SessionExchangeTest, AWaitingPushIsReleasedByLeave) {
  const std::future<absl::StatusOr<PushReport>> first = Push();
  const std::shared_ptr<PushLoan> loan = exchange_.Take().push->loan;
  std::thread second(
      [&] { EXPECT_EQ(Push().get().status().code(), absl::StatusCode::kFailedPrecondition); });
  std::thread leaver([&] { EXPECT_TRUE(exchange_.Leave().ok()); });
  second.join();
  exchange_.Left(absl::OkStatus());
  leaver.join();
  EXPECT_EQ(Push().get().status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(SessionExchangeTest, AWaitingPushIsReleasedByFailure) {
  const std::future<absl::StatusOr<PushReport>> first = Push();
  const std::shared_ptr<PushLoan> loan = exchange_.Take().push->loan;
  std::thread second([&] { EXPECT_EQ(Push().get().status(), absl::NotFoundError("deleted")); });
  exchange_.Fail(absl::NotFoundError("deleted"));
  exchange_.Fail(absl::UnavailableError("later"));
  second.join();
  EXPECT_EQ(Push().get().status(), absl::NotFoundError("deleted"));
  EXPECT_EQ(exchange_.Leave(), absl::NotFoundError("deleted"));
}

// The session's thread is told of both, so that it can complete the push.
TEST_F(SessionExchangeTest, APushOrderedJustBeforeAFailureIsTakenWithIt) {
  const std::future<absl::StatusOr<PushReport>> future = Push();
  exchange_.Fail(absl::NotFoundError("deleted"));
  SessionExchange::Orders orders = exchange_.Take();
  EXPECT_EQ(orders.failure, absl::NotFoundError("deleted"));
  exchange_.PushCompleted(std::move(orders.push->loan), orders.failure, 1);
  EXPECT_TRUE(Ready(future));
}

TEST_F(SessionExchangeTest, LeaveSaysWhatBecameOfIt) {
  std::thread leaver(
      [&] { EXPECT_EQ(exchange_.Leave(), absl::UnavailableError("could not be told")); });
  while (wakes_ == 0) std::this_thread::yield();
  EXPECT_TRUE(exchange_.Take().leave);
  exchange_.Left(absl::UnavailableError("could not be told"));
  leaver.join();
  // Nothing is left to do.
  EXPECT_EQ(exchange_.Leave(), absl::UnavailableError("could not be told"));
}

TEST_F(SessionExchangeTest, APauseEndsWithAFailure) {
  EXPECT_TRUE(exchange_.Pause(absl::Milliseconds(1)).ok());
  exchange_.Fail(absl::NotFoundError("deleted"));
  EXPECT_EQ(exchange_.Pause(absl::Hours(1)), absl::NotFoundError("deleted"));
}

}  // namespace
}  // namespace gradd
