// A run hands out the batches of its data set: who gets which, whose lease ends when, and whom
// steps wait for when they run out. What pushes do to them is in data_pushes_test.cc.

#include "core/run/data_leases.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <utility>

#include "core/base/error.h"
#include "core/run/run.h"
#include "core/run/run_registry.h"
#include "tests/core/run/data_run_test.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_worker.h"
#include "tests/support/specs.h"
#include "tests/support/update.h"
#include "tests/support/virtual_executor.h"

namespace gradd {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class DataLeasesTest : public DataRunTest {};

TEST_F(DataLeasesTest, BatchesGoOutAheadOfTheirUseAndTheRunEndsWithThem) {
  Create(WithBatches(AsynchronousSpec(1), 4));
  const auto a = Join("a");
  const auto b = Join("b");
  const v1::Welcome welcome = *a->welcome();
  EXPECT_EQ(welcome.limits().max_leased_batches(), 4096);
  EXPECT_EQ(welcome.data().data_set().examples(), 7);
  EXPECT_EQ(welcome.data().data_set().most_skips(), 3) << "the default is filled in";
  EXPECT_EQ(welcome.data().epoch_examples_left(), 7);
  EXPECT_THAT(welcome.data().leased(), IsEmpty());
  EXPECT_THAT(Lease(a.get(), 2), ElementsAre(0, 1));
  EXPECT_THAT(Lease(b.get(), 1), ElementsAre(2));
  EXPECT_EQ(a->leases()[0].timeline(), 1U);
  EXPECT_EQ(Data().leased_batches(), 3);
  EXPECT_EQ(Outcome(a.get(), 1, {{0, 2}}, 4), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(Data().epoch_examples_left(), 3);
  EXPECT_THAT(Lease(a.get(), 9), ElementsAre(3));
  EXPECT_THAT(Lease(a.get(), 9), IsEmpty()) << "it waits";
  EXPECT_EQ(Outcome(a.get(), 2, {{3, 1}}, 1), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_THAT(a->leases(), SizeIs(2));
  EXPECT_EQ(State(), v1::RUN_STATE_RUNNING);
  EXPECT_EQ(Outcome(b.get(), 1, {{2, 1}}), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(State(), v1::RUN_STATE_FINISHED);
  ASSERT_THAT(a->leases(), SizeIs(3));
  EXPECT_TRUE(a->leases()[2].ended());
  EXPECT_THAT(a->events(), Contains(v1::RUN_EVENT_KIND_FINISHED));
  EXPECT_THAT(Lease(b.get(), 1), IsEmpty());
  EXPECT_TRUE(b->leases().back().ended());
  const v1::PushResult late = Push(b.get(), 2, {{2, 1}}, 2);
  EXPECT_EQ(late.reason(), "RUN_FINISHED");
  EXPECT_THAT(late.message(), HasSubstr("all batches of its data set are used up"));
  EXPECT_EQ(Data().used_batches(), 4);
  EXPECT_EQ(Data().epoch(), 1);
  EXPECT_EQ(run_->Progress().examples(), 7);
}

TEST_F(DataLeasesTest, LongerTrainingNeedsBatches) {
  Create(WithBatches(AsynchronousSpec(1), 1));
  const auto a = Join("a");
  Lease(a.get(), 1);
  EXPECT_EQ(Outcome(a.get(), 1, {{0, 1}}), v1::PUSH_OUTCOME_APPLIED);
  v1::Run values;
  values.set_max_steps(100);
  google::protobuf::FieldMask mask;
  mask.add_paths("max_steps");
  auto update = BeginUpdate(run_.get(), values, mask);
  Settle();
  EXPECT_EQ(update.get()->state(), v1::RUN_STATE_FINISHED);
  // And the data set is what it is.
  mask.set_paths(0, "data.epochs");
  values.mutable_data()->set_epochs(2);
  update = BeginUpdate(run_.get(), values, mask);
  Settle();
  EXPECT_EQ(ReasonOf(update.get().status()), "MASK_INVALID");
}

TEST_F(DataLeasesTest, AStepLimitEndsTheRunBeforeItsData) {
  v1::Run spec = WithBatches(AsynchronousSpec(1), 10);
  spec.set_max_steps(1);
  Create(spec);
  const auto a = Join("a");
  const auto b = Join("b");
  EXPECT_THAT(Lease(a.get(), 10), SizeIs(10));
  EXPECT_THAT(Lease(b.get(), 1), IsEmpty());
  EXPECT_EQ(Outcome(a.get(), 1, {{0, 1}}), v1::PUSH_OUTCOME_APPLIED);
  ASSERT_THAT(b->leases(), SizeIs(1));
  EXPECT_TRUE(b->leases()[0].ended());
  // It goes on with what it has.
  v1::Run values;
  values.set_max_steps(5);
  google::protobuf::FieldMask mask;
  mask.add_paths("max_steps");
  auto update = BeginUpdate(run_.get(), values, mask);
  Settle();
  EXPECT_EQ(update.get()->state(), v1::RUN_STATE_RUNNING);
  EXPECT_EQ(Outcome(a.get(), 2, {{5, 2}}, 4), v1::PUSH_OUTCOME_APPLIED);
}

TEST_F(DataLeasesTest, ADataSetThatIsNoneIsRefused) {
  v1::Run spec = WithBatches(AsynchronousSpec(1), 2);
  spec.mutable_data()->set_batch_size(4);
  const absl::Status status = registry_->Create("s", spec, "").status();
  EXPECT_EQ(ReasonOf(status), "DATA_INVALID");
  EXPECT_EQ(status.message(), "data.batch_size: 4 is outside [1, 3], the examples");
}

TEST_F(DataLeasesTest, ARunWithoutADataSetHasNoBatches) {
  Create(AsynchronousSpec(1));
  const auto a = Join("a");
  EXPECT_FALSE(a->welcome()->has_data());
  EXPECT_EQ(a->welcome()->limits().max_leased_batches(), 0);
  const v1::PushResult result = Push(a.get(), 1, {{0, 1}}, 2);
  EXPECT_EQ(result.reason(), "NO_DATA_SET");
  EXPECT_THAT(result.message(), HasSubstr("header.batches: set, and the run has no data set"));
  a->LeaseBatches(1);
  EXPECT_EQ(ReasonOf(a->WaitForEnd()), "NO_DATA_SET");
  const auto b = Join("b");
  b->ReturnBatches({{0, 1}});
  EXPECT_EQ(ReasonOf(b->WaitForEnd()), "NO_DATA_SET");
  EXPECT_FALSE(run_->Progress().has_data());
}

TEST_F(DataLeasesTest, RequestsThatAreNoneEndTheStream) {
  Create(WithBatches(AsynchronousSpec(1), 2));
  const auto refusal = [&](const auto& act) {
    const auto worker = Join("w");
    act(worker.get());
    Settle();
    return std::string(worker->WaitForEnd().message());
  };
  EXPECT_EQ(refusal([](FakeWorker* worker) { worker->LeaseBatches(0); }),
            "lease_batches.count: 0 is outside [1, 4096]");
  EXPECT_EQ(refusal([](FakeWorker* worker) { worker->LeaseBatches(4097); }),
            "lease_batches.count: 4097 is outside [1, 4096]");
  EXPECT_EQ(refusal([](FakeWorker* worker) {
              worker->ReturnBatches({{1, 7}});
            }),
            "return_batches.ranges: a count of 7 from 1 on is outside [1, 1]");
  const auto a = Join("a");
  EXPECT_THAT(Lease(a.get(), 2), SizeIs(2));
  EXPECT_EQ(refusal([](FakeWorker* worker) {
              worker->LeaseBatches(1);
              worker->LeaseBatches(1);
            }),
            "lease_batches before the batch_lease of the one before");
}

TEST_F(DataLeasesTest, WhatALostWorkerHadGoesOutAgainAndComesTooLateThen) {
  Create(WithBatches(AsynchronousSpec(1), 9));
  auto a = Join("a");
  const auto b = Join("b");
  EXPECT_THAT(Lease(a.get(), 3), ElementsAre(0, 1, 2));
  Lose(std::move(a), {b.get()});
  EXPECT_EQ(Data().returned_batches(), 3);
  EXPECT_THAT(Lease(b.get(), 2), ElementsAre(0, 1));
  // Nobody has used it yet: its push counts, and that of the one who got it since does not.
  a = Join("a", /*instance=*/2);
  EXPECT_THAT(a->welcome()->data().leased(), IsEmpty());
  EXPECT_EQ(Outcome(a.get(), 1, {{0, 1}}), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(Outcome(b.get(), 1, {{0, 2}}, 4), v1::PUSH_OUTCOME_BATCH_USED);
  // The push is dropped, its other batch goes out again, and the sequence is used up.
  EXPECT_EQ(run_->Progress().step(), 1);
  EXPECT_EQ(Data().returned_batches(), 2);
  EXPECT_THAT(Lease(b.get(), 1), ElementsAre(1));
  EXPECT_EQ(Outcome(b.get(), 2, {{1, 1}}), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(Outcome(a.get(), 2, {{1, 2}}, 4), v1::PUSH_OUTCOME_BATCH_USED);
  EXPECT_EQ(Push(a.get(), 3, {{2, 1}}, 2).reason(), "BATCH_LEASE_ENDED");
  EXPECT_EQ(Data().used_batches(), 2);
}

TEST_F(DataLeasesTest, OneThatLeavesGivesItsBatchesBack) {
  Create(WithBatches(AsynchronousSpec(1), 3));
  const auto a = Join("a");
  const auto b = Join("b");
  EXPECT_THAT(Lease(a.get(), 3), SizeIs(3));
  EXPECT_THAT(Lease(b.get(), 2), IsEmpty());
  a->Leave();
  Settle();
  ASSERT_THAT(b->leases(), SizeIs(1)) << "it has waited for them";
  EXPECT_THAT(NumbersOf(b->leases()[0].ranges()), ElementsAre(0, 1));
}

TEST_F(DataLeasesTest, BatchesCanBeGivenBack) {
  Create(WithBatches(AsynchronousSpec(1), 3));
  const auto a = Join("a");
  const auto b = Join("b");
  EXPECT_THAT(Lease(a.get(), 3), SizeIs(3));
  EXPECT_THAT(Lease(b.get(), 3), IsEmpty());
  b->ReturnBatches({{0, 3}});
  Settle();
  EXPECT_EQ(Data().leased_batches(), 3) << "it has none of them";
  a->ReturnBatches({{1, 1}});
  Settle();
  ASSERT_THAT(b->leases(), SizeIs(1));
  EXPECT_THAT(NumbersOf(b->leases()[0].ranges()), ElementsAre(1));
  EXPECT_EQ(Push(a.get(), 1, {{1, 1}}, 2).reason(), "BATCH_NOT_LEASED");
}

TEST_F(DataLeasesTest, ANewTimelineGivesAllLeasesBack) {
  Create(WithBatches(SynchronousSpec(1, 2), 9));
  const auto a = Join("a");
  const auto b = Join("b");
  EXPECT_THAT(Lease(a.get(), 3), ElementsAre(0, 1, 2));
  EXPECT_THAT(Lease(b.get(), 6), SizeIs(6));
  EXPECT_THAT(Lease(b.get(), 1), IsEmpty()) << "it waits";
  EXPECT_EQ(Outcome(a.get(), 1, {{0, 1}}), v1::PUSH_OUTCOME_UNSPECIFIED);
  ASSERT_TRUE(run_->BeginTimeline("ada").ok());
  Settle();
  EXPECT_EQ(a->results().back().outcome(), v1::PUSH_OUTCOME_ROLLED_BACK);
  ASSERT_THAT(b->leases(), SizeIs(2));
  EXPECT_THAT(NumbersOf(b->leases()[1].ranges()), ElementsAre(0));
  EXPECT_EQ(b->leases()[1].timeline(), 2U);
  EXPECT_EQ(Data().leased_batches(), 1);
  EXPECT_EQ(Data().returned_batches(), 8);
  a->SetTimeline(2);
  EXPECT_EQ(Push(a.get(), 1, {{1, 1}}, 2).reason(), "BATCH_LEASE_ENDED");
  EXPECT_THAT(Lease(a.get(), 1), ElementsAre(1));
}

TEST_F(DataLeasesTest, AWorkerThatReconnectsIsToldWhatItHas) {
  Create(WithBatches(AsynchronousSpec(1), 9));
  auto a = Join("a");
  EXPECT_THAT(Lease(a.get(), 4), ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(Outcome(a.get(), 1, {{1, 1}}), v1::PUSH_OUTCOME_APPLIED);
  a->Disconnect();
  a = Join("a", /*instance=*/2);
  EXPECT_THAT(NumbersOf(a->welcome()->data().leased()), ElementsAre(0, 2, 3));
  EXPECT_EQ(a->welcome()->data().epoch_examples_left(), 15);
  EXPECT_EQ(Outcome(a.get(), 2, {{2, 2}}, 4), v1::PUSH_OUTCOME_APPLIED);
}

// Who can get no batch is not waited for while the server stops, either.
TEST_F(DataLeasesTest, AServerThatStopsWaitsForThoseWhoHaveBatches) {
  Create(WithBatches(SynchronousSpec(1, 3), 2));
  const auto a = Join("a");
  const auto b = Join("b");
  const auto c = Join("c");
  EXPECT_THAT(Lease(a.get(), 1), ElementsAre(0));
  EXPECT_THAT(Lease(b.get(), 1), ElementsAre(1));
  EXPECT_EQ(Outcome(a.get(), 1, {{0, 1}}), v1::PUSH_OUTCOME_UNSPECIFIED);
  c->Disconnect();
  registry_->Drain();
  Settle();
  EXPECT_EQ(a->end(), std::nullopt);
  EXPECT_EQ(Outcome(b.get(), 1, {{1, 1}}, 1), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(State(), v1::RUN_STATE_FINISHED);
}

TEST_F(DataLeasesTest, AStepDoesNotWaitForWorkersThatCanGetNoBatch) {
  Create(WithBatches(SynchronousSpec(1, 3), 5));
  const auto a = Join("a");
  const auto b = Join("b");
  const auto c = Join("c");
  EXPECT_THAT(Lease(a.get(), 1), ElementsAre(0));
  EXPECT_THAT(Lease(b.get(), 1), ElementsAre(1));
  EXPECT_THAT(Lease(c.get(), 1), ElementsAre(2));
  EXPECT_EQ(Outcome(a.get(), 1, {{0, 1}}), v1::PUSH_OUTCOME_UNSPECIFIED);
  EXPECT_EQ(Outcome(b.get(), 1, {{1, 1}}), v1::PUSH_OUTCOME_UNSPECIFIED);
  EXPECT_EQ(Outcome(c.get(), 1, {{2, 1}}), v1::PUSH_OUTCOME_APPLIED);
  // Two are left for three.
  EXPECT_THAT(Lease(a.get(), 1), ElementsAre(3));
  EXPECT_EQ(Outcome(a.get(), 2, {{3, 1}}), v1::PUSH_OUTCOME_UNSPECIFIED);
  EXPECT_THAT(Lease(b.get(), 1), ElementsAre(4));
  EXPECT_EQ(Outcome(b.get(), 2, {{4, 1}}, 1), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(run_->Progress().step(), 2);
  EXPECT_EQ(State(), v1::RUN_STATE_FINISHED);
}

// It has one in hand and waits for the other: the last batch goes to who needs it, and then nobody
// is waited for.
TEST_F(DataLeasesTest, AStepIsDueWhenTheLastBatchIsGivenAway) {
  Create(WithBatches(SynchronousSpec(1, 3), 2));
  const auto a = Join("a");
  const auto b = Join("b");
  const auto c = Join("c");
  EXPECT_THAT(Lease(a.get(), 1), ElementsAre(0));
  EXPECT_EQ(Outcome(a.get(), 1, {{0, 1}}), v1::PUSH_OUTCOME_UNSPECIFIED);
  EXPECT_THAT(Lease(a.get(), 1), ElementsAre(1));
  EXPECT_EQ(a->results().back().outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(Outcome(a.get(), 2, {{1, 1}}, 1), v1::PUSH_OUTCOME_APPLIED);
}

TEST_F(DataLeasesTest, WhoCanGetNoBatchMissesNoDeadline) {
  v1::Run spec = WithBatches(SynchronousSpec(1, 3), 2);
  spec.mutable_policy()->mutable_synchronous()->mutable_deadline()->set_seconds(1);
  Create(spec);
  const auto a = Join("a");
  const auto b = Join("b");
  const auto c = Join("c");
  EXPECT_THAT(Lease(a.get(), 1), ElementsAre(0));
  EXPECT_THAT(Lease(b.get(), 1), ElementsAre(1));
  EXPECT_EQ(Outcome(a.get(), 1, {{0, 1}}), v1::PUSH_OUTCOME_UNSPECIFIED);
  clock_.Advance(absl::Seconds(1));
  registry_->Tick();
  Settle();
  EXPECT_EQ(a->results().back().outcome(), v1::PUSH_OUTCOME_APPLIED);
  const v1::Run described = run_->Describe(gradd::Run::Detail::kWorkers);
  for (const v1::WorkerStatus& worker : described.workers()) {
    EXPECT_EQ(worker.missed_deadlines(), worker.worker() == "b" ? 1 : 0) << worker.worker();
  }
}

class DataWindowTest : public DataRunTest, public testing::WithParamInterface<bool> {};

// With windows too, every batch ends up in a step.
TEST_P(DataWindowTest, WhatIsLeftInTheWindowIsTheLastStep) {
  v1::Run spec = WithBatches(GetParam() ? SynchronousSpec(1, 1) : AsynchronousSpec(1), 3);
  spec.mutable_optimizer()->set_accumulation_steps(2);
  Create(spec);
  const auto a = Join("a");
  EXPECT_THAT(Lease(a.get(), 3), SizeIs(3));
  EXPECT_EQ(Outcome(a.get(), 1, {{0, 1}}), v1::PUSH_OUTCOME_ACCUMULATED);
  EXPECT_EQ(Outcome(a.get(), 2, {{1, 1}}), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(Outcome(a.get(), 3, {{2, 1}}, 1), v1::PUSH_OUTCOME_ACCUMULATED);
  Settle();
  EXPECT_EQ(run_->Progress().step(), 2);
  EXPECT_EQ(State(), v1::RUN_STATE_FINISHED);
  EXPECT_EQ(run_->Progress().examples(), 5);
}

TEST_P(DataWindowTest, SoItIsWhereTheLastBatchIsGivenUp) {
  v1::Run spec = WithBatches(GetParam() ? SynchronousSpec(1, 1) : AsynchronousSpec(1), 2);
  spec.mutable_optimizer()->set_accumulation_steps(2);
  spec.mutable_data()->set_most_skips(1);
  Create(spec);
  const auto a = Join("a");
  EXPECT_THAT(Lease(a.get(), 2), SizeIs(2));
  EXPECT_EQ(Outcome(a.get(), 1, {{0, 1}}), v1::PUSH_OUTCOME_ACCUMULATED);
  EXPECT_EQ(Outcome(a.get(), 2, {{1, 1}}, 1, kNaN), v1::PUSH_OUTCOME_SKIPPED);
  registry_->Tick();
  Settle();
  EXPECT_EQ(run_->Progress().step(), 1);
  EXPECT_EQ(State(), v1::RUN_STATE_FINISHED);
}

INSTANTIATE_TEST_SUITE_P(Policy, DataWindowTest, testing::Bool(), [](const auto& param) {
  return param.param ? "Synchronous" : "Asynchronous";
});

TEST_F(DataLeasesTest, WhoWaitsForBatchesWithNoneIsNotLost) {
  Create(WithBatches(AsynchronousSpec(1), 2));
  const auto a = Join("a");
  const auto b = Join("b");
  EXPECT_THAT(Lease(a.get(), 2), SizeIs(2));
  EXPECT_THAT(Lease(b.get(), 1), IsEmpty());
  // The one that has them is silent, and the other one has nothing to say.
  clock_.Advance(absl::Seconds(15));
  registry_->Tick();
  Settle();
  EXPECT_EQ(ReasonOf(a->WaitForEnd()), "LEASE_ENDED");
  EXPECT_EQ(b->end(), std::nullopt);
  ASSERT_THAT(b->leases(), SizeIs(1));
  EXPECT_THAT(NumbersOf(b->leases()[0].ranges()), ElementsAre(0));
}

TEST_F(DataLeasesTest, WhoAsksForMoreAndHasSomeCanBeLost) {
  Create(WithBatches(AsynchronousSpec(1), 2));
  const auto a = Join("a");
  EXPECT_THAT(Lease(a.get(), 2), SizeIs(2));
  EXPECT_THAT(Lease(a.get(), 1), IsEmpty());
  clock_.Advance(absl::Seconds(15));
  registry_->Tick();
  Settle();
  EXPECT_EQ(ReasonOf(a->WaitForEnd()), "LEASE_ENDED");
}

TEST_F(DataLeasesTest, ThoseWhoWaitAreServedInTheOrderTheyAsked) {
  Create(WithBatches(AsynchronousSpec(1), 3));
  const auto holder = Join("h");
  EXPECT_THAT(Lease(holder.get(), 3), SizeIs(3));
  const auto c = Join("c");
  auto b = Join("b");
  const auto a = Join("a");
  EXPECT_THAT(Lease(c.get(), 1), IsEmpty());
  EXPECT_THAT(Lease(b.get(), 1), IsEmpty());
  EXPECT_THAT(Lease(a.get(), 1), IsEmpty());
  b->Disconnect();  // What it asked for is forgotten with its stream.
  b = Join("b", /*instance=*/2);
  holder->ReturnBatches({{0, 2}});
  Settle();
  EXPECT_THAT(NumbersOf(c->WaitForLease(0).ranges()), ElementsAre(0));
  EXPECT_THAT(NumbersOf(a->WaitForLease(0).ranges()), ElementsAre(1));
  EXPECT_THAT(b->leases(), IsEmpty());
}

TEST_F(DataLeasesTest, ARunGoesOnFromItsLeases) {
  Create(WithBatches(AsynchronousSpec(1), 9));
  const auto a = Join("a");
  auto b = Join("b");
  EXPECT_THAT(Lease(a.get(), 3), ElementsAre(0, 1, 2));
  EXPECT_THAT(Lease(b.get(), 2), ElementsAre(3, 4));
  EXPECT_EQ(Outcome(a.get(), 1, {{1, 1}}), v1::PUSH_OUTCOME_APPLIED);
  b->Leave();
  RunOrigin origin;
  run_->Capture([&](const auto& capture) { origin.capture = *capture; });
  Settle();
  FakeClock clock;
  auto executor = std::make_unique<VirtualExecutor>(/*seed=*/2);
  VirtualExecutor* const tasks = executor.get();
  RunRegistry registry(Limits(), std::move(executor), &clock);
  const auto restored = *registry.Create("r", origin.capture->state.spec(), "", &origin);
  FakeWorker c(&registry, "r", "a", 1);
  c.Join();
  EXPECT_THAT(NumbersOf(c.welcome()->data().leased()), ElementsAre(0, 2));
  c.LeaseBatches(3);
  while (tasks->RunOne()) {
  }
  EXPECT_THAT(NumbersOf(c.leases()[0].ranges()), ElementsAre(3, 4, 5));
  state::v1::RunState state;
  restored->WriteState(&state);
  EXPECT_EQ(state.data().next(), 6);
}

// With a bound, the slowest worker is waited for; not while it can get no batch.
TEST_F(DataLeasesTest, WhoCanGetNoBatchHoldsNobodyBack) {
  v1::Run spec = WithBatches(AsynchronousSpec(1), 6);
  spec.mutable_policy()->mutable_bounded_staleness()->set_bound(0);
  Create(spec);
  const auto a = Join("a");
  auto b = Join("b");
  EXPECT_THAT(Lease(a.get(), 2), ElementsAre(0, 1));
  EXPECT_THAT(Lease(b.get(), 1), ElementsAre(2));
  EXPECT_EQ(Outcome(a.get(), 1, {{0, 1}}), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(Outcome(a.get(), 2, {{1, 1}}), v1::PUSH_OUTCOME_UNSPECIFIED) << "b is behind";
  EXPECT_EQ(Outcome(b.get(), 1, {{2, 1}}), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(a->results().size(), 2U);
  // All that is left is a's, and b waits for it.
  EXPECT_THAT(Lease(a.get(), 3), ElementsAre(3, 4, 5));
  EXPECT_THAT(Lease(b.get(), 1), IsEmpty());
  EXPECT_EQ(Outcome(a.get(), 3, {{3, 1}}), v1::PUSH_OUTCOME_APPLIED);
  clock_.Advance(absl::Seconds(9));
  EXPECT_THAT(run_->Progress().reason(),
              HasSubstr("a computes, b waits for batches, all of which a has"));
  // What a gives back is b's, which goes on where a is, and is waited for again.
  v1::TrainRequest request;
  request.mutable_return_batches()->add_ranges()->set_first(5);
  request.mutable_return_batches()->mutable_ranges(0)->set_count(1);
  a->Request(std::move(request));
  Settle();
  EXPECT_THAT(NumbersOf(b->leases().back().ranges()), ElementsAre(5));
  const auto worker = [&](int index) {
    return run_->Describe(gradd::Run::Detail::kWorkers).workers(index);
  };
  EXPECT_EQ(worker(0).ahead(), 0);
  EXPECT_EQ(worker(1).ahead(), 0);
  EXPECT_EQ(Outcome(a.get(), 4, {{4, 1}}), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(worker(0).state(), v1::WORKER_STATE_HELD_BACK);
  EXPECT_EQ(Outcome(b.get(), 2, {{5, 1}}, 1), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(State(), v1::RUN_STATE_FINISHED);
}

}  // namespace
}  // namespace gradd
