#include "core/run/sessions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "core/run/run_registry.h"
#include "tests/support/fake_clock.h"
#include "tests/support/recording_sink.h"
#include "tests/support/virtual_executor.h"

namespace gradd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class SessionsTest : public testing::Test {
 protected:
  SessionsTest() { members_.Configure(/*window=*/1, /*forgives=*/0); }

  SessionPtr Attach(const std::string& worker, RecordingSink* sink) {
    members_.Join(worker);
    auto session = std::make_shared<WorkerSession>(&registry_, sink, "10.0.0.1");
    session->state().worker = worker;
    sessions_.Attach(session);
    return session;
  }
  v1::WorkerState StateOf(const std::string& worker) { return members_.Find(worker)->state; }

  FakeClock clock_;
  RunRegistry registry_{Limits(), std::make_unique<VirtualExecutor>(/*seed=*/1), &clock_};
  Membership members_;
  const std::shared_ptr<VirtualExecutor> pool_ = std::make_shared<VirtualExecutor>(/*seed=*/2);
  Sessions sessions_{&members_, pool_};
  RecordingSink sink_;
};

TEST_F(SessionsTest, AWorkerThatEndsIsDisconnectedAndStaysAMember) {
  const SessionPtr session = Attach("w", &sink_);
  EXPECT_TRUE(sessions_.Has(session.get()));
  EXPECT_EQ(sessions_.MemberOf(session.get()), members_.Find("w"));
  session->state().receiving = true;
  sessions_.End(session.get(), absl::CancelledError("why"));
  EXPECT_THAT(sink_.Take(), ElementsAre("end: why"));
  EXPECT_EQ(StateOf("w"), v1::WORKER_STATE_DISCONNECTED);
  EXPECT_TRUE(members_.Find("w")->live());
  EXPECT_FALSE(sessions_.Has(session.get()));
  EXPECT_FALSE(session->state().receiving);
  sessions_.End(session.get(), absl::OkStatus());  // Its stream has ended.
  EXPECT_THAT(sink_.Take(), IsEmpty());
}

TEST_F(SessionsTest, OneThatAnotherTookOverFromTakesNothingWithIt) {
  RecordingSink newer_sink;
  const SessionPtr older = Attach("w", &sink_);
  const SessionPtr newer = Attach("w", &newer_sink);
  EXPECT_EQ(sessions_.MemberOf(older.get()), nullptr);
  sessions_.Disconnected(older.get());
  EXPECT_EQ(sessions_.Find("w"), newer.get());
  EXPECT_EQ(StateOf("w"), v1::WORKER_STATE_COMPUTING);
  EXPECT_THAT(sink_.Take(), IsEmpty());
}

TEST_F(SessionsTest, WhoHasParametersOnTheWayIsNotWaitedForWhenItIsDismissed) {
  const SessionPtr reads = Attach("a", &sink_);
  reads->state().parameters_on_way = 1;
  sessions_.Dismiss(reads.get(), absl::OkStatus());
  EXPECT_THAT(sink_.Take(), ElementsAre("abandon: OK"));
  const SessionPtr has_all = Attach("b", &sink_);
  sessions_.Dismiss(has_all.get(), absl::OkStatus());
  EXPECT_THAT(sink_.Take(), ElementsAre("end: OK"));
}

// Each of the three that it may wait for.
TEST_F(SessionsTest, AHalfClosedStreamEndsWhenItWaitsForNothing) {
  const SessionPtr session = Attach("w", &sink_);
  Member* const member = members_.Find("w");
  sessions_.EndIfHalfClosed(session.get());
  EXPECT_THAT(sink_.Take(), IsEmpty());
  session->state().half_closed = true;
  members_.PushWaits(member, 1);
  sessions_.EndIfHalfClosed(session.get());
  members_.PushGone(member);
  session->state().parameters_on_way = 1;
  sessions_.EndIfHalfClosed(session.get());
  session->state().parameters_on_way = 0;
  session->state().held = true;
  sessions_.EndIfHalfClosed(session.get());
  EXPECT_THAT(sink_.Take(), IsEmpty());
  session->state().held = false;
  sessions_.EndIfHalfClosed(session.get());
  EXPECT_THAT(sink_.Take(), ElementsAre("end: OK"));
}

TEST_F(SessionsTest, WhatTheyHoldIsTakenUpOnThePool) {
  const SessionPtr waits = Attach("a", &sink_);
  Attach("b", &sink_);
  waits->state().held = true;
  sessions_.RetryAll();
  EXPECT_TRUE(pool_->RunOne());
  EXPECT_FALSE(pool_->RunOne());  // The other one holds nothing.
}

TEST_F(SessionsTest, AllAreTold) {
  RecordingSink other;
  Attach("a", &sink_);
  const SessionPtr gone = Attach("b", &other);
  sessions_.Broadcast(v1::RUN_EVENT_KIND_PAUSED, 7);
  EXPECT_THAT(sink_.Take(), ElementsAre("event RUN_EVENT_KIND_PAUSED at step 7"));
  EXPECT_THAT(other.Take(), ElementsAre("event RUN_EVENT_KIND_PAUSED at step 7"));
  sessions_.Disconnected(gone.get());
  sessions_.Broadcast(v1::RUN_EVENT_KIND_RESUMED, 7);
  EXPECT_THAT(sink_.Take(), ElementsAre("event RUN_EVENT_KIND_RESUMED at step 7"));
  EXPECT_THAT(other.Take(), IsEmpty());
}

}  // namespace
}  // namespace gradd
