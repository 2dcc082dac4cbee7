// What the pushes of a run with a data set name: each batch is used up once, whatever becomes of
// the pushes.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/run/run.h"
#include "core/run/run_registry.h"
#include "tests/core/run/data_run_test.h"
#include "tests/support/fake_worker.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class DataPushesTest : public DataRunTest {};

struct RefusedPush {
  const char* name;
  std::vector<std::pair<int64_t, int64_t>> batches;
  int64_t examples;
  const char* reason;
  const char* message;
};

TEST_F(DataPushesTest, WhatAPushMayNotNameIsRefusedAndTheLeasesStay) {
  Create(WithBatches(AsynchronousSpec(1), 5000));
  const auto a = Join("a");
  const auto b = Join("b");
  EXPECT_THAT(Lease(a.get(), 3), ElementsAre(0, 1, 2));
  EXPECT_THAT(Lease(b.get(), 1), ElementsAre(3));
  EXPECT_EQ(Outcome(a.get(), 1, {{2, 1}}), v1::PUSH_OUTCOME_APPLIED);
  const RefusedPush rows[] = {
      {"none", {}, 2, "BATCHES_INVALID", "header.batches: empty, expected the batches"},
      {"never handed out",
       {{4, 1}},
       2,
       "BATCH_NOT_LEASED",
       "header.batches: batch 4 is not leased to worker \"a\", expected one that is"},
      {"another's", {{0, 1}, {3, 1}}, 4, "BATCH_NOT_LEASED", "batch 3 is not leased to"},
      {"used by itself",
       {{2, 1}},
       2,
       "BATCH_LEASE_ENDED",
       "worker \"a\" has no lease of batch 2 any more"},
      {"twice", {{0, 2}, {1, 1}}, 6, "BATCHES_INVALID", "header.batches: 1 is there twice"},
      {"out of range", {{5000, 1}}, 2, "BATCHES_INVALID", "5000 is outside [0, 5000)"},
      {"no count", {{0, 0}}, 2, "BATCHES_INVALID", "a count of 0 from 0 on is outside [1, 5000]"},
      {"too many", {{0, 4097}}, 2, "BATCHES_INVALID", "more than 4096 batches"},
      {"too few examples",
       {{0, 2}},
       2,
       "EXAMPLES_DIFFER",
       "header.examples: 2, expected 4, those of the batches"},
      {"too many examples", {{0, 1}}, 3, "EXAMPLES_DIFFER", "header.examples: 3, expected 2"},
  };
  for (const RefusedPush& row : rows) {
    const v1::PushResult result = Push(a.get(), 2, row.batches, row.examples);
    EXPECT_EQ(result.outcome(), v1::PUSH_OUTCOME_REJECTED) << row.name;
    EXPECT_EQ(result.reason(), row.reason) << row.name;
    EXPECT_THAT(result.message(), HasSubstr(row.message)) << row.name;
  }
  // Where the end says how many examples there are.
  a->SetBatches({{0, 2}});
  for (const int64_t examples : {3, 4}) {
    v1::Push push;
    push.mutable_header()->set_sequence(2);
    push.mutable_header()->set_base_step(1);
    *push.mutable_header()->mutable_batches() = RangesOf({{0, 2}});
    push.mutable_commit()->set_examples(examples);
    v1::TrainRequest request;
    *request.mutable_push() = std::move(push);
    const auto owner = std::make_shared<const std::vector<float>>(1, 1.0F);
    const Payload::Slice slice(reinterpret_cast<const std::byte*>(owner->data()), sizeof(float));
    request.mutable_push()->mutable_chunk();
    a->Request(std::move(request), Payload({slice}, owner));
    Settle();
    if (examples == 3) {
      EXPECT_EQ(a->results().back().reason(), "EXAMPLES_DIFFER");
    }
  }
  EXPECT_EQ(a->results().back().outcome(), v1::PUSH_OUTCOME_APPLIED);
}

