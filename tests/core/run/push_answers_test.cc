// How pushes are answered: an event first, then a reply. PushAnswers and Replies, without a run.

#include "core/run/push_answers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/run/recent_events.h"
#include "core/run/run_registry.h"
#include "tests/support/fake_clock.h"
#include "tests/support/recording_sink.h"
#include "tests/support/replayed_engine.h"
#include "tests/support/specs.h"
#include "tests/support/virtual_executor.h"

namespace gradd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr int64_t kFew = 4;

// The parts of a run with one worker, `w`, that is connected.
class PushAnswersTest : public testing::Test {
 protected:
  PushAnswersTest() {
    record_.members().Join("w");
    session_ = std::make_shared<WorkerSession>(&registry_, &sink_, "10.0.0.1");
    session_->state().worker = "w";
    sessions_.Attach(session_);
  }

  std::unique_ptr<ReplayedEngine> Create() {
    auto vectors = std::make_unique<ReplayedEngine>(kTileElements,
                                                    std::make_unique<VirtualExecutor>(/*seed=*/3));
    events_.Create(SynchronousSpec(kFew, 1), "uid", "");
    for (const state::v1::Event& event : log_->All()) vectors->Append(event, {});
    return vectors;
  }
  Member* member() { return record_.members().Find("w"); }
  // A push of the worker is complete, and waits.
  PendingPush Pending(int64_t sequence, bool want_parameters = false) {
    v1::PushHeader header;
    header.set_sequence(sequence);
    header.set_examples(1);
    header.set_timeline(1);
    PendingPush pending;
    pending.worker = "w";
    pending.push = std::make_shared<StagedPush>(header, layout_);
    pending.session = session_;
    pending.want_parameters = want_parameters;
    record_.members().PushWaits(member(), sequence);
    member()->state = v1::WORKER_STATE_WAITING;
    return pending;
  }
  // What was entered into the log since the last call, without its creation.
  std::vector<std::string> Entered() {
    std::vector<std::string> lines;
    for (const state::v1::Event& event : log_->All()) {
      if (event.number() <= seen_) continue;
      seen_ = event.number();
      if (event.has_created()) continue;
      const state::v1::AnsweredPush& answer = event.answer();
      lines.push_back(absl::StrCat(answer.worker(), " ", answer.sequence(), " ",
                                   v1::PushOutcome_Name(answer.outcome())));
    }
    return lines;
  }

