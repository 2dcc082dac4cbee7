// A run hands out the batches of its data set, and each of them is used up once.

#include "core/run/data_leases.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/run/run.h"
#include "core/run/run_registry.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_worker.h"
#include "tests/support/replayed_record.h"
#include "tests/support/specs.h"
#include "tests/support/update.h"
#include "tests/support/virtual_executor.h"

namespace gradd {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// `batches` batches of two examples; of several, the last one has one.
v1::Run WithBatches(v1::Run spec, int64_t batches) {
  spec.mutable_data()->set_examples(batches == 1 ? 2 : 2 * batches - 1);
  spec.mutable_data()->set_batch_size(2);
  spec.mutable_data()->set_epochs(1);
  spec.mutable_optimizer()->mutable_skip_non_finite();
  return spec;
}

// Nothing runs but what Settle() lets. At the end, the events have led to the run's record.
class DataLeasesTest : public testing::Test {
 protected:
  DataLeasesTest() {
    auto executor = std::make_unique<VirtualExecutor>(/*seed=*/1);
    executor_ = executor.get();
    registry_ = std::make_unique<RunRegistry>(Limits(), std::move(executor), &clock_);
    registry_->SetEventLogs([this](const std::string&) {
      replayed_ = std::make_shared<ReplayedRecord>();
      return replayed_;
    });
  }
  ~DataLeasesTest() override {
    state::v1::RunState state;
    if (run_ != nullptr) run_->WriteState(&state);
    if (run_ != nullptr) {
      EXPECT_EQ(replayed_->Compare(state, /*reads_back=*/true), "");
    }
    Settle();
  }

  void Create(const v1::Run& spec) { run_ = *registry_->Create("r", spec, ""); }
  std::unique_ptr<FakeWorker> Join(const std::string& worker, uint64_t instance = 1) {
    auto fake = std::make_unique<FakeWorker>(registry_.get(), "r", worker, instance);
    fake->join().set_sends_timelines(true);
    fake->Join();
    return fake;
  }
  void Settle() {
    while (executor_->RunOne()) {
    }
  }
  // What the worker gets when it asks; empty: nothing yet.
  std::vector<int64_t> Lease(FakeWorker* worker, int64_t count) {
    const size_t before = worker->leases().size();
    worker->LeaseBatches(count);
    Settle();
    const std::vector<v1::BatchLease> leases = worker->leases();
    return leases.size() == before ? std::vector<int64_t>() : NumbersOf(leases.back().ranges());
  }
  // What becomes of a push of these batches that says that it has so many examples, if that is
  // known at once; else 0.
  v1::PushResult Push(FakeWorker* worker, int64_t sequence,
                      const std::vector<std::pair<int64_t, int64_t>>& batches, int64_t examples,
                      double loss = 1) {
    const size_t before = worker->results().size();
    worker->SetBatches(batches);
    worker->Push(sequence, run_->Progress().step(), {1}, /*want_parameters=*/false, examples, loss);
    Settle();
    const std::vector<v1::PushResult> results = worker->results();
    return results.size() == before ? v1::PushResult() : results.back();
  }
  v1::PushOutcome Outcome(FakeWorker* worker, int64_t sequence,
                          const std::vector<std::pair<int64_t, int64_t>>& batches,
                          int64_t examples = 2, double loss = 1) {
    return Push(worker, sequence, batches, examples, loss).outcome();
  }
  // The worker is gone, and its lease ends; `others` give signs of life.
  void Lose(std::unique_ptr<FakeWorker> worker, const std::vector<FakeWorker*>& others) {
    worker->Disconnect();
    clock_.Advance(absl::Seconds(15));
    for (FakeWorker* other : others) {
      v1::TrainRequest request;
      request.mutable_heartbeat();
      other->Request(std::move(request));
    }
    registry_->Tick();
    Settle();
  }
  v1::DataProgress Data() const { return run_->Progress().data(); }
  v1::RunState State() const { return run_->Progress().state(); }

  FakeClock clock_;
  std::shared_ptr<ReplayedRecord> replayed_;
  VirtualExecutor* executor_ = nullptr;
  std::unique_ptr<RunRegistry> registry_;
  std::shared_ptr<gradd::Run> run_;
};

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

struct RefusedPush {
  const char* name;
  std::vector<std::pair<int64_t, int64_t>> batches;
  int64_t examples;
  const char* reason;
  const char* message;
};

TEST_F(DataLeasesTest, WhatAPushMayNotNameIsRefusedAndTheLeasesStay) {
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

// Where a worker is lost while its push waits, nobody is given what that push will use up.
TEST_F(DataLeasesTest, WhatIsInAPushThatWaitsGoesToNobodyElse) {
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

TEST_F(DataLeasesTest, OfTwoPushesForAStepTheLaterOneIsDropped) {
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
TEST_F(DataLeasesTest, ASkippedPushDoesNotUseUpWhatWaits) {
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

TEST_F(DataLeasesTest, SupersededAndStaleBatchesGoOutAgain) {
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

TEST_F(DataLeasesTest, ABatchThatIsSkippedTooOftenIsGivenUpAndNamed) {
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
TEST_F(DataLeasesTest, TheRunEndsWhenItsLastBatchIsGivenUp) {
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

TEST_F(DataLeasesTest, WhatIsTakenBackStaysLeased) {
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

// A new process pushes what it has, and is answered for what the old one pushed: what is lost so
// goes out again.
TEST_F(DataLeasesTest, WhatIsNotInThePushThatWaitsAlreadyGoesOutAgain) {
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
TEST_F(DataLeasesTest, WhatIsInOnesOwnPushThatWaitsIsNotGivenBack) {
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
TEST_F(DataLeasesTest, WhatIsNotInThePushThatCountsAlreadyGoesOutAgain) {
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
TEST_F(DataLeasesTest, WhatADuplicateNamesAndIsNoneIsIgnored) {
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
TEST_F(DataLeasesTest, WhatNobodyKnowsToHaveGoesOutAgain) {
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
TEST_F(DataLeasesTest, WhatIsNamedOnceMoreStaysLeased) {
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
TEST_F(DataLeasesTest, WhatGoesOutAgainMayStillBePushedByWhoHasNotHeardOfIt) {
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
TEST_F(DataLeasesTest, WhatIsTakenBackGoesToWhoeverWaits) {
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
TEST_F(DataLeasesTest, WhatOthersHaveUsedUpCountsForNobody) {
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

class DataWindowTest : public DataLeasesTest, public testing::WithParamInterface<bool> {};

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