// Where a worker is lost while its push waits, nobody is given what that push will use up.
TEST_F(DataPushesTest, WhatIsInAPushThatWaitsGoesToNobodyElse) {
  Create(WithBatches(SynchronousSpec(1, 3), 9));
  auto a = Join("a");
  const auto b = Join("b");
  const auto c = Join("c");
  EXPECT_THAT(Lease(a.get(), 2), ElementsAre(0, 1));
  EXPECT_EQ(Outcome(a.get(), 1, {{0, 1}}), v1::PUSH_OUTCOME_UNSPECIFIED);
  a->Leave();
  Settle();
  EXPECT_THAT(Lease(b.get(), 2), ElementsAre(1, 2));
  EXPECT_EQ(Outcome(b.get(), 1, {{1, 1}}), v1::PUSH_OUTCOME_UNSPECIFIED);
  EXPECT_THAT(Lease(c.get(), 1), ElementsAre(3));
  EXPECT_EQ(Outcome(c.get(), 1, {{3, 1}}), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(Data().used_batches(), 3);
  EXPECT_EQ(Data().returned_batches(), 0);
}

TEST_F(DataPushesTest, OfTwoPushesForAStepTheLaterOneIsDropped) {
  Create(WithBatches(SynchronousSpec(1, 2), 9));
  auto a = Join("a");
  const auto b = Join("b");
  EXPECT_THAT(Lease(a.get(), 2), ElementsAre(0, 1));
  Lose(std::move(a), {b.get()});
  EXPECT_THAT(Lease(b.get(), 3), ElementsAre(0, 1, 2));
  a = Join("a", /*instance=*/2);
  EXPECT_EQ(Outcome(a.get(), 1, {{0, 1}}), v1::PUSH_OUTCOME_UNSPECIFIED) << "it waits";
  EXPECT_EQ(Outcome(b.get(), 1, {{0, 1}, {2, 1}}, 4), v1::PUSH_OUTCOME_BATCH_USED);
  EXPECT_EQ(Outcome(b.get(), 2, {{0, 1}}, 2, kNaN), v1::PUSH_OUTCOME_REJECTED)
      << "it has it no more";
  EXPECT_THAT(Lease(b.get(), 1), ElementsAre(2)) << "0 is in a push that waits";
  EXPECT_EQ(Outcome(b.get(), 2, {{1, 1}}), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(a->results().back().outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(Data().used_batches(), 2);
}

// One that is skipped cannot take a batch from a push that waits.
TEST_F(DataPushesTest, ASkippedPushDoesNotUseUpWhatWaits) {
  v1::Run spec = WithBatches(SynchronousSpec(1, 2), 9);
  spec.mutable_data()->set_most_skips(1);
  Create(spec);
  auto a = Join("a");
  const auto b = Join("b");
  Lease(a.get(), 1);
  Lose(std::move(a), {b.get()});
  EXPECT_THAT(Lease(b.get(), 2), ElementsAre(0, 1));
  a = Join("a", /*instance=*/2);
  EXPECT_EQ(Outcome(a.get(), 1, {{0, 1}}), v1::PUSH_OUTCOME_UNSPECIFIED);
  EXPECT_EQ(Outcome(b.get(), 1, {{0, 1}}, 2, kNaN), v1::PUSH_OUTCOME_BATCH_USED);
  EXPECT_EQ(Data().skipped_batches(), 0);
  EXPECT_EQ(Outcome(b.get(), 2, {{1, 1}}), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(a->results().back().outcome(), v1::PUSH_OUTCOME_APPLIED);
}

TEST_F(DataPushesTest, SupersededAndStaleBatchesGoOutAgain) {
  v1::Run spec = WithBatches(AsynchronousSpec(1), 9);
  spec.mutable_policy()->mutable_asynchronous()->set_max_staleness(0);
  Create(spec);
  const auto a = Join("a");
  const auto b = Join("b");
  EXPECT_THAT(Lease(a.get(), 1), ElementsAre(0));
  EXPECT_THAT(Lease(b.get(), 1), ElementsAre(1));
  EXPECT_EQ(Outcome(a.get(), 1, {{0, 1}}), v1::PUSH_OUTCOME_APPLIED);
  b->SetBatches({{1, 1}});
  b->Push(1, /*base_step=*/0, {1}, false, /*examples=*/2);
  Settle();
  EXPECT_EQ(b->results().back().outcome(), v1::PUSH_OUTCOME_STALE);
  EXPECT_THAT(Lease(a.get(), 1), ElementsAre(1));
  run_ = nullptr;

  spec = WithBatches(SynchronousSpec(1, 2), 9);
  spec.mutable_policy()->mutable_synchronous()->mutable_deadline()->set_seconds(1);
  run_ = *registry_->Create("q", spec, "");
  FakeWorker c(registry_.get(), "q", "c", 1);
  FakeWorker d(registry_.get(), "q", "d", 1);
  c.Join();
  d.Join();
  EXPECT_THAT(Lease(&c, 1), ElementsAre(0));
  EXPECT_THAT(Lease(&d, 1), ElementsAre(1));
  EXPECT_EQ(Outcome(&c, 1, {{0, 1}}), v1::PUSH_OUTCOME_UNSPECIFIED);
  clock_.Advance(absl::Seconds(1));
  registry_->Tick();
  Settle();
  EXPECT_EQ(c.results().back().outcome(), v1::PUSH_OUTCOME_APPLIED);
  d.SetBatches({{1, 1}});
  d.Push(1, /*base_step=*/0, {1}, false, /*examples=*/2);
  Settle();
  EXPECT_EQ(d.results().back().outcome(), v1::PUSH_OUTCOME_SUPERSEDED);
  EXPECT_THAT(Lease(&c, 1), ElementsAre(1));
}

TEST_F(DataPushesTest, ABatchThatIsSkippedTooOftenIsGivenUpAndNamed) {
  Create(WithBatches(AsynchronousSpec(1), 2));
  const auto a = Join("a");
  const auto b = Join("b");
  int64_t sequence = 0;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Data().skipped_batches(), 0);
    EXPECT_THAT(Lease(a.get(), 1), ElementsAre(0)) << i;
    EXPECT_EQ(Outcome(a.get(), ++sequence, {{0, 1}}, 2, kNaN), v1::PUSH_OUTCOME_SKIPPED);
  }
  EXPECT_EQ(Data().skipped_batches(), 1);
  EXPECT_THAT(Data().last_skipped(), ElementsAre(0));
  EXPECT_EQ(Data().used_batches(), 1);
  bool named = false;
  for (const LogEntry& entry : registry_->log()->Take(clock_.Elapsed())) {
    named = named || entry.Line() ==
                         "batches given up: run=r worker=a batches=0 reason=\"their pushes were "
                         "not finite 3 times\" given_up=1 step=0";
  }
  EXPECT_TRUE(named);
  EXPECT_THAT(Lease(a.get(), 2), ElementsAre(1));
  EXPECT_THAT(Lease(b.get(), 1), IsEmpty());
  EXPECT_EQ(Outcome(a.get(), ++sequence, {{1, 1}}, 1), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(State(), v1::RUN_STATE_FINISHED);
}

// So do gradients that are not finite, and the run is over with the last batch that is given up.
TEST_F(DataPushesTest, TheRunEndsWhenItsLastBatchIsGivenUp) {
  v1::Run spec = WithBatches(AsynchronousSpec(1), 1);
  spec.mutable_data()->set_most_skips(1);
  Create(spec);
  const auto a = Join("a");
  const auto b = Join("b");
  Lease(a.get(), 1);
  EXPECT_THAT(Lease(b.get(), 1), IsEmpty());
  a->SetBatches({{0, 1}});
  a->Push(1, 0, {std::numeric_limits<float>::quiet_NaN()}, false, /*examples=*/2);
  Settle();
  EXPECT_EQ(a->results().back().outcome(), v1::PUSH_OUTCOME_SKIPPED);
  EXPECT_EQ(State(), v1::RUN_STATE_FINISHED);
  ASSERT_THAT(b->leases(), SizeIs(1));
  EXPECT_TRUE(b->leases()[0].ended());
  EXPECT_THAT(b->events(), ElementsAre(v1::RUN_EVENT_KIND_FINISHED));
}

TEST_F(DataPushesTest, WhatIsTakenBackStaysLeased) {
  Create(WithBatches(SynchronousSpec(1, 2), 3));
  const auto a = Join("a");
  const auto b = Join("b");
  EXPECT_THAT(Lease(a.get(), 1), ElementsAre(0));
  EXPECT_EQ(Outcome(a.get(), 1, {{0, 1}}), v1::PUSH_OUTCOME_UNSPECIFIED);
  a->Abort(1);
  Settle();
  EXPECT_EQ(a->results().back().outcome(), v1::PUSH_OUTCOME_ABORTED);
  EXPECT_EQ(Data().leased_batches(), 1);
  EXPECT_EQ(Outcome(a.get(), 1, {{0, 1}}), v1::PUSH_OUTCOME_UNSPECIFIED);
  EXPECT_THAT(Lease(b.get(), 1), ElementsAre(1));
  EXPECT_EQ(Outcome(b.get(), 1, {{1, 1}}), v1::PUSH_OUTCOME_APPLIED);
}

// A new process pushes what it has, and is answered for what the old one pushed: what is lost so
// goes out again.
TEST_F(DataPushesTest, WhatIsNotInThePushThatWaitsAlreadyGoesOutAgain) {
  Create(WithBatches(SynchronousSpec(1, 2), 9));
  auto a = Join("a");
  const auto b = Join("b");
  EXPECT_THAT(Lease(a.get(), 4), ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(Outcome(a.get(), 1, {{0, 2}}, 4), v1::PUSH_OUTCOME_UNSPECIFIED);
  a->Disconnect();
  a = Join("a", /*instance=*/2);
  EXPECT_THAT(NumbersOf(a->welcome()->data().leased()), ElementsAre(2, 3));
  EXPECT_EQ(Outcome(a.get(), 1, {{2, 1}}), v1::PUSH_OUTCOME_UNSPECIFIED);
  EXPECT_THAT(Lease(b.get(), 1), ElementsAre(4));
  EXPECT_EQ(Outcome(b.get(), 1, {{4, 1}}), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(a->results().back().outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(Data().used_batches(), 3);
  EXPECT_EQ(Data().leased_batches(), 1);
  EXPECT_THAT(Lease(b.get(), 1), ElementsAre(2));
}

// What waits counts, whatever its worker says of its batches.
TEST_F(DataPushesTest, WhatIsInOnesOwnPushThatWaitsIsNotGivenBack) {
  Create(WithBatches(SynchronousSpec(1, 2), 9));
  const auto a = Join("a");
  const auto b = Join("b");
  EXPECT_THAT(Lease(a.get(), 2), ElementsAre(0, 1));
  EXPECT_EQ(Outcome(a.get(), 1, {{0, 1}}), v1::PUSH_OUTCOME_UNSPECIFIED);
  a->ReturnBatches({{0, 2}});
  EXPECT_THAT(Lease(b.get(), 2), ElementsAre(1, 2));
  EXPECT_EQ(Outcome(b.get(), 1, {{1, 1}}), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(Data().used_batches(), 2);
  // Where it comes to nothing, they go out again.
  EXPECT_THAT(Lease(a.get(), 1), ElementsAre(3));
  EXPECT_EQ(Outcome(a.get(), 2, {{3, 1}}), v1::PUSH_OUTCOME_UNSPECIFIED);
  a->ReturnBatches({{3, 1}});
  a->Abort(2);
  Settle();
  EXPECT_EQ(a->results().back().outcome(), v1::PUSH_OUTCOME_ABORTED);
  EXPECT_THAT(Lease(b.get(), 1), ElementsAre(3));
}

// A new process pushes before the old one's push is answered, and is told only afterwards that its
// sequence counts already.
TEST_F(DataPushesTest, WhatIsNotInThePushThatCountsAlreadyGoesOutAgain) {
  Create(WithBatches(SynchronousSpec(1, 2), 5));
  auto a = Join("a");
  const auto b = Join("b");
  EXPECT_THAT(Lease(a.get(), 2), ElementsAre(0, 1));
  EXPECT_EQ(Outcome(a.get(), 1, {{0, 1}}), v1::PUSH_OUTCOME_UNSPECIFIED);
  a->Disconnect();
  a = Join("a", /*instance=*/2);
  EXPECT_EQ(a->welcome()->last_sequence(), 0);
  EXPECT_THAT(NumbersOf(a->welcome()->data().leased()), ElementsAre(1));
  EXPECT_THAT(Lease(b.get(), 1), ElementsAre(2));
  EXPECT_EQ(Outcome(b.get(), 1, {{2, 1}}), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(Outcome(a.get(), 1, {{0, 2}}, 4), v1::PUSH_OUTCOME_DUPLICATE);
  EXPECT_EQ(Data().leased_batches(), 0);
  EXPECT_THAT(Lease(b.get(), 3), ElementsAre(1, 3, 4));
  EXPECT_EQ(Outcome(a.get(), 1, {{1, 1}}), v1::PUSH_OUTCOME_DUPLICATE) << "they are b's";
  EXPECT_EQ(Data().leased_batches(), 3);
  EXPECT_EQ(Outcome(b.get(), 2, {{1, 1}, {3, 2}}, 5), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(State(), v1::RUN_STATE_FINISHED);
}

// Nobody has checked what it names, and the sequence is what counts.
TEST_F(DataPushesTest, WhatADuplicateNamesAndIsNoneIsIgnored) {
  Create(WithBatches(SynchronousSpec(1, 2), 9));
  auto a = Join("a");
  const auto b = Join("b");
  EXPECT_THAT(Lease(a.get(), 4), ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(Outcome(a.get(), 1, {{0, 1}}), v1::PUSH_OUTCOME_UNSPECIFIED);
  a->Disconnect();
  a = Join("a", /*instance=*/2);
  EXPECT_EQ(Outcome(a.get(), 1, {{1, 1}, {1, 1}, {9, 1}, {3, 1}}), v1::PUSH_OUTCOME_UNSPECIFIED);
  EXPECT_THAT(Lease(b.get(), 1), ElementsAre(4));
  EXPECT_EQ(Outcome(b.get(), 1, {{4, 1}}), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(Data().leased_batches(), 2) << "2 and 3";
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(Outcome(a.get(), 1, {{2, 1}, {-1, 4}, {3, 1}}), v1::PUSH_OUTCOME_DUPLICATE);
  EXPECT_EQ(Data().leased_batches(), 1) << "3";
  EXPECT_EQ(Outcome(a.get(), 1, {{3, kMost}}), v1::PUSH_OUTCOME_DUPLICATE);
  EXPECT_EQ(Data().leased_batches(), 0);
}

// A new process was never told of what is in the push of the old one.
TEST_F(DataPushesTest, WhatNobodyKnowsToHaveGoesOutAgain) {
  Create(WithBatches(SynchronousSpec(1, 2), 4));
  auto a = Join("a");
  const auto b = Join("b");
  EXPECT_THAT(Lease(a.get(), 2), ElementsAre(0, 1));
  EXPECT_EQ(Outcome(a.get(), 1, {{0, 1}}), v1::PUSH_OUTCOME_UNSPECIFIED);
  EXPECT_THAT(Lease(b.get(), 2), ElementsAre(2, 3));
  a->Disconnect();
  a = Join("a", /*instance=*/2);
  EXPECT_THAT(Lease(b.get(), 2), IsEmpty()) << "it waits";
  EXPECT_EQ(Outcome(a.get(), 1, {{1, 1}}), v1::PUSH_OUTCOME_UNSPECIFIED);
  a->Abort(1);
  Settle();
  EXPECT_EQ(a->results().back().outcome(), v1::PUSH_OUTCOME_ABORTED);
  ASSERT_THAT(b->leases(), SizeIs(2));
  EXPECT_THAT(NumbersOf(b->leases()[1].ranges()), ElementsAre(0));
  // What it was told of is still its own.
  EXPECT_EQ(Outcome(a.get(), 1, {{1, 1}}), v1::PUSH_OUTCOME_UNSPECIFIED);
  EXPECT_EQ(Outcome(b.get(), 1, {{0, 1}}), v1::PUSH_OUTCOME_APPLIED);
}

// The same process pushes it once more: it knows what it has.
TEST_F(DataPushesTest, WhatIsNamedOnceMoreStaysLeased) {
  Create(WithBatches(SynchronousSpec(1, 2), 4));
  auto a = Join("a");
  const auto b = Join("b");
  EXPECT_THAT(Lease(a.get(), 2), ElementsAre(0, 1));
  EXPECT_EQ(Outcome(a.get(), 1, {{0, 1}}), v1::PUSH_OUTCOME_UNSPECIFIED);
  a->Disconnect();
  a = Join("a");
  EXPECT_THAT(NumbersOf(a->welcome()->data().leased()), ElementsAre(1));
  EXPECT_EQ(Outcome(a.get(), 1, {{0, 1}}), v1::PUSH_OUTCOME_UNSPECIFIED);
  a->Abort(1);
  Settle();
  EXPECT_EQ(a->results().back().outcome(), v1::PUSH_OUTCOME_ABORTED);
  EXPECT_EQ(Data().leased_batches(), 2);
  EXPECT_EQ(Outcome(a.get(), 1, {{0, 2}}, 4), v1::PUSH_OUTCOME_UNSPECIFIED);
}

// It was away when its push was refused, and pushes it once more when it is back: that counts, if
// nobody else was faster.
TEST_F(DataPushesTest, WhatGoesOutAgainMayStillBePushedByWhoHasNotHeardOfIt) {
  v1::Run spec = WithBatches(SynchronousSpec(1, 2), 4);
  spec.mutable_optimizer()->mutable_adam();  // It squares gradients.
  Create(spec);
  auto a = Join("a");
  const auto b = Join("b");
  EXPECT_THAT(Lease(a.get(), 1), ElementsAre(0));
  EXPECT_THAT(Lease(b.get(), 1), ElementsAre(1));
  a->SetBatches({{0, 1}});
  a->Push(1, 0, {std::numeric_limits<float>::max()}, /*want_parameters=*/false, /*examples=*/2);
  Settle();
  a->Disconnect();
  a = Join("a");
  b->SetBatches({{1, 1}});
  b->Push(1, 0, {std::numeric_limits<float>::max()}, /*want_parameters=*/false, /*examples=*/2);
  Settle();
  ASSERT_THAT(b->results(), SizeIs(1));
  EXPECT_EQ(b->results()[0].reason(), "GRADIENT_TOO_LARGE");
  EXPECT_EQ(Data().leased_batches(), 1) << "b has heard of it";
  EXPECT_THAT(Lease(b.get(), 1), ElementsAre(0));
  EXPECT_EQ(Outcome(a.get(), 1, {{0, 1}}), v1::PUSH_OUTCOME_UNSPECIFIED) << "it waits";
  EXPECT_EQ(Outcome(b.get(), 1, {{0, 1}}), v1::PUSH_OUTCOME_BATCH_USED);
  EXPECT_EQ(Outcome(b.get(), 2, {{1, 1}}), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(a->results().back().outcome(), v1::PUSH_OUTCOME_APPLIED);
}

// A worker was lost while its push waited, so that nobody has its batches when it takes that back.
TEST_F(DataPushesTest, WhatIsTakenBackGoesToWhoeverWaits) {
  Create(WithBatches(SynchronousSpec(1, 3), 3));
  auto a = Join("a");
  const auto b = Join("b");
  const auto c = Join("c");
  EXPECT_THAT(Lease(a.get(), 1), ElementsAre(0));
  EXPECT_THAT(Lease(b.get(), 2), ElementsAre(1, 2));
  EXPECT_EQ(Outcome(a.get(), 1, {{0, 1}}), v1::PUSH_OUTCOME_UNSPECIFIED);
  Lose(std::move(a), {b.get(), c.get()});
  EXPECT_THAT(Lease(c.get(), 1), IsEmpty());
  a = Join("a", /*instance=*/2);
  a->SetBatches({{0, 1}});
  a->PushPart(1, 0, {});
  a->Abort(1);
  Settle();
  EXPECT_EQ(a->results().back().outcome(), v1::PUSH_OUTCOME_ABORTED);
  ASSERT_THAT(c->leases(), SizeIs(1));
  EXPECT_THAT(NumbersOf(c->leases()[0].ranges()), ElementsAre(0));
}

// Its numbers are used up by the one that had them before.
TEST_F(DataPushesTest, WhatOthersHaveUsedUpCountsForNobody) {
  Create(WithBatches(AsynchronousSpec(1), 9000));
  auto a = Join("a");
  const auto b = Join("b");
  EXPECT_THAT(Lease(a.get(), 4096), SizeIs(4096));
  Lose(std::move(a), {b.get()});
  EXPECT_THAT(Lease(b.get(), 4096), SizeIs(4096));
  EXPECT_THAT(Lease(b.get(), 1), IsEmpty());
  a = Join("a", /*instance=*/2);
  EXPECT_EQ(Outcome(a.get(), 1, {{0, 4096}}, 8192), v1::PUSH_OUTCOME_APPLIED);
  ASSERT_THAT(b->leases(), SizeIs(2));
  EXPECT_THAT(NumbersOf(b->leases()[1].ranges()), ElementsAre(4096));
  b->ReturnBatches({{0, 4096}});
  Settle();
  state::v1::RunState state;
  run_->WriteState(&state);
  ASSERT_EQ(state.data().held_size(), 1);
  EXPECT_THAT(NumbersOf(state.data().held(0).ranges()), ElementsAre(4096));
}

// Its gradient is finite, and its correction is not.
TEST_F(DataPushesTest, WhatACorrectionMakesInfiniteIsSkippedWithItsBatches) {
  v1::Run spec = WithBatches(AsynchronousSpec(1), 3);
  spec.mutable_policy()->mutable_asynchronous()->mutable_delay_compensation()->set_strength(1);
  spec.mutable_data()->set_most_skips(1);
  Create(spec);
  const auto a = Join("a");
  const auto b = Join("b");
  EXPECT_THAT(Lease(a.get(), 1), ElementsAre(0));
  EXPECT_THAT(Lease(b.get(), 2), ElementsAre(1, 2));
  EXPECT_EQ(Outcome(a.get(), 1, {{0, 1}}), v1::PUSH_OUTCOME_APPLIED);
  b->SetBatches({{1, 1}});
  b->Push(1, /*base_step=*/0, {1e30F}, /*want_parameters=*/false, /*examples=*/2);
  Settle();
  ASSERT_THAT(b->results(), SizeIs(1));
  EXPECT_EQ(b->results()[0].outcome(), v1::PUSH_OUTCOME_SKIPPED);
  EXPECT_THAT(Data().last_skipped(), ElementsAre(1));
  EXPECT_EQ(Data().leased_batches(), 1);
  EXPECT_EQ(Outcome(b.get(), 2, {{2, 1}}, 1), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(State(), v1::RUN_STATE_FINISHED);
}

// Room for the pushes of one step of two workers, and a little more.
class DataRoomTest : public DataRunTest {
 protected:
  static constexpr int64_t kElements = 1000;
  static Limits RoomForTwo() {
    Limits limits;
    limits.max_staged_bytes = 2 * kElements * static_cast<int64_t>(sizeof(float)) + 100;
    return limits;
  }
  DataRoomTest() : DataRunTest(RoomForTwo()) {}
  static void Send(FakeWorker* worker, const std::vector<std::pair<int64_t, int64_t>>& batches) {
    worker->SetBatches(batches);
    worker->Push(1, /*base_step=*/0, std::vector<float>(kElements, 1), /*want_parameters=*/false,
                 /*examples=*/2);
  }
};

// Who is told to push again does so with what it has.
TEST_F(DataRoomTest, WhatIsToBePushedAgainStaysLeased) {
  Create(WithBatches(SynchronousSpec(kElements, 2), 4));
  const auto a = Join("a");
  const auto b = Join("b");
  EXPECT_THAT(Lease(a.get(), 1), ElementsAre(0));
  Send(a.get(), {{0, 1}});
  Settle();
  ASSERT_TRUE(run_->Pause("ada").ok());
  Settle();
  // Another run needs the room.
  ASSERT_TRUE(registry_->Create("other", SynchronousSpec(kElements, 2), "").ok());
  FakeWorker c(registry_.get(), "other", "c");
  FakeWorker d(registry_.get(), "other", "d");
  for (FakeWorker* const worker : {&c, &d}) worker->Join();
  for (FakeWorker* const worker : {&c, &d}) Send(worker, {});
  Settle();
  ASSERT_THAT(a->results(), SizeIs(1));
  EXPECT_EQ(a->results()[0].outcome(), v1::PUSH_OUTCOME_RESEND);
  EXPECT_EQ(c.results().back().outcome(), v1::PUSH_OUTCOME_APPLIED);

  EXPECT_EQ(Data().leased_batches(), 1);
  EXPECT_EQ(Data().returned_batches(), 0);
  EXPECT_THAT(Lease(b.get(), 1), ElementsAre(1)) << "0 is a's";
  ASSERT_TRUE(run_->Resume("ada").ok());
  Send(b.get(), {{1, 1}});
  Send(a.get(), {{0, 1}});
  Settle();
  EXPECT_EQ(a->results().back().outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(Data().used_batches(), 2);
  EXPECT_EQ(run_->Progress().step(), 1);
}

// A new process was never told of what is in the push of the old one, which has not come to be.
TEST_F(DataRoomTest, WhatTheOldProcessIsToPushAgainGoesOutAgain) {
  Create(WithBatches(SynchronousSpec(kElements, 2), 4));
  auto a = Join("a");
  const auto b = Join("b");
  EXPECT_THAT(Lease(a.get(), 2), ElementsAre(0, 1));
  Send(a.get(), {{0, 1}});
  Settle();
  a->Disconnect();
  a = Join("a", /*instance=*/2);
  EXPECT_THAT(NumbersOf(a->welcome()->data().leased()), ElementsAre(1));
  ASSERT_TRUE(run_->Pause("ada").ok());
  ASSERT_TRUE(registry_->Create("other", SynchronousSpec(kElements, 2), "").ok());
  FakeWorker c(registry_.get(), "other", "c");
  FakeWorker d(registry_.get(), "other", "d");
  for (FakeWorker* const worker : {&c, &d}) worker->Join();
  for (FakeWorker* const worker : {&c, &d}) Send(worker, {});
  Settle();
  EXPECT_EQ(c.results().back().outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(Data().leased_batches(), 1) << "what it was told of";
  EXPECT_THAT(Lease(b.get(), 1), ElementsAre(0));
}

}  // namespace
}  // namespace gradd