  FakeClock clock_;
  RunRegistry registry_{Limits(), std::make_unique<VirtualExecutor>(/*seed=*/1), &clock_};
  const std::shared_ptr<VirtualExecutor> pool_ = std::make_shared<VirtualExecutor>(/*seed=*/2);
  const std::shared_ptr<RecentEvents> log_ = std::make_shared<RecentEvents>(10'000);
  const Layout& layout_ = VectorLayout(kFew);
  RunRecord record_;
  RunEvents events_{log_, &clock_, &record_};
  const std::unique_ptr<ReplayedEngine> vectors_ = Create();
  RunCourse course_{&record_, absl::ZeroDuration()};
  Sessions sessions_{&record_.members(), pool_};
  StepProfile profile_;
  RunReports reports_{"r", /*is_trial=*/false, nullptr, &clock_};
  RunSigns signs_;
  RecordingSink sink_;
  SessionPtr session_;
  int64_t seen_ = 0;
  SnapshotRequests snapshots_{vectors_->engine()};
  WaitingPushes waiting_;
  DataLeases leases_{{&record_, &events_, &course_, &sessions_, &waiting_}};
  Replies replies_{{&layout_, &clock_, &record_, &course_, vectors_->engine(), &sessions_,
                    &snapshots_, &leases_, &profile_}};
  PushAnswers answers_{{&record_, &events_, vectors_->engine(), &sessions_, &replies_, &leases_,
                        &reports_, &signs_, &clock_}};
};

TEST_F(PushAnswersTest, OneThatTheLedgerHoldsIsEnteredAndThenTold) {
  answers_.Resolve(Pending(1), v1::PUSH_OUTCOME_SUPERSEDED);
  EXPECT_THAT(Entered(), ElementsAre("w 1 PUSH_OUTCOME_SUPERSEDED"));
  EXPECT_THAT(sink_.Take(), ElementsAre("result 1 SUPERSEDED at step 0"));
  EXPECT_EQ(member()->told.sequence, 1);
  EXPECT_EQ(member()->pending_sequence, 0);
  EXPECT_EQ(member()->state, v1::WORKER_STATE_COMPUTING);
}

// They change nothing that would have to be written down: the same push may come again.
TEST_F(PushAnswersTest, OneThatIsToBeSentAgainIsNoEvent) {
  answers_.Resolve(Pending(1), v1::PUSH_OUTCOME_RESEND);
  EXPECT_THAT(Entered(), IsEmpty());
  EXPECT_THAT(sink_.Take(), ElementsAre("result 1 RESEND at step 0"));
  EXPECT_EQ(member()->ledger.sequence, 0);
  EXPECT_EQ(replies_.outcomes().counts()[v1::PUSH_OUTCOME_RESEND], 1);
}

// Another one of the same sequence may be part of the step on its way, which nobody was told yet.
TEST_F(PushAnswersTest, OneThatUsesUpNoSequenceTellsNothingOfTheLedger) {
  member()->ledger.sequence = 1;
  for (const v1::PushOutcome outcome : {v1::PUSH_OUTCOME_ROLLED_BACK, v1::PUSH_OUTCOME_REJECTED}) {
    v1::PushHeader header;
    header.set_sequence(1);
    answers_.Enter("w", header, outcome);
    EXPECT_EQ(member()->told.sequence, 0) << v1::PushOutcome_Name(outcome);
  }
}

TEST_F(PushAnswersTest, ParametersFollowWhereTheyAreWanted) {
  answers_.Resolve(Pending(1, /*want_parameters=*/true), v1::PUSH_OUTCOME_SUPERSEDED);
  EXPECT_THAT(sink_.Take(), ElementsAre("result 1 SUPERSEDED at step 0, parameters follow",
                                        "parameters of step 0 in ENCODING_FLOAT32"));
  EXPECT_EQ(session_->state().parameters_on_way, 1);
  replies_.ParametersSent(session_.get());
  EXPECT_EQ(session_->state().parameters_on_way, 0);
}

TEST_F(PushAnswersTest, WhatTheWorkerWasToldEarlyIsNotToldAgain) {
  PendingPush knows_parameters = Pending(1, /*want_parameters=*/true);
  knows_parameters.told = Told::kParameters;
  answers_.TellTaken(knows_parameters, v1::PUSH_OUTCOME_APPLIED);
  EXPECT_THAT(sink_.Take(), ElementsAre("result 1 APPLIED at step 0"));
  PendingPush knows_all = Pending(2, /*want_parameters=*/true);
  knows_all.told = Told::kResult;
  answers_.TellTaken(knows_all, v1::PUSH_OUTCOME_APPLIED);
  EXPECT_THAT(sink_.Take(), IsEmpty());
  EXPECT_THAT(Entered(), IsEmpty());  // Its step was.
}

TEST_F(PushAnswersTest, ARefusedOneIsSaidWithItsReasonAndKeepsItsSequence) {
  answers_.Reject(session_.get(), 1, InvalidArgument("NON_FINITE", "element 3 is nan"));
  EXPECT_THAT(sink_.Take(), ElementsAre("result 1 REJECTED at step 0, NON_FINITE"));
  EXPECT_EQ(member()->ledger.sequence, 0);
  EXPECT_EQ(member()->rejected_pushes, 1);
  EXPECT_EQ(signs_.non_finite_pushes, 1);
}

TEST_F(PushAnswersTest, NobodyIsToldOfAPushWhoseStreamHasEnded) {
  PendingPush pending = Pending(1, /*want_parameters=*/true);
  sessions_.Disconnected(session_.get());
  answers_.Resolve(pending, v1::PUSH_OUTCOME_SUPERSEDED);
  EXPECT_THAT(Entered(), ElementsAre("w 1 PUSH_OUTCOME_SUPERSEDED"));
  EXPECT_THAT(sink_.Take(), IsEmpty());
  std::vector<PendingPush> refused;
  refused.push_back(Pending(2));
  answers_.RejectPending(std::move(refused), InvalidArgument("NON_FINITE", "nan"));
  EXPECT_THAT(sink_.Take(), IsEmpty());
  EXPECT_EQ(member()->pending_sequence, 0);
}

// It has what it waited for: the answer, and the parameters.
TEST_F(PushAnswersTest, AHalfClosedStreamEndsWithItsAnswer) {
  session_->state().half_closed = true;
  answers_.Resolve(Pending(1), v1::PUSH_OUTCOME_SUPERSEDED);
  EXPECT_THAT(sink_.Take(), ElementsAre("result 1 SUPERSEDED at step 0", "end: OK"));
}

TEST_F(PushAnswersTest, ARepeatedOneLearnsWhatBecameOfIt) {
  answers_.Resolve(Pending(1), v1::PUSH_OUTCOME_SUPERSEDED);
  member()->told.step = 5;
  sink_.Take();
  replies_.SendResult(session_.get(), 1, v1::PUSH_OUTCOME_DUPLICATE, 7,
                      /*parameters_follow=*/false);
  replies_.SendResult(session_.get(), 2, v1::PUSH_OUTCOME_DUPLICATE, 7,
                      /*parameters_follow=*/false);
  EXPECT_THAT(sink_.Take(), ElementsAre("result 1 DUPLICATE at step 7, was SUPERSEDED at step 5",
                                        "result 2 DUPLICATE at step 7"));
}

}  // namespace
}  // namespace gradd
