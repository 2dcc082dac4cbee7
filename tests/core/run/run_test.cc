#include "core/run/run.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "core/base/error.h"
#include "core/run/run_registry.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_worker.h"
#include "tests/support/no_claims.h"
#include "tests/support/specs.h"
#include "tests/support/update.h"

namespace gradd {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using Values = std::vector<float>;

class RunTest : public testing::Test {
 protected:
  std::shared_ptr<gradd::Run> Create(const v1::Run& spec, const std::string& run_id = "r") {
    auto run = registry_.Create(run_id, spec, "");
    EXPECT_TRUE(run.ok()) << run.status();
    return run.ok() ? *run : nullptr;
  }
  std::unique_ptr<FakeWorker> Join(const std::string& worker, uint64_t instance = 0) {
    auto fake = std::make_unique<FakeWorker>(&registry_, "r", worker, instance);
    fake->Join();
    return fake;
  }
  Values Parameters(gradd::Run* run, SnapshotContents contents = SnapshotContents::kEvaluation) {
    Values values;
    run->RequestSnapshot(contents, [&](const std::shared_ptr<const Snapshot>& snapshot) {
      values = ValuesOf(*snapshot);
    });
    return values;
  }
  void Pass(absl::Duration duration) {
    clock_.Advance(duration);
    registry_.Tick();
  }

  FakeClock clock_;
  RunRegistry registry_{Limits(), /*threads=*/2, &clock_};
};

// ---- Synchronous ----

TEST_F(RunTest, AStepHappensWhenTheGradientsOfAllWorkersAreIn) {
  const auto run = Create(SynchronousSpec(2, 2));
  const auto a = Join("a");
  const auto b = Join("b");
  a->Push(1, 0, {1, 2});
  EXPECT_THAT(a->results(), IsEmpty());
  EXPECT_EQ(run->Progress().step(), 0);
  b->Push(1, 0, {3, 6}, /*want_parameters=*/true);
  EXPECT_EQ(a->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(a->WaitForResult(0).step(), 1);
  EXPECT_FALSE(a->WaitForResult(0).parameters_follow());
  EXPECT_TRUE(b->WaitForResult(0).parameters_follow());
  EXPECT_EQ(b->WaitForParameters(1), Values({-2, -4}));
}

TEST_F(RunTest, BlocksLeaveWhileTheStepIsStillBeingApplied) {
  constexpr int64_t kElements = 3 * kBlockElements;
  Create(SynchronousSpec(kElements, 2));
  const auto a = Join("a");
  const auto b = Join("b");
  for (int step = 0; step < 5; ++step) {
    a->Push(step + 1, step, Values(kElements, 1), /*want_parameters=*/true);
    b->Push(step + 1, step, Values(kElements, 3), /*want_parameters=*/true);
    const Values expected(kElements, static_cast<float>(-2 * (step + 1)));
    ASSERT_EQ(a->WaitForParameters(step + 1), expected);
    ASSERT_EQ(b->WaitForParameters(step + 1), expected);
    ASSERT_EQ(a->WaitForResult(static_cast<size_t>(step)).step(), step + 1);
    EXPECT_EQ(a->snapshots_sent_early(), step + 1);
  }
}

TEST_F(RunTest, SumsOverAllBlocksAndTheMeanLossComeBeforeTheUpdate) {
  constexpr int64_t kElements = 3 * kBlockElements;
  v1::Run spec = SynchronousSpec(kElements, 2);
  spec.mutable_optimizer()->mutable_polyak_step_size();
  // Two passes: the norm of the gradient as it comes, then that of the bounded one.
  spec.mutable_optimizer()->set_clip_by_global_norm(std::sqrt(static_cast<double>(kElements)));
  Create(spec);
  const auto a = Join("a");
  const auto b = Join("b");
  a->Push(1, 0, Values(kElements, 1), /*want_parameters=*/false, /*examples=*/1, /*loss=*/1);
  b->Push(1, 0, Values(kElements, 3), /*want_parameters=*/true, /*examples=*/1, /*loss=*/3);
  // The mean gradient is 2, bounded 1; the step size 2 / (0.5 * kElements).
  const double expected = -4.0 / kElements;
  for (const float p : b->WaitForParameters(1)) ASSERT_NEAR(p, expected, 1e-6 * -expected);
}

TEST_F(RunTest, AWorkerThatDoesNotReadKeepsOneVersionOfTheParametersAtMost) {
  const auto run = Create(AsynchronousSpec(1));
  const auto reader = Join("reader");
  const auto greedy = Join("greedy");
  greedy->HoldParameters();
  greedy->Push(1, 0, {1}, /*want_parameters=*/true);
  for (int step = 1; step < 5; ++step) {
    reader->Push(step, step, {1});
    reader->WaitForResult(static_cast<size_t>(step - 1));
    greedy->Push(1, 0, {1}, /*want_parameters=*/true);  // A duplicate.
  }
  EXPECT_EQ(greedy->snapshots(), 1u);
  EXPECT_GT(greedy->requests_held(), 0u);
}

TEST_F(RunTest, AWorkerThatLeavesUnreadParametersBehindIsNotWaitedFor) {
  const auto run = Create(AsynchronousSpec(1));
  const auto polite = Join("polite");
  polite->Push(1, 0, {1});
  polite->WaitForResult(0);
  polite->Leave();
  EXPECT_FALSE(polite->abandoned());
  const auto rude = Join("rude");
  rude->HoldParameters();
  rude->Push(1, 0, {1}, /*want_parameters=*/true);
  rude->WaitForParameters(1);
  rude->Leave();
  EXPECT_TRUE(rude->WaitForEnd().ok());
  EXPECT_TRUE(rude->abandoned());
}

TEST_F(RunTest, ANextPushDoesNotRenewTheLeaseOfAWorkerThatDoesNotRead) {
  const auto run = Create(AsynchronousSpec(1));
  const auto a = Join("a");
  a->HoldParameters();
  a->Push(1, 0, {1}, /*want_parameters=*/true);
  a->WaitForParameters(1);
  a->Push(2, 1, {1}, /*want_parameters=*/true);
  EXPECT_GT(a->requests_held(), 0u);
  for (int i = 0; i < 20; ++i) Pass(absl::Seconds(1));
  EXPECT_EQ(a->WaitForEnd().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(RunTest, TheProfileSaysWhereTimeGoes) {
  const auto run = Create(SynchronousSpec(1, 2));
  const auto a = Join("a");
  const auto b = Join("b");
  EXPECT_FALSE(run->Progress().has_profile());
  a->Push(1, 0, {1});
  clock_.Advance(absl::Seconds(2));
  b->Push(1, 0, {1}, /*want_parameters=*/true);
  b->WaitForParameters(1);
  const v1::StepProfile profile = run->Progress().profile();
  // One of the two waited for two seconds, the other one not at all.
  EXPECT_GT(profile.wait_seconds(), 0.9);
  EXPECT_LT(profile.wait_seconds(), 1.1);
  EXPECT_EQ(profile.receive_seconds(), 0);
  EXPECT_EQ(run->ReadMetrics().profile.totals()[StepProfile::kWait], 2);
}

TEST_F(RunTest, ASharedGradientWithoutSharedMemoryIsRefused) {
  const auto run = Create(SynchronousSpec(1, 1));
  const auto a = Join("a");
  v1::TrainRequest request;
  v1::Push& push = *request.mutable_push();
  push.mutable_header()->set_sequence(1);
  push.mutable_header()->set_examples(1);
  push.set_gradient_is_shared(true);
  push.mutable_commit();
  a->Request(request);
  EXPECT_EQ(a->WaitForResult(0).reason(), "NOT_SHARED");
  EXPECT_EQ(run->Progress().step(), 0);
}

TEST_F(RunTest, SharedMemoryIsOfferedToWorkersOnThisHostForAsLongAsThereIsRoom) {
  Limits limits;
  limits.max_shared_bytes = 2 * PageBytes();
  RunRegistry registry(limits, 1, &clock_);
  ASSERT_TRUE(registry.Create("r", SynchronousSpec(10, 3), "").ok());
  const auto join = [&](const std::string& name, bool same_host) {
    auto worker = std::make_unique<FakeWorker>(&registry, "r", name);
    if (same_host) worker->SetSameHost();
    v1::TrainRequest request;
    request.mutable_join()->set_run("runs/r");
    request.mutable_join()->set_worker(name);
    request.mutable_join()->set_want_shared_memory(true);
    worker->Request(request);
    return worker;
  };
  const auto far = join("far", false);
  EXPECT_FALSE(far->welcome()->has_shared_memory());
  const auto first = join("first", true);
  EXPECT_TRUE(first->welcome()->has_shared_memory());
  EXPECT_NE(first->welcome()->shared_memory().gradient().token(),
            first->welcome()->shared_memory().parameters().token());
  const auto second = join("second", true);
  EXPECT_TRUE(second->welcome()->has_shared_memory());
  EXPECT_FALSE(join("third", true)->welcome()->has_shared_memory());
}

TEST_F(RunTest, GradientsAreWeightedByExamples) {
  const auto run = Create(SynchronousSpec(1, 2));
  const auto a = Join("a");
  const auto b = Join("b");
  a->Push(1, 0, {1}, false, /*examples=*/30, /*loss=*/2);
  b->Push(1, 0, {5}, false, /*examples=*/10, /*loss=*/4);
  EXPECT_EQ(Parameters(run.get()), Values({-2}));
  EXPECT_DOUBLE_EQ(run->Progress().loss(), 2.5);
  EXPECT_EQ(run->Progress().examples(), 40);
}

TEST_F(RunTest, NoStepHappensBeforeAllWorkersHaveCome) {
  const auto run = Create(SynchronousSpec(1, 2));
  const auto a = Join("a");
  a->Push(1, 0, {1});
  Pass(absl::Seconds(10));
  EXPECT_EQ(run->Progress().step(), 0);
}

TEST_F(RunTest, ADeadWorkerHoldsTheOthersNoLongerThanItsLease) {
  const auto run = Create(SynchronousSpec(1, 2));
  const auto a = Join("a");
  auto b = Join("b");
  a->Push(1, 0, {1});
  b->Disconnect();
  Pass(absl::Seconds(14));
  EXPECT_EQ(run->Progress().step(), 0) << "it may still come back";
  Pass(absl::Seconds(2));
  EXPECT_EQ(run->Progress().step(), 1);
  EXPECT_EQ(run->Describe(gradd::Run::Detail::kFull).workers(1).state(), v1::WORKER_STATE_EXPIRED);
  a->Push(2, 1, {1});
  EXPECT_EQ(run->Progress().step(), 2) << "the run goes on with those that live";
}

TEST_F(RunTest, ASilentWorkerLosesItsSessionAndItsPlace) {
  const auto run = Create(SynchronousSpec(1, 2));
  const auto a = Join("a");
  const auto b = Join("b");
  a->Push(1, 0, {1});
  Pass(absl::Seconds(16));
  EXPECT_EQ(b->WaitForEnd().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(a->end(), std::nullopt) << "it waits for the server and is not to blame";
  EXPECT_EQ(run->Progress().step(), 1);
}

TEST_F(RunTest, AWorkerThatDoesNotTakeItsParametersLosesItsSessionAndItsPlace) {
  const auto run = Create(SynchronousSpec(1, 2));
  const auto a = Join("a");
  FakeWorker b(&registry_, "r", "b");
  b.HoldParameters();
  b.Join(/*want_parameters=*/true);
  a->Push(1, 0, {1});
  Pass(absl::Seconds(14));
  EXPECT_EQ(b.end(), std::nullopt);
  Pass(absl::Seconds(2));
  const absl::Status end = b.WaitForEnd();
  EXPECT_EQ(end.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(end.message(), testing::HasSubstr("read nothing of its parameters"));
  EXPECT_EQ(run->Progress().step(), 1);
}

TEST_F(RunTest, ParametersThatMoveRenewTheLease) {
  Create(SynchronousSpec(1, 2));
  FakeWorker a(&registry_, "r", "a");
  a.HoldParameters();
  a.Join(/*want_parameters=*/true);
  for (int i = 0; i < 5; ++i) {
    Pass(absl::Seconds(10));
    a.MoveParameters();
  }
  EXPECT_EQ(a.end(), std::nullopt);
}

TEST_F(RunTest, HeartbeatsRenewTheLease) {
  Create(SynchronousSpec(1, 2));
  const auto a = Join("a");
  for (int i = 0; i < 10; ++i) {
    Pass(absl::Seconds(10));
    v1::TrainRequest heartbeat;
    heartbeat.mutable_heartbeat();
    a->Request(heartbeat);
  }
  EXPECT_EQ(a->end(), std::nullopt);
}

TEST_F(RunTest, AStepNeverWaitsLongerThanItsDeadline) {
  v1::Run spec = SynchronousSpec(1, 3);
  spec.mutable_policy()->mutable_synchronous()->mutable_deadline()->set_seconds(5);
  const auto run = Create(spec);
  const auto a = Join("a");
  const auto b = Join("b");
  a->Push(1, 0, {1});
  Pass(absl::Seconds(4));
  EXPECT_EQ(run->Progress().step(), 0);
  Pass(absl::Seconds(1));
  EXPECT_EQ(run->Progress().step(), 1);
  b->Push(1, 0, {100});
  EXPECT_EQ(b->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_SUPERSEDED);
  EXPECT_EQ(Parameters(run.get()), Values({-1}));
  b->Push(2, 1, {1});
  EXPECT_THAT(b->results(), testing::SizeIs(1)) << "its next push counts for the next step";
}

TEST_F(RunTest, ALeavingWorkerIsNotWaitedFor) {
  const auto run = Create(SynchronousSpec(1, 2));
  const auto a = Join("a");
  const auto b = Join("b");
  a->Push(1, 0, {1});
  b->Leave();
  EXPECT_TRUE(b->WaitForEnd().ok());
  EXPECT_EQ(run->Progress().step(), 1);
}

TEST_F(RunTest, ACompletePushCountsEvenIfItsWorkerIsGone) {
  const auto run = Create(SynchronousSpec(1, 2));
  const auto a = Join("a");
  const auto b = Join("b");
  a->Push(1, 0, {2});
  a->Disconnect();
  b->Push(1, 0, {4});
  EXPECT_EQ(Parameters(run.get()), Values({-3}));
}

TEST_F(RunTest, AnIncompletePushLeavesNoTrace) {
  const auto run = Create(SynchronousSpec(3, 1));
  auto a = Join("a");
  v1::TrainRequest request;
  request.mutable_push()->mutable_header()->set_sequence(1);
  request.mutable_push()->mutable_header()->set_examples(1);
  const float value = 1;
  const Payload data({{reinterpret_cast<const std::byte*>(&value), 4}}, nullptr);
  a->Request(request, data);
  EXPECT_EQ(run->Describe(gradd::Run::Detail::kFull).workers(0).state(), v1::WORKER_STATE_PUSHING);
  a->Disconnect();
  AwaitNoClaims(registry_);
  a = Join("a");
  EXPECT_EQ(a->welcome()->last_sequence(), 0);
  a->Push(1, 0, {1, 2, 3});
  EXPECT_EQ(Parameters(run.get()), Values({-1, -2, -3}));
}

// Same pushes, same bits: whatever the threads, blocks, chunks and order of arrival.
Values TrainOnce(int threads, int64_t block_elements, unsigned timing_seed) {
  constexpr int64_t kElements = 150'000;
  constexpr int kWorkers = 3;
  constexpr int kSteps = 12;
  FakeClock clock;
  RunRegistry registry(Limits(), threads, &clock, block_elements);
  v1::Run spec = SynchronousSpec(kElements, kWorkers);
  spec.mutable_optimizer()->mutable_adam();
  spec.mutable_optimizer()->set_weight_decay(0.01);
  spec.mutable_schedule()->set_learning_rate(0.01);
  spec.mutable_layout()->mutable_tensors(0)->mutable_initializer()->mutable_uniform()->set_high(1);
  const auto run = *registry.Create("r", spec, "");
  std::vector<std::unique_ptr<FakeWorker>> workers;
  for (int w = 0; w < kWorkers; ++w) {
    workers.push_back(std::make_unique<FakeWorker>(&registry, "r", "w" + std::to_string(w)));
    workers.back()->Join();
  }
  std::mt19937 timing(timing_seed);
  for (int step = 0; step < kSteps; ++step) {
    std::vector<int> order = {0, 1, 2};
    std::shuffle(order.begin(), order.end(), timing);
    for (const int w : order) {
      std::mt19937 random(static_cast<unsigned>(step * kWorkers + w));
      Values gradient(kElements);
      for (float& g : gradient) g = static_cast<float>(random() % 2001) / 1000 - 1;
      const int64_t chunk = 20'000 + static_cast<int64_t>(timing() % 100'000);
      workers[static_cast<size_t>(w)]->Push(step + 1, step, gradient, true, 1 + w, 1, chunk);
    }
    for (const auto& worker : workers) worker->WaitForParameters(step + 1);
  }
  // Parameters arrive while their step is still being completed.
  while (run->Progress().step() < kSteps) std::this_thread::yield();
  Values values = workers[0]->WaitForParameters(kSteps);
  // The norms are part of the promise.
  const v1::RunProgress progress = run->Progress();
  for (const double norm :
       {progress.gradient_norm(), progress.update_norm(), progress.parameter_norm()}) {
    EXPECT_GT(norm, 0);
    values.push_back(static_cast<float>(norm));
    values.push_back(static_cast<float>(norm - static_cast<double>(values.back())));
  }
  return values;
}

TEST(RunDeterminismTest, SameBitsWithOtherThreadsBlocksChunksAndTiming) {
  const Values reference = TrainOnce(1, kBlockElements, 1);
  EXPECT_EQ(TrainOnce(4, kBlockElements, 2), reference);
  EXPECT_EQ(TrainOnce(2, kTileElements, 3), reference);
  EXPECT_EQ(TrainOnce(3, 8 * kTileElements, 4), reference);
}

// ---- Exactly once ----

TEST_F(RunTest, DuplicatePushIsAcknowledgedButNotApplied) {
  const auto run = Create(SynchronousSpec(1, 1));
  auto a = Join("a");
  a->Push(1, 0, {1});
  a->Push(1, 0, {1}, /*want_parameters=*/true);
  EXPECT_EQ(a->WaitForResult(1).outcome(), v1::PUSH_OUTCOME_DUPLICATE);
  EXPECT_EQ(a->WaitForParameters(1), Values({-1}));
  a->Disconnect();
  a = Join("a");
  EXPECT_EQ(a->welcome()->last_sequence(), 1);
  a->Push(1, 0, {1});
  EXPECT_EQ(a->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_DUPLICATE);
  EXPECT_EQ(run->Progress().step(), 1);
}

TEST_F(RunTest, APushSentAgainWhileItWaitsCountsOnceAndIsAnsweredOnce) {
  const auto run = Create(SynchronousSpec(1, 2));
  auto a = Join("a");
  const auto b = Join("b");
  a->Push(1, 0, {2});
  a->Disconnect();
  a = Join("a");
  EXPECT_EQ(a->welcome()->last_sequence(), 0);
  a->Push(1, 0, {2}, /*want_parameters=*/true);
  EXPECT_THAT(a->results(), IsEmpty());
  b->Push(1, 0, {4});
  EXPECT_EQ(a->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(a->WaitForParameters(1), Values({-3}));
  EXPECT_THAT(a->results(), testing::SizeIs(1));
}

TEST_F(RunTest, SequencesThatSkipOrAreNonsenseAreRejected) {
  const auto run = Create(SynchronousSpec(1, 1));
  const auto a = Join("a");
  a->Push(2, 0, {1});
  EXPECT_EQ(a->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_REJECTED);
  EXPECT_EQ(a->WaitForResult(0).reason(), "SEQUENCE_SKIPS");
  EXPECT_THAT(a->WaitForResult(0).message(),
              HasSubstr("push 2 from worker \"a\": header.sequence: 2 skips; worker \"a\" has "
                        "committed 0, expected 1"));
  a->Push(0, 0, {1});
  EXPECT_EQ(a->WaitForResult(1).reason(), "SEQUENCE_INVALID");
  a->Push(-5, 0, {1});
  EXPECT_EQ(a->WaitForResult(2).reason(), "SEQUENCE_INVALID");
  EXPECT_EQ(run->Progress().step(), 0);
  a->Push(1, 0, {1});
  EXPECT_EQ(a->WaitForResult(3).outcome(), v1::PUSH_OUTCOME_APPLIED);
}

TEST_F(RunTest, AnAsynchronousRunThatBecomesSynchronousWaitsForAllThatItStartsWith) {
  const auto run = Create(AsynchronousSpec(1));
  const auto a = Join("a");
  v1::Run synchronous;
  synchronous.mutable_policy()->mutable_synchronous()->set_workers(2);
  google::protobuf::FieldMask mask;
  mask.add_paths("policy");
  ASSERT_TRUE(UpdateAndWait(run.get(), synchronous, mask, "ada").ok());
  a->Push(1, 0, {1});
  EXPECT_EQ(run->Progress().step(), 0);
  const auto b = Join("b");
  b->Push(1, 0, {3});
  EXPECT_EQ(run->Progress().step(), 1);
}

// A push that says at its end what its examples and its loss are.
void PushWithTotals(FakeWorker* worker, int64_t sequence, float gradient, int64_t examples,
                    double loss) {
  const auto values = std::make_shared<std::vector<float>>(1, gradient);
  v1::TrainRequest request;
  v1::Push& push = *request.mutable_push();
  push.mutable_header()->set_sequence(sequence);
  push.mutable_header()->set_base_step(0);
  push.mutable_chunk();
  push.mutable_commit()->set_examples(examples);
  push.mutable_commit()->set_loss(loss);
  const Payload::Slice slice(reinterpret_cast<const std::byte*>(values->data()), sizeof(float));
  worker->Request(request, Payload({slice}, values));
}

TEST_F(RunTest, ExamplesAndLossMayComeAtTheEndOfAPush) {
  const auto run = Create(SynchronousSpec(1, 2));
  const auto a = Join("a");
  const auto b = Join("b");
  PushWithTotals(a.get(), 1, 4, 30, 2.0);
  b->Push(1, 0, {8}, /*want_parameters=*/true, /*examples=*/10, /*loss=*/6);
  EXPECT_THAT(b->WaitForParameters(1), ElementsAre(-5));
  EXPECT_DOUBLE_EQ(run->Progress().loss(), 3);
  EXPECT_EQ(run->Progress().examples(), 40);
}

TEST_F(RunTest, ExamplesAndLossAtTheEndAreChecked) {
  const auto run = Create(SynchronousSpec(1, 1));
  const auto a = Join("a");
  PushWithTotals(a.get(), 1, 1, 0, 1);
  EXPECT_EQ(a->WaitForResult(0).reason(), "EXAMPLES_OUT_OF_RANGE");
  PushWithTotals(a.get(), 1, 1, 1, std::numeric_limits<double>::infinity());
  EXPECT_EQ(a->WaitForResult(1).reason(), "NON_FINITE");
  PushWithTotals(a.get(), 1, 1, 1, 1);
  EXPECT_EQ(a->WaitForResult(2).outcome(), v1::PUSH_OUTCOME_APPLIED);
  AwaitNoClaims(registry_);
}

TEST_F(RunTest, ADuplicateSaysWhatBecameOfThePushAndInWhichStep) {
  const auto run = Create(AsynchronousSpec(1));
  const auto a = Join("a");
  const auto b = Join("b");
  a->Push(1, 0, {1});
  b->Push(1, 0, {1});
  b->Push(2, 0, {1});
  a->Push(1, 0, {1});
  EXPECT_EQ(a->WaitForResult(1).outcome(), v1::PUSH_OUTCOME_DUPLICATE);
  EXPECT_EQ(a->WaitForResult(1).committed_outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(a->WaitForResult(1).committed_step(), 1);
  EXPECT_EQ(a->WaitForResult(1).step(), 3);
}

TEST_F(RunTest, ARunMayBeFinishedEarlyAndGoOnWithMoreSteps) {
  v1::Run spec = SynchronousSpec(1, 2);
  spec.set_max_steps(10);
  const auto run = Create(spec);
  const auto a = Join("a");
  const auto b = Join("b");
  a->Push(1, 0, {1}, false, 1, 3);
  b->Push(1, 0, {1}, false, 1, 5);
  a->Push(2, 1, {1});
  ASSERT_TRUE(run->Finish("ada", "it is good enough").ok());
  EXPECT_EQ(a->WaitForResult(1).reason(), "RUN_FINISHED");
  EXPECT_THAT(b->events(), Contains(v1::RUN_EVENT_KIND_FINISHED));
  EXPECT_EQ(run->Progress().state(), v1::RUN_STATE_FINISHED);
  EXPECT_EQ(run->Progress().reason(), "by ada, because it is good enough");
  EXPECT_DOUBLE_EQ(run->Progress().best_smoothed_loss(), 4);
  EXPECT_EQ(run->Progress().best_step(), 1);
  EXPECT_TRUE(run->Finish("bob", "").ok()) << "that changes nothing";
  EXPECT_FALSE(run->Resume("ada").ok());

  google::protobuf::FieldMask mask;
  mask.add_paths("lease_duration");
  spec.mutable_lease_duration()->set_seconds(20);
  ASSERT_TRUE(UpdateAndWait(run.get(), spec, mask, "ada").ok());
  EXPECT_EQ(run->Progress().state(), v1::RUN_STATE_FINISHED) << "it is no longer than before";
  mask.add_paths("max_steps");
  spec.set_max_steps(11);
  ASSERT_TRUE(UpdateAndWait(run.get(), spec, mask, "ada").ok());
  EXPECT_EQ(run->Progress().state(), v1::RUN_STATE_RUNNING);
  a->Push(2, 1, {1});
  b->Push(2, 1, {1});
  EXPECT_EQ(run->Progress().step(), 2);
}

TEST_F(RunTest, HeadersOutOfRangeAreRejectedAndTheSequenceIsNotUsedUp) {
  const auto run = Create(SynchronousSpec(1, 1));
  const auto a = Join("a");
  const double nan = std::numeric_limits<double>::quiet_NaN();
  a->Push(1, 1, {1}, /*want_parameters=*/true);
  EXPECT_EQ(a->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_ROLLED_BACK);
  EXPECT_THAT(a->WaitForParameters(0), ElementsAre(0)) << "to go on from";
  a->Push(1, -1, {1});
  EXPECT_EQ(a->WaitForResult(1).reason(), "BASE_STEP_INVALID");
  a->Push(1, 0, {1}, false, /*examples=*/0);
  EXPECT_EQ(a->WaitForResult(2).reason(), "EXAMPLES_OUT_OF_RANGE");
  a->Push(1, 0, {1}, false, 1, nan);
  EXPECT_EQ(a->WaitForResult(3).reason(), "NON_FINITE");
  a->Push(1, 0, {static_cast<float>(nan)});
  EXPECT_EQ(a->WaitForResult(4).reason(), "NON_FINITE");
  EXPECT_EQ(run->Progress().step(), 0);
  AwaitNoClaims(registry_);
  a->Push(1, 0, {1});
  EXPECT_EQ(a->WaitForResult(5).outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(run->Progress().rejected_pushes(), 5);
}

TEST_F(RunTest, ARejectedPushIsAnsweredOnceAndItsRestIgnored) {
  const auto run = Create(SynchronousSpec(4, 1));
  const auto a = Join("a");
  const float inf = std::numeric_limits<float>::infinity();
  a->Push(1, 0, {inf, 1, inf, 1}, false, 1, 1, /*chunk_elements=*/1);
  EXPECT_THAT(a->results(), testing::SizeIs(1));
  a->Push(1, 0, {1, 2, 3, 4}, false, 1, 1, /*chunk_elements=*/1);
  EXPECT_EQ(a->WaitForResult(1).outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(Parameters(run.get()), Values({-1, -2, -3, -4}));
}

// ---- Sessions ----

TEST_F(RunTest, ASecondWorkerWithAnIdInUseIsRefused) {
  Create(SynchronousSpec(1, 1));
  const auto first = Join("a", /*instance=*/1);
  const auto second = Join("a", /*instance=*/2);
  EXPECT_EQ(second->WaitForEnd().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(second->WaitForEnd().message(), HasSubstr("worker \"a\" of run \"r\" has a session"));
  const auto anonymous = Join("a");
  EXPECT_EQ(anonymous->WaitForEnd().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(first->end(), std::nullopt);
}

TEST_F(RunTest, TheSameInstanceTakesOverItsHalfOpenSession) {
  const auto run = Create(SynchronousSpec(1, 1));
  const auto first = Join("a", /*instance=*/7);
  const auto second = Join("a", /*instance=*/7);
  EXPECT_EQ(first->WaitForEnd().code(), absl::StatusCode::kAborted);
  second->Push(1, 0, {1});
  EXPECT_EQ(second->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_APPLIED);
  first->Push(2, 1, {1});
  EXPECT_EQ(run->Progress().step(), 1) << "the old session counts no more";
}

TEST_F(RunTest, RequestsOutOfOrderEndTheSession) {
  Create(SynchronousSpec(2, 1));
  FakeWorker no_join(&registry_, "r", "a");
  no_join.Push(1, 0, {1, 2});
  EXPECT_EQ(no_join.WaitForEnd().code(), absl::StatusCode::kFailedPrecondition);

  const auto twice = Join("b");
  twice->Join();
  EXPECT_EQ(twice->WaitForEnd().code(), absl::StatusCode::kFailedPrecondition);

  const auto headless = Join("c");
  v1::TrainRequest chunk;
  chunk.mutable_push()->mutable_chunk();
  headless->Request(chunk);
  EXPECT_EQ(headless->WaitForEnd().code(), absl::StatusCode::kFailedPrecondition);

  const auto nested = Join("d");
  v1::TrainRequest begin;
  begin.mutable_push()->mutable_header()->set_sequence(1);
  begin.mutable_push()->mutable_header()->set_examples(1);
  nested->Request(begin);
  nested->Request(begin);
  EXPECT_EQ(nested->WaitForEnd().code(), absl::StatusCode::kFailedPrecondition);

  const auto empty = Join("e");
  empty->Request(v1::TrainRequest());
  EXPECT_EQ(empty->WaitForEnd().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(RunTest, JoinNamesWhatIsWrong) {
  Create(SynchronousSpec(2, 1));
  const auto end = [&](v1::Join join) {
    FakeWorker worker(&registry_, "r", "a");
    v1::TrainRequest request;
    *request.mutable_join() = std::move(join);
    worker.Request(request);
    return worker.WaitForEnd();
  };
  v1::Join join;
  join.set_worker("a");
  EXPECT_EQ(end(join).code(), absl::StatusCode::kInvalidArgument);
  join.set_run("runs/other");
  EXPECT_EQ(end(join).code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(end(join).message(), HasSubstr("no run \"other\""));
  join.set_run("runs/r");
  join.set_worker("two words");
  EXPECT_THAT(end(join).message(), HasSubstr("join.worker: \"two words\""));
  join.set_worker("a");
  join.mutable_layout()->add_tensors()->set_name("v");
  EXPECT_THAT(end(join).message(), HasSubstr("tensor 0 is \"v\", the run has \"w\""));
}

TEST(RunLimitsTest, TooManyWorkersAreRefused) {
  Limits limits;
  limits.max_workers_per_run = 2;
  FakeClock clock;
  RunRegistry registry(limits, 1, &clock);
  ASSERT_TRUE(registry.Create("r", SynchronousSpec(1, 2), "").ok());
  FakeWorker a(&registry, "r", "a");
  FakeWorker b(&registry, "r", "b");
  FakeWorker c(&registry, "r", "c");
  a.Join();
  b.Join();
  c.Join();
  EXPECT_EQ(c.WaitForEnd().code(), absl::StatusCode::kResourceExhausted);
  a.Leave();
  FakeWorker d(&registry, "r", "d");
  d.Join();
  EXPECT_EQ(d.end(), std::nullopt);
}

// Ids stay for their ledger when their workers are gone, and there is an end to them.
TEST(RunLimitsTest, TooManyWorkerIdsAreRefused) {
  Limits limits;
  limits.max_workers_per_run = 2;
  constexpr int kMostIds = 2 * 64;
  FakeClock clock;
  RunRegistry registry(limits, 1, &clock);
  ASSERT_TRUE(registry.Create("r", AsynchronousSpec(1), "").ok());
  for (int i = 0; i < kMostIds; ++i) {
    FakeWorker worker(&registry, "r", "w" + std::to_string(i));
    worker.Join();
    ASSERT_EQ(worker.end(), std::nullopt) << i;
    worker.Leave();
  }
  for (int attempt = 0; attempt < 2; ++attempt) {
    FakeWorker fresh(&registry, "r", "fresh");
    fresh.Join();
    const absl::Status refused = fresh.WaitForEnd();
    EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(ReasonOf(refused), "TOO_MANY_WORKER_IDS");
    EXPECT_EQ(refused.message(),
              "run \"r\" has seen 128 different worker ids, its limit; use stable ids");
    EXPECT_EQ(fresh.welcome(), std::nullopt);
    FakeWorker known(&registry, "r", "w" + std::to_string(attempt));
    known.Join();
    EXPECT_EQ(known.end(), std::nullopt);
    EXPECT_NE(known.welcome(), std::nullopt);
  }
}

TEST_F(RunTest, AWorkerThatDoesNotReadItsParametersCannotPush) {
  const auto run = Create(AsynchronousSpec(1));
  auto a = std::make_unique<FakeWorker>(&registry_, "r", "a");
  a->HoldParameters();
  a->Join();
  a->Push(1, 0, {1}, /*want_parameters=*/true);
  a->Push(2, 1, {1});
  EXPECT_EQ(a->requests_held(), 1u);
  EXPECT_EQ(run->Progress().step(), 1);
  a->DeliverParameters();
  EXPECT_EQ(a->WaitForResult(1).outcome(), v1::PUSH_OUTCOME_APPLIED);
}

// ---- Asynchronous ----

TEST_F(RunTest, AsynchronousPushesAreStepsWhateverTheirBase) {
  const auto run = Create(AsynchronousSpec(1));
  const auto a = Join("a");
  const auto b = Join("b");
  a->Push(1, 0, {1});
  b->Push(1, 0, {10});
  a->Push(2, 0, {100});
  EXPECT_EQ(b->WaitForResult(0).step(), 2);
  EXPECT_EQ(a->WaitForResult(1).step(), 3);
  EXPECT_EQ(Parameters(run.get()), Values({-111}));
  EXPECT_EQ(run->Progress().staleness(), 2);
}

TEST_F(RunTest, PushesOlderThanMaxStalenessAreDropped) {
  v1::Run spec = AsynchronousSpec(1);
  spec.mutable_policy()->mutable_asynchronous()->set_max_staleness(1);
  const auto run = Create(spec);
  const auto a = Join("a");
  const auto b = Join("b");
  a->Push(1, 0, {1});
  a->Push(2, 1, {1});
  b->Push(1, 0, {100});
  EXPECT_EQ(b->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_STALE);
  b->Push(2, 1, {10});
  EXPECT_EQ(b->WaitForResult(1).outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(Parameters(run.get()), Values({-12}));
}

TEST_F(RunTest, StalenessLowersTheLearningRateWhereAskedFor) {
  v1::Run spec = AsynchronousSpec(1);
  spec.mutable_policy()->mutable_asynchronous()->set_correction(
      v1::STALENESS_CORRECTION_LEARNING_RATE);
  const auto run = Create(spec);
  const auto a = Join("a");
  a->Push(1, 0, {1});
  a->Push(2, 1, {1});
  a->Push(3, 1, {1});  // Staleness 1: half.
  EXPECT_EQ(Parameters(run.get()), Values({-2.5}));
}

// ---- State ----

TEST_F(RunTest, APausedRunHoldsPushesAndAppliesThemWhenResumed) {
  const auto run = Create(SynchronousSpec(1, 1));
  const auto a = Join("a");
  ASSERT_TRUE(run->Pause("me").ok());
  a->Push(1, 0, {1});
  Pass(absl::Hours(10));
  EXPECT_THAT(a->results(), IsEmpty());
  EXPECT_EQ(a->end(), std::nullopt) << "a pause costs no leases";
  ASSERT_TRUE(run->Resume("me").ok());
  EXPECT_EQ(a->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_THAT(a->events(), ElementsAre(v1::RUN_EVENT_KIND_PAUSED, v1::RUN_EVENT_KIND_RESUMED));
  EXPECT_LT(run->Progress().elapsed().seconds(), 10);
}

TEST_F(RunTest, AFinishedRunTakesNoPushesUntilItGetsMoreSteps) {
  v1::Run spec = SynchronousSpec(1, 1);
  spec.set_max_steps(1);
  const auto run = Create(spec);
  const auto a = Join("a");
  a->Push(1, 0, {1}, true);
  EXPECT_EQ(a->WaitForParameters(1), Values({-1}));
  EXPECT_THAT(a->events(), ElementsAre(v1::RUN_EVENT_KIND_FINISHED));
  EXPECT_EQ(run->Progress().state(), v1::RUN_STATE_FINISHED);
  a->Push(2, 1, {1});
  EXPECT_EQ(a->WaitForResult(1).reason(), "RUN_FINISHED");
  EXPECT_EQ(run->Pause("me").code(), absl::StatusCode::kFailedPrecondition);

  v1::Run more;
  more.set_max_steps(2);
  google::protobuf::FieldMask mask;
  mask.add_paths("max_steps");
  ASSERT_TRUE(UpdateAndWait(run.get(), more, mask, "me").ok());
  EXPECT_EQ(run->Progress().state(), v1::RUN_STATE_RUNNING);
  a->Push(2, 1, {1});
  EXPECT_EQ(a->WaitForResult(2).outcome(), v1::PUSH_OUTCOME_APPLIED);
}

TEST_F(RunTest, APushThatCompletesAfterItsRunIsRefusedAndDoesNotWaitForEver) {
  v1::Run spec = AsynchronousSpec(1);
  spec.set_max_steps(1);
  const auto run = Create(spec);
  const auto a = Join("a");
  const auto b = Join("b");
  v1::TrainRequest begin;
  begin.mutable_push()->mutable_header()->set_sequence(1);
  begin.mutable_push()->mutable_header()->set_examples(1);
  a->Request(begin);
  b->Push(1, 0, {1});
  EXPECT_EQ(run->Progress().state(), v1::RUN_STATE_FINISHED);
  v1::TrainRequest end;
  end.mutable_push()->mutable_chunk()->set_offset(0);
  end.mutable_push()->mutable_chunk()->set_encoding(v1::ENCODING_FLOAT32);
  end.mutable_push()->mutable_commit();
  static constexpr float kGradient = 1;
  a->Request(
      end, Payload({{reinterpret_cast<const std::byte*>(&kGradient), sizeof(kGradient)}}, nullptr));
  EXPECT_EQ(a->WaitForResult(0).reason(), "RUN_FINISHED");
}

TEST_F(RunTest, ALearningRateChangesFromTheNextStepOnAndIsRecorded) {
  const auto run = Create(SynchronousSpec(1, 1));
  const auto a = Join("a");
  a->Push(1, 0, {1});
  v1::Run change;
  change.mutable_schedule()->set_learning_rate(0.5);
  google::protobuf::FieldMask mask;
  mask.add_paths("schedule.learning_rate");
  ASSERT_TRUE(UpdateAndWait(run.get(), change, mask, "ada").ok());
  a->Push(2, 1, {1});
  EXPECT_EQ(Parameters(run.get()), Values({-1.5}));
  const v1::Run description = run->Describe(gradd::Run::Detail::kFull);
  ASSERT_EQ(description.history_size(), 1);
  EXPECT_EQ(description.history(0).field(), "schedule.learning_rate");
  EXPECT_EQ(description.history(0).old_value(), "1");
  EXPECT_EQ(description.history(0).new_value(), "0.5");
  EXPECT_EQ(description.history(0).author(), "ada");
  EXPECT_EQ(description.history(0).step(), 1);
}

v1::Run Updated(gradd::Run* run, const std::string& text, const char* path) {
  v1::Run values;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &values)) << text;
  google::protobuf::FieldMask mask;
  mask.add_paths(path);
  const absl::Status updated = UpdateAndWait(run, values, mask, "ada");
  EXPECT_TRUE(updated.ok()) << updated;
  return run->Describe(gradd::Run::Detail::kFull);
}

TEST_F(RunTest, AnOptimizerThatIsChangedGoesOnWithSlotsOfTheSameName) {
  v1::Run spec = SynchronousSpec(2, 1);
  spec.mutable_optimizer()->mutable_momentum()->set_momentum(0.5);
  const auto run = Create(spec);
  const auto a = Join("a");
  a->Push(1, 0, {1, 2});
  EXPECT_EQ(Parameters(run.get()), Values({-1, -2}));

  // Nesterov has the same slot: v = 0.5 * 1 + 1 = 1.5, p -= 1 + 0.5 * 1.5.
  const v1::Run changed =
      Updated(run.get(), "optimizer { nesterov { momentum: 0.5 } }", "optimizer");
  ASSERT_EQ(changed.history_size(), 1);
  EXPECT_EQ(changed.history(0).field(), "optimizer");
  EXPECT_EQ(changed.history(0).author(), "ada");
  EXPECT_EQ(changed.history(0).step(), 1);
  EXPECT_THAT(changed.history(0).old_value(), HasSubstr("momentum"));
  EXPECT_THAT(changed.history(0).new_value(), HasSubstr("nesterov"));
  a->Push(2, 1, {1, 2});
  EXPECT_EQ(Parameters(run.get()), Values({-2.75F, -5.5F}));
}

TEST_F(RunTest, AnOptimizerThatIsChangedStartsItsOtherSlotsAndItsStepsAnew) {
  const auto run = Create(SynchronousSpec(1, 1));
  const auto a = Join("a");
  for (int64_t step = 0; step < 10; ++step) a->Push(step + 1, step, {1});
  EXPECT_EQ(Parameters(run.get()), Values({-10}));
  Updated(run.get(), "optimizer { adam {} }", "optimizer");
  a->Push(11, 10, {3});
  // Adam's first step is of the learning rate's size, whatever the gradient.
  EXPECT_NEAR(Parameters(run.get())[0], -11, 1e-6);
}

TEST_F(RunTest, AWorkerThatTrainedElsewhereTrainsAtTheParametersAfterAChange) {
  v1::Run spec = SynchronousSpec(1, 1);
  spec.mutable_optimizer()->mutable_nesterov()->set_form(v1::Nesterov::FORM_LOOK_AHEAD);
  const auto run = Create(spec);
  const auto a = Join("a");
  a->Push(1, 0, {1});
  EXPECT_NE(Parameters(run.get(), SnapshotContents::kTraining), Parameters(run.get()));
  Updated(run.get(), "optimizer { sgd {} }", "optimizer");
  EXPECT_EQ(Parameters(run.get(), SnapshotContents::kTraining), Parameters(run.get()));
  Updated(run.get(), "optimizer { nesterov { form: FORM_LOOK_AHEAD } }", "optimizer");
  EXPECT_EQ(Parameters(run.get(), SnapshotContents::kTraining), Parameters(run.get()));
}

TEST_F(RunTest, GroupsTrainTheirTensorsInTheirOwnWay) {
  v1::Run spec = SynchronousSpec(1, 1);
  spec.mutable_layout()->clear_tensors();
  for (const char* name : {"body/weights", "body/bias", "head/weights"}) {
    v1::Tensor& tensor = *spec.mutable_layout()->add_tensors();
    tensor.set_name(name);
    tensor.add_shape(2);
  }
  v1::ParameterGroup& frozen = *spec.add_groups();
  frozen.set_pattern("head/.*");
  frozen.set_frozen(true);
  v1::ParameterGroup& slow = *spec.add_groups();
  slow.set_pattern(".*/bias");
  slow.set_learning_rate_factor(0.5);
  const auto run = Create(spec);
  const auto a = Join("a");
  a->Push(1, 0, {1, 1, 1, 1, 1, 1});
  EXPECT_EQ(Parameters(run.get()), Values({-1, -1, -0.5F, -0.5F, 0, 0}));

  const v1::Run changed = Updated(run.get(), "groups { pattern: 'head/.*' }", "groups");
  EXPECT_EQ(changed.groups_size(), 1);
  EXPECT_EQ(changed.history(0).field(), "groups");
  a->Push(2, 1, {1, 1, 1, 1, 1, 1});
  EXPECT_EQ(Parameters(run.get()), Values({-2, -2, -1.5F, -1.5F, -1, -1}));
}

TEST_F(RunTest, AGroupWithoutDecayIsBoundedTogetherWithAllOthers) {
  v1::Run spec = SynchronousSpec(1, 2);
  spec.mutable_optimizer()->set_clip_by_global_norm(1);
  spec.mutable_optimizer()->set_weight_decay(0.5);
  v1::ParameterGroup& group = *spec.add_groups();
  group.set_pattern("bias");
  group.set_weight_decay(0);
  spec.mutable_layout()->mutable_tensors(0)->set_name("weights");
  spec.mutable_layout()->mutable_tensors(0)->clear_shape();
  *spec.mutable_layout()->add_tensors() = spec.layout().tensors(0);
  spec.mutable_layout()->mutable_tensors(1)->set_name("bias");
  const auto run = Create(spec);
  const auto a = Join("a");
  const auto b = Join("b");
  a->Push(1, 0, {6, 8});
  b->Push(1, 0, {0, 0});
  EXPECT_EQ(Parameters(run.get()), Values({-0.6F, -0.8F}));
  EXPECT_FLOAT_EQ(static_cast<float>(run->Progress().gradient_norm()), 5);
}

// ---- Pushes that are not finite, where the optimizer skips them ----

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

v1::Run Skipping(v1::Run spec, int max_in_a_row) {
  spec.mutable_optimizer()->mutable_skip_non_finite()->set_max_in_a_row(max_in_a_row);
  return spec;
}

TEST_F(RunTest, ASkippedPushUsesItsSequenceUpAndChangesNothing) {
  const auto run = Create(Skipping(SynchronousSpec(4, 1), 10));
  const auto a = Join("a");
  a->Push(1, 0, {1, kNan, 1, 1}, /*want_parameters=*/true, 1, 1, /*chunk_elements=*/1);
  EXPECT_EQ(a->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_SKIPPED);
  EXPECT_EQ(a->WaitForResult(0).step(), 0);
  EXPECT_EQ(a->WaitForParameters(0), Values({0, 0, 0, 0}));
  AwaitNoClaims(registry_);
  a->Push(2, 0, {1, 1, 1, 1}, false, 1, /*loss=*/std::nan(""));
  EXPECT_EQ(a->WaitForResult(1).outcome(), v1::PUSH_OUTCOME_SKIPPED);
  EXPECT_EQ(run->Progress().step(), 0);
  EXPECT_EQ(run->Progress().rejected_pushes(), 2);
  EXPECT_EQ(run->Describe(gradd::Run::Detail::kWorkers).workers(0).rejected_pushes(), 2);
  a->Push(3, 0, {1, 2, 3, 4});
  EXPECT_EQ(a->WaitForResult(2).outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(Parameters(run.get()), Values({-1, -2, -3, -4}));
  a->Push(2, 0, {1, 1, 1, 1}, false, 1, std::nan(""));
  EXPECT_EQ(a->WaitForResult(3).outcome(), v1::PUSH_OUTCOME_DUPLICATE) << "sent once more";
}

TEST_F(RunTest, ASynchronousStepWaitsForThePushAfterASkippedOne) {
  v1::Run spec = Skipping(SynchronousSpec(1, 2), 10);
  spec.mutable_optimizer()->mutable_adam();
  const auto run = Create(spec);
  const auto a = Join("a");
  const auto b = Join("b");
  a->Push(1, 0, {kNan});
  b->Push(1, 0, {3});
  EXPECT_EQ(a->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_SKIPPED);
  EXPECT_THAT(b->results(), IsEmpty());
  a->Push(2, 0, {1});
  EXPECT_EQ(b->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(run->Progress().gradient_norm(), 2);
  // Adam's first step is the learning rate whatever the gradient: nothing was counted before.
  EXPECT_NEAR(Parameters(run.get())[0], -1, 1e-6);
}

TEST_F(RunTest, PushesThatAreNotFiniteAreRefusedAfterSoManyInARow) {
  const auto run = Create(Skipping(AsynchronousSpec(1), 2));
  const auto a = Join("a");
  const auto b = Join("b");
  a->Push(1, 0, {kNan});
  b->Push(1, 0, {kNan});
  a->Push(2, 0, {kNan});
  EXPECT_EQ(a->WaitForResult(1).outcome(), v1::PUSH_OUTCOME_REJECTED);
  EXPECT_EQ(a->WaitForResult(1).reason(), "NON_FINITE");
  a->Push(2, 0, {1}, false, 1, std::nan(""));
  EXPECT_EQ(a->WaitForResult(2).reason(), "NON_FINITE");
  a->Push(2, 0, {1});
  EXPECT_EQ(a->WaitForResult(3).outcome(), v1::PUSH_OUTCOME_APPLIED);
  b->Push(2, 1, {kNan});
  EXPECT_EQ(b->WaitForResult(1).outcome(), v1::PUSH_OUTCOME_SKIPPED) << "a step came between";
}

TEST_F(RunTest, ASkippedPushDoesNotHoldUpAServerThatStops) {
  Create(Skipping(SynchronousSpec(2, 1), 10));
  const auto a = Join("a");
  v1::TrainRequest request;
  request.mutable_push()->mutable_header()->set_sequence(1);
  request.mutable_push()->mutable_header()->set_examples(1);
  a->Request(request);
  registry_.Drain();
  EXPECT_EQ(a->end(), std::nullopt) << "its push is in flight";
  request.Clear();
  request.mutable_push()->mutable_chunk();
  request.mutable_push()->mutable_commit();
  const auto values = std::make_shared<Values>(Values{1, kNan});
  const Payload::Slice slice(reinterpret_cast<const std::byte*>(values->data()), 8);
  a->Request(request, Payload({slice}, values));
  EXPECT_EQ(a->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_SKIPPED);
  EXPECT_EQ(a->WaitForEnd().code(), absl::StatusCode::kUnavailable);
}

TEST_F(RunTest, AnInt8PushWithAScaleThatIsNotFiniteIsSkipped) {
  Create(Skipping(SynchronousSpec(2, 1), 10));
  const auto a = Join("a");
  v1::TrainRequest request;
  v1::Push& push = *request.mutable_push();
  push.mutable_header()->set_sequence(1);
  push.mutable_header()->set_examples(1);
  push.mutable_chunk()->set_encoding(v1::ENCODING_INT8);
  push.mutable_commit();
  const auto values = std::make_shared<Values>(Values{kNan, 0});
  const Payload::Slice slice(reinterpret_cast<const std::byte*>(values->data()), 6);
  a->Request(request, Payload({slice}, values));
  EXPECT_EQ(a->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_SKIPPED);
}

TEST_F(RunTest, WhetherPushesAreSkippedCanBeChanged) {
  const auto run = Create(AsynchronousSpec(1));
  const auto a = Join("a");
  a->Push(1, 0, {kNan});
  EXPECT_EQ(a->WaitForResult(0).reason(), "NON_FINITE");
  const v1::Run changed =
      Updated(run.get(), "optimizer { skip_non_finite {} }", "optimizer.skip_non_finite");
  EXPECT_EQ(changed.history(0).field(), "optimizer.skip_non_finite");
  a->Push(1, 0, {kNan});
  EXPECT_EQ(a->WaitForResult(1).outcome(), v1::PUSH_OUTCOME_SKIPPED);
}

TEST_F(RunTest, SkipsOutOfRangeOrInGroupsAreRefused) {
  for (const int most : {0, -1, 1'000'001}) {
    const auto refused = registry_.Create("x", Skipping(AsynchronousSpec(1), most), "");
    EXPECT_THAT(std::string(refused.status().message()),
                HasSubstr("optimizer.skip_non_finite.max_in_a_row: " + std::to_string(most)));
  }
  v1::Run spec = AsynchronousSpec(1);
  v1::ParameterGroup& group = *spec.add_groups();
  group.set_pattern("w");
  group.mutable_optimizer()->mutable_sgd();
  group.mutable_optimizer()->mutable_skip_non_finite();
  EXPECT_THAT(std::string(registry_.Create("x", spec, "").status().message()),
              HasSubstr("groups[0].optimizer.skip_non_finite: set, expected in the run's"));
}

// The parameters after some steps of Muon on tensors that cut blocks and tiles anywhere, with
// stages.
Values TrainWholeTensors(int threads, int64_t block_elements) {
  FakeClock clock;
  RunRegistry registry(Limits(), threads, &clock, block_elements);
  v1::Run spec;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
      R"(layout {
           tensors { name: 'a' shape: [50, 70] initializer { uniform { low: -1 high: 1 } } }
           tensors { name: 'b' shape: [33] initializer { uniform { low: -1 high: 1 } } }
           tensors { name: 'c' shape: [3, 40, 41] initializer { uniform { low: -1 high: 1 } } }
         }
         optimizer { muon {} weight_decay: 0.1 centralize_gradient: true adaptive_clipping: 0.1 }
         groups { pattern: 'b' optimizer { adafactor {} } }
         schedule { learning_rate: 0.1 }
         policy { synchronous { workers: 1 } })",
      &spec));
  const auto run = registry.Create("r", spec, "");
  EXPECT_TRUE(run.ok()) << run.status();
  FakeWorker worker(&registry, "r", "w");
  worker.Join();
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (int64_t step = 0; step < 3; ++step) {
    Values gradient(static_cast<size_t>((*run)->layout().element_count()));
    for (float& g : gradient) g = normal(random);
    worker.Push(step + 1, step, gradient);
    worker.WaitForResult(static_cast<size_t>(step));
  }
  Values values;
  (*run)->RequestSnapshot(SnapshotContents::kEvaluation,
                          [&](const auto& snapshot) { values = ValuesOf(*snapshot); });
  return values;
}

TEST(WholeTensorRunTest, TheBitsDependNeitherOnThreadsNorOnBlocks) {
  const Values reference = TrainWholeTensors(1, 64 * kTileElements);
  EXPECT_EQ(TrainWholeTensors(2, kTileElements), reference);
  EXPECT_EQ(TrainWholeTensors(3, 2 * kTileElements), reference);
}

TEST_F(RunTest, SlotsThatExceedTheServersLimitAreRefusedInAChange) {
  Limits limits;
  limits.max_state_bytes = 3000;
  RunRegistry small(limits, /*threads=*/1, &clock_);
  const auto run = small.Create("r", SynchronousSpec(300, 1), "");
  ASSERT_TRUE(run.ok()) << run.status();
  v1::Run values;
  values.mutable_optimizer()->mutable_adam();
  google::protobuf::FieldMask mask;
  mask.add_paths("optimizer");
  const absl::Status refused = UpdateAndWait(run->get(), values, mask, "ada");
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(refused), "STATE_TOO_LARGE");
  values.mutable_optimizer()->mutable_momentum();
  EXPECT_TRUE(UpdateAndWait(run->get(), values, mask, "ada").ok());
  EXPECT_FALSE(small.Create("s", SynchronousSpec(300, 1), "").ok());
  values.mutable_optimizer()->mutable_sgd();
  EXPECT_TRUE(UpdateAndWait(run->get(), values, mask, "ada").ok());
  EXPECT_TRUE(small.Create("s", SynchronousSpec(300, 1), "").ok());
}

TEST_F(RunTest, AListIsReplacedAsAWholeAndRecorded) {
  v1::Run spec = SynchronousSpec(1, 1);
  v1::MultiStepDecaySchedule& decay = *spec.mutable_schedule()->mutable_multi_step_decay();
  decay.set_gamma(0.5);
  decay.add_milestones(1);
  decay.add_milestones(2);
  const auto run = Create(spec);
  v1::Run change;
  change.mutable_schedule()->mutable_multi_step_decay()->add_milestones(7);
  google::protobuf::FieldMask mask;
  mask.add_paths("schedule.multi_step_decay.milestones");
  ASSERT_TRUE(UpdateAndWait(run.get(), change, mask, "ada").ok());
  const v1::Run description = run->Describe(gradd::Run::Detail::kFull);
  EXPECT_THAT(description.schedule().multi_step_decay().milestones(), ElementsAre(7));
  EXPECT_EQ(description.schedule().multi_step_decay().gamma(), 0.5);
  ASSERT_EQ(description.history_size(), 1);
  EXPECT_EQ(description.history(0).old_value(), R"(["1","2"])");
  EXPECT_EQ(description.history(0).new_value(), R"(["7"])");
}

TEST_F(RunTest, AHistoryOfLongValuesFitsAMessage) {
  const auto run = Create(SynchronousSpec(1, 1));
  v1::Run change;
  for (int i = 1; i <= 1000; ++i) {
    change.mutable_schedule()->mutable_multi_step_decay()->add_milestones(i);
  }
  google::protobuf::FieldMask mask;
  mask.add_paths("schedule.multi_step_decay");
  for (int i = 0; i < 1000; ++i) {
    change.mutable_schedule()->mutable_multi_step_decay()->set_gamma(i % 2 == 0 ? 0.5 : 0.25);
    ASSERT_TRUE(UpdateAndWait(run.get(), change, mask, "ada").ok());
  }
  const v1::Run description = run->Describe(gradd::Run::Detail::kFull);
  ASSERT_EQ(description.history_size(), 1000);
  EXPECT_EQ(description.history(0).new_value().size(), 403u);
  EXPECT_EQ(description.history(0).new_value().substr(0, 21), R"({"milestones":["1","2)");
  EXPECT_LT(description.ByteSizeLong(), size_t{1} << 20);
}

TEST_F(RunTest, RefusedUpdatesChangeNothing) {
  v1::Run spec = SynchronousSpec(1, 1);
  spec.mutable_optimizer()->mutable_momentum();
  const auto run = Create(spec);
  const std::string before = run->Describe(gradd::Run::Detail::kFull).SerializeAsString();
  const auto refused = [&](const v1::Run& values, const char* path) {
    google::protobuf::FieldMask mask;
    if (*path != '\0') mask.add_paths(path);
    const absl::Status status = UpdateAndWait(run.get(), values, mask, "me");
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(run->Describe(gradd::Run::Detail::kFull).SerializeAsString(), before);
    return std::string(status.message());
  };
  v1::Run values;
  EXPECT_THAT(refused(values, ""), HasSubstr("update_mask: empty"));
  EXPECT_THAT(refused(values, "seed"), HasSubstr("\"seed\" is no field below"));
  EXPECT_THAT(refused(values, "schedule.nonsense"), HasSubstr("\"schedule.nonsense\""));
  values.mutable_schedule()->set_learning_rate(std::numeric_limits<double>::quiet_NaN());
  EXPECT_THAT(refused(values, "schedule.learning_rate"), HasSubstr("schedule.learning_rate: nan"));
  values.mutable_optimizer()->mutable_adam()->set_beta1(1.5);
  EXPECT_THAT(refused(values, "optimizer"), HasSubstr("optimizer.adam.beta1: 1.5 is outside"));
  EXPECT_THAT(refused(values, "optimizer.adam.beta1"), HasSubstr("this run's is momentum"));
  values.mutable_optimizer()->mutable_momentum()->set_momentum(1.5);
  EXPECT_THAT(refused(values, "optimizer.momentum.momentum"),
              HasSubstr("optimizer.momentum.momentum: 1.5 is outside [0, 1)"));
  values.set_max_steps(-1);
  EXPECT_THAT(refused(values, "max_steps"), HasSubstr("max_steps: -1"));
  values.mutable_lease_duration()->set_seconds(0);
  EXPECT_THAT(refused(values, "lease_duration"), HasSubstr("lease_duration"));
}

TEST_F(RunTest, AFieldOfAKindThatIsNotTheRunsIsRefused) {
  const auto run = Create(SynchronousSpec(1, 1));
  v1::Run values;
  values.mutable_policy()->mutable_asynchronous()->set_max_staleness(3);
  google::protobuf::FieldMask mask;
  mask.add_paths("policy.asynchronous.max_staleness");
  const absl::Status refused = UpdateAndWait(run.get(), values, mask, "ada");
  EXPECT_EQ(ReasonOf(refused), "MASK_INVALID");
  EXPECT_EQ(refused.message(),
            "policy.asynchronous.max_staleness belongs to the policy asynchronous, and this "
            "run's is synchronous");
  EXPECT_TRUE(run->Describe(gradd::Run::Detail::kFull).policy().has_synchronous());
  mask.set_paths(0, "policy.asynchronous");
  EXPECT_TRUE(UpdateAndWait(run.get(), values, mask, "ada").ok());
}

TEST_F(RunTest, OfManyWorkersTheLiveOnesAreDescribedAndTheDescriptionFitsAMessage) {
  constexpr int kWorkers = 1500;
  const auto run = Create(SynchronousSpec(1, 1));
  const std::string prefix(120, 'w');
  for (int i = 0; i < kWorkers; ++i) Join(prefix + std::to_string(10'000 + i))->Leave();
  const auto live = Join("z");
  const v1::Run description = run->Describe(gradd::Run::Detail::kFull);
  ASSERT_EQ(description.workers_size(), 1000);
  EXPECT_EQ(description.workers(0).worker(), "z");
  EXPECT_EQ(description.workers(1).worker(), prefix + "10000");
  EXPECT_LT(description.ByteSizeLong(), size_t{4} << 20);
}

TEST_F(RunTest, ThePolicyCanChangeWhilePushesWait) {
  const auto run = Create(SynchronousSpec(1, 3));
  const auto a = Join("a");
  const auto b = Join("b");
  a->Push(1, 0, {1});
  b->Push(1, 0, {1});
  v1::Run change;
  change.mutable_policy()->mutable_asynchronous();
  google::protobuf::FieldMask mask;
  mask.add_paths("policy");
  ASSERT_TRUE(UpdateAndWait(run.get(), change, mask, "me").ok());
  EXPECT_EQ(a->WaitForResult(0).step(), 1);
  EXPECT_EQ(b->WaitForResult(0).step(), 2);
}

TEST_F(RunTest, PushesTooOldForASynchronousPolicyAreSupersededWhenItBegins) {
  const auto run = Create(AsynchronousSpec(1));
  const auto a = Join("a");
  const auto b = Join("b");
  a->Push(1, 0, {1});
  EXPECT_EQ(a->WaitForResult(0).step(), 1);
  ASSERT_TRUE(run->Pause("me").ok());
  b->Push(1, 0, {1});
  v1::Run change;
  change.mutable_policy()->mutable_synchronous()->set_workers(2);
  google::protobuf::FieldMask mask;
  mask.add_paths("policy");
  ASSERT_TRUE(UpdateAndWait(run.get(), change, mask, "me").ok());
  EXPECT_EQ(b->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_SUPERSEDED);
  ASSERT_TRUE(run->Resume("me").ok());
  a->Push(2, 1, {1});
  b->Push(2, 1, {1});
  EXPECT_EQ(a->WaitForResult(1).step(), 2);
  EXPECT_EQ(b->WaitForResult(1).step(), 2);
}

TEST_F(RunTest, DeletingARunEndsItsSessions) {
  Create(SynchronousSpec(1, 2));
  const auto a = Join("a");
  a->Push(1, 0, {1});
  ASSERT_TRUE(registry_.Delete("runs/r").ok());
  EXPECT_EQ(a->WaitForEnd().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(a->events(), Contains(v1::RUN_EVENT_KIND_DELETED));
  EXPECT_EQ(registry_.Delete("runs/r").code(), absl::StatusCode::kNotFound);
  AwaitNoClaims(registry_);
}

TEST_F(RunTest, DrainingFinishesThePushesInFlight) {
  const auto run = Create(SynchronousSpec(1, 2));
  const auto a = Join("a");
  const auto b = Join("b");
  a->Push(1, 0, {1});
  registry_.Drain();
  EXPECT_THAT(b->events(), ElementsAre(v1::RUN_EVENT_KIND_STOPPING));
  EXPECT_EQ(b->end(), std::nullopt) << "the step of the push in flight needs it";
  b->Push(1, 0, {3});
  EXPECT_EQ(a->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(a->WaitForEnd().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(b->WaitForEnd().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(run->Progress().step(), 1);
  const auto late = Join("c");
  EXPECT_EQ(late->WaitForEnd().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(registry_.Create("new", SynchronousSpec(1, 1), "").status().code(),
            absl::StatusCode::kUnavailable);
}

TEST_F(RunTest, DrainingDoesNotWaitForAPushThatStandsStill) {
  Create(AsynchronousSpec(2));
  const auto a = Join("a");
  v1::TrainRequest begun;
  begun.mutable_push()->mutable_header()->set_sequence(1);
  begun.mutable_push()->mutable_header()->set_examples(1);
  a->Request(begun);
  registry_.Drain();
  Pass(absl::Milliseconds(1999));
  EXPECT_EQ(a->end(), std::nullopt);
  Pass(absl::Milliseconds(1));
  EXPECT_EQ(a->WaitForEnd().code(), absl::StatusCode::kUnavailable);
}

TEST_F(RunTest, DrainingEndsIdleSessionsAtOnce) {
  Create(AsynchronousSpec(1));
  const auto a = Join("a");
  registry_.Drain();
  EXPECT_EQ(a->WaitForEnd().code(), absl::StatusCode::kUnavailable);
}

TEST_F(RunTest, EvaluationsAreKeptIfTheyAreNewer) {
  const auto run = Create(AsynchronousSpec(1));
  const auto a = Join("a");
  for (int i = 1; i <= 3; ++i) a->Push(i, i - 1, {1});
  v1::Evaluation evaluation;
  evaluation.set_step(2);
  evaluation.set_loss(0.5);
  evaluation.set_accuracy(0.9);
  evaluation.set_examples(100);
  EXPECT_TRUE(run->ReportEvaluation(evaluation).ok());
  evaluation.set_step(1);
  evaluation.set_accuracy(0.1);
  EXPECT_TRUE(run->ReportEvaluation(evaluation).ok());
  EXPECT_EQ(run->Progress().evaluation().accuracy(), 0.9);
  evaluation.set_step(4);
  EXPECT_FALSE(run->ReportEvaluation(evaluation).ok());
  evaluation.set_step(3);
  evaluation.set_accuracy(1.1);
  EXPECT_FALSE(run->ReportEvaluation(evaluation).ok());
  evaluation.set_accuracy(1);
  evaluation.set_loss(std::numeric_limits<double>::infinity());
  EXPECT_FALSE(run->ReportEvaluation(evaluation).ok());
}

TEST_F(RunTest, EvaluationsThatGetNoBetterReduceTheRateAndTheHistorySaysSo) {
  v1::Run spec = SynchronousSpec(1, 1);
  spec.mutable_schedule()->mutable_step_decay()->set_step_size(2);
  spec.mutable_schedule()->mutable_step_decay()->set_gamma(0.5);
  v1::ReduceOnPlateau& plateau = *spec.mutable_schedule()->mutable_reduce_on_plateau();
  plateau.set_metric(v1::PLATEAU_METRIC_EVALUATION_ACCURACY);
  plateau.set_factor(0.25);
  plateau.set_patience(0);
  const auto run = Create(spec);
  const auto a = Join("a");
  const auto evaluate = [&](int64_t step, double accuracy) {
    v1::Evaluation evaluation;
    evaluation.set_step(step);
    evaluation.set_accuracy(accuracy);
    evaluation.set_examples(1);
    EXPECT_TRUE(run->ReportEvaluation(evaluation).ok());
  };
  evaluate(0, 0.5);
  a->Push(1, 0, {1});
  evaluate(1, 0.75);
  EXPECT_EQ(run->Progress().learning_rate(), 1);
  a->Push(2, 1, {1});
  evaluate(2, 0.75);
  evaluate(2, 0.75);  // Sent again.
  EXPECT_EQ(run->Progress().learning_rate(), 0.125);
  a->Push(3, 2, {8});
  EXPECT_EQ(Parameters(run.get()), Values({-3}));
  const v1::Run description = run->Describe(gradd::Run::Detail::kFull);
  ASSERT_EQ(description.history_size(), 1);
  EXPECT_EQ(description.history(0).author(), "reduce_on_plateau");
  EXPECT_EQ(description.history(0).field(), "schedule.reduce_on_plateau");
  EXPECT_EQ(description.history(0).old_value(), "0.5");
  EXPECT_EQ(description.history(0).new_value(), "0.125");
  EXPECT_EQ(description.history(0).step(), 2);
}

TEST_F(RunTest, AReductionLastsUntilTheSettingsOfReduceOnPlateauChange) {
  v1::Run spec = SynchronousSpec(1, 1);
  v1::ReduceOnPlateau& plateau = *spec.mutable_schedule()->mutable_reduce_on_plateau();
  plateau.set_metric(v1::PLATEAU_METRIC_TRAINING_LOSS);
  plateau.set_factor(0.5);
  plateau.set_patience(1);
  plateau.set_cooldown(100);
  plateau.set_interval(2);
  const auto run = Create(spec);
  const auto a = Join("a");
  for (int step = 0; step < 6; ++step) {
    EXPECT_EQ(run->Progress().learning_rate(), 1) << step;
    a->Push(step + 1, step, {1});
  }
  EXPECT_EQ(run->Progress().learning_rate(), 0.5);
  const auto update = [&](const std::string& path, const v1::Run& change) {
    google::protobuf::FieldMask mask;
    mask.add_paths(path);
    EXPECT_TRUE(UpdateAndWait(run.get(), change, mask, "ada").ok());
  };
  v1::Run change;
  change.mutable_schedule()->set_learning_rate(4);
  update("schedule.learning_rate", change);
  EXPECT_EQ(run->Progress().learning_rate(), 2);
  a->Push(7, 6, {1});
  EXPECT_EQ(Parameters(run.get()), Values({-8}));
  change.mutable_schedule()->mutable_reduce_on_plateau()->set_patience(3);
  update("schedule.reduce_on_plateau.patience", change);
  EXPECT_EQ(run->Progress().learning_rate(), 4);
  update("schedule.reduce_on_plateau", v1::Run());
  EXPECT_EQ(run->Progress().learning_rate(), 4);
  EXPECT_FALSE(run->Describe(gradd::Run::Detail::kFull).schedule().has_reduce_on_plateau());
}

TEST_F(RunTest, WorkersTrainAtTheLookAheadPointAndEvaluateAtTheParameters) {
  v1::Run spec = SynchronousSpec(1, 1);
  spec.mutable_optimizer()->mutable_nesterov()->set_form(v1::Nesterov::FORM_LOOK_AHEAD);
  spec.mutable_optimizer()->mutable_nesterov()->set_momentum(0.5);
  const auto run = Create(spec);
  const auto a = Join("a");
  a->Push(1, 0, {2}, /*want_parameters=*/true);
  EXPECT_EQ(Parameters(run.get()), Values({-2}));
  EXPECT_EQ(a->WaitForParameters(1), Values({-3}));  // w + mu * v
}

}  // namespace
}  // namespace gradd
