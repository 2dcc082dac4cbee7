// Room for the pushes of several runs, of which some do not get on.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/run/run.h"
#include "core/run/run_log.h"
#include "core/run/run_registry.h"
#include "core/run/trials.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_worker.h"
#include "tests/support/no_claims.h"
#include "tests/support/specs.h"
#include "tests/support/virtual_executor.h"

namespace gradd {
namespace {

using testing::Contains;
using testing::HasSubstr;

constexpr int64_t kPushElements = 1000;
constexpr int64_t kPushBytes = kPushElements * int64_t{sizeof(float)};

// A worker that does as clients do: what it is told to push again, it does.
class Worker {
 public:
  Worker(RunRegistry* registry, const std::string& run, std::string id)
      : registry_(registry), run_(run), id_(std::move(id)) {
    Join();
  }

  void Join() {
    fake_ = std::make_unique<FakeWorker>(registry_, run_, id_, /*instance=*/1);
    fake_->Join();
    seen_ = 0;
  }
  void Disconnect() { fake_->Disconnect(); }
  // A gradient that depends on the worker and on the step.
  void Push(int64_t base_step) {
    pushed_ = true;
    base_step_ = base_step;
    std::vector<float> gradient(kPushElements);
    for (size_t i = 0; i < gradient.size(); ++i) {
      gradient[i] =
          static_cast<float>((i * 7 + static_cast<size_t>(base_step) * 3 + id_.back()) % 101) / 8;
    }
    fake_->Push(sequence_, base_step, gradient, false, 1 + id_.back() % 5, 1,
                /*chunk_elements=*/300);
  }
  // Only a first chunk of it.
  void Begin(int64_t base_step) {
    base_step_ = base_step;
    begun_ = 0;
    v1::TrainRequest request;
    v1::PushHeader& header = *request.mutable_push()->mutable_header();
    header.set_sequence(sequence_);
    header.set_base_step(base_step);
    header.set_examples(1);
    Chunk(std::move(request), 10);
  }
  // One more element of what was begun.
  void Drip() { Chunk({}, 1); }
  void Heartbeat() {
    v1::TrainRequest request;
    request.mutable_heartbeat();
    fake_->Request(request);
  }
  // The end of what was begun, without the rest.
  void End() {
    v1::TrainRequest request;
    request.mutable_push()->mutable_commit();
    fake_->Request(request);
  }
  // Takes what came; pushes again where it is told so.
  void TakeResults() {
    const std::vector<v1::PushResult> results = fake_->results();
    for (; seen_ < results.size(); ++seen_) {
      outcomes_.push_back(results[seen_].outcome());
      EXPECT_EQ(results[seen_].sequence(), sequence_);
      if (outcomes_.back() == v1::PUSH_OUTCOME_RESEND) {
        if (resends_) Push(base_step_);
      } else {
        ++sequence_;
      }
    }
  }
  void SetResends(bool resends) { resends_ = resends; }
  const std::vector<v1::PushOutcome>& outcomes() const { return outcomes_; }
  int64_t resent() const {
    return std::count(outcomes_.begin(), outcomes_.end(), v1::PUSH_OUTCOME_RESEND);
  }

 private:
  void Chunk(v1::TrainRequest request, int64_t elements) {
    const auto values = std::make_shared<std::vector<float>>(static_cast<size_t>(elements));
    request.mutable_push()->mutable_chunk()->set_offset(begun_);
    begun_ += elements;
    const Payload::Slice slice(reinterpret_cast<const std::byte*>(values->data()),
                               values->size() * sizeof(float));
    fake_->Request(std::move(request), Payload({slice}, values));
  }

  RunRegistry* const registry_;
  const std::string run_;
  const std::string id_;
  std::unique_ptr<FakeWorker> fake_;
  int64_t begun_ = 0;  // Elements that Begin() and Drip() have sent.
  bool pushed_ = false;
  bool resends_ = true;
  int64_t sequence_ = 1;
  int64_t base_step_ = 0;
  size_t seen_ = 0;
  std::vector<v1::PushOutcome> outcomes_;
};

class RoomTest : public testing::Test {
 protected:
  // Room for so many pushes of a large run, and a little more.
  void Start(int64_t pushes, uint64_t seed = 1) {
    workers_.clear();
    small_.reset();
    small_steps_ = 0;
    Limits limits;
    limits.max_staged_bytes = pushes * kPushBytes + 100;
    auto executor = std::make_unique<VirtualExecutor>(seed);
    executor_ = executor.get();
    registry_ = std::make_unique<RunRegistry>(limits, std::move(executor), &clock_);
  }
  std::shared_ptr<gradd::Run> Create(const std::string& id, int workers) {
    v1::Run spec =
        workers == 0 ? AsynchronousSpec(kPushElements) : SynchronousSpec(kPushElements, workers);
    spec.mutable_optimizer()->mutable_momentum();
    spec.mutable_schedule()->set_learning_rate(0.1);
    spec.mutable_lease_duration()->set_seconds(3600);
    if (workers > 0) {
      spec.mutable_policy()->mutable_synchronous()->mutable_deadline()->set_seconds(300);
    }
    return *registry_->Create(id, spec, "");
  }
  std::vector<Worker*> JoinAll(const std::string& run, int count, int first = 0) {
    std::vector<Worker*> joined;
    for (int w = first; w < first + count; ++w) {
      workers_.push_back(std::make_unique<Worker>(registry_.get(), run, "w" + std::to_string(w)));
      joined.push_back(workers_.back().get());
    }
    return joined;
  }
  // Everything that can happen without time.
  void Settle() {
    executor_->RunAll();
    for (int round = 0; round < 3; ++round) {
      for (const auto& worker : workers_) worker->TakeResults();
      executor_->RunAll();
    }
  }
  void Pass(absl::Duration duration) {
    constexpr absl::Duration kTick = absl::Milliseconds(500);
    for (absl::Duration passed; passed < duration; passed += kTick) {
      clock_.Advance(kTick);
      registry_->Tick();
      Settle();
    }
  }
  void PushAll(const std::vector<Worker*>& workers, int64_t base_step) {
    for (Worker* const worker : workers) worker->Push(base_step);
    Settle();
  }
  static std::vector<float> ParametersOf(gradd::Run* run) {
    std::vector<float> values;
    run->RequestSnapshot(SnapshotContents::kEvaluation,
                         [&](const auto& snapshot) { values = ValuesOf(*snapshot); });
    return values;
  }
  std::vector<std::string> Logged() {
    std::vector<std::string> lines;
    for (const LogEntry& entry : registry_->log()->Take(clock_.Elapsed())) {
      lines.push_back(LogLine(entry.event, entry.fields));
    }
    return lines;
  }
  // The small run beside the others makes a step.
  void ExpectSmallSteps() {
    if (small_ == nullptr) {
      ASSERT_TRUE(registry_->Create("small", AsynchronousSpec(10), "").ok());
      small_ = std::make_unique<FakeWorker>(registry_.get(), "small", "s");
      small_->Join();
    }
    small_->Push(small_steps_ + 1, small_steps_, std::vector<float>(10, 1));
    Settle();
    ASSERT_EQ(small_->results().size(), static_cast<size_t>(++small_steps_));
    EXPECT_EQ(small_->results().back().outcome(), v1::PUSH_OUTCOME_APPLIED);
  }

  FakeClock clock_;
  VirtualExecutor* executor_ = nullptr;  // The registry's.
  std::unique_ptr<RunRegistry> registry_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<FakeWorker> small_;
  int64_t small_steps_ = 0;
};

TEST_F(RoomTest, APausedRunGivesUpItsRoomWhenOthersNeedIt) {
  Start(/*pushes=*/8);
  const auto a = Create("a", 8);
  const auto b = Create("b", 8);
  const auto of_a = JoinAll("a", 8);
  const auto of_b = JoinAll("b", 8);
  of_a[0]->Push(0);
  of_a[1]->Begin(0);
  Settle();
  ASSERT_TRUE(a->Pause("ada").ok());
  ExpectSmallSteps();
  of_b[0]->Begin(0);
  ExpectSmallSteps();
  EXPECT_EQ(registry_->claimed_bytes(), 3 * kPushBytes) << "nobody needs what a has";
  PushAll({of_b.begin() + 1, of_b.end()}, 0);
  EXPECT_EQ(of_a[0]->resent(), 1);
  EXPECT_EQ(of_a[1]->resent(), 0) << "it is told when its push ends";
  EXPECT_THAT(Logged(), Contains("pushes dropped: run=a worker=w1,w0 reason=\"others need their "
                                 "room, and the run is paused\" pushes=2 step=0"));
  ExpectSmallSteps();
  of_b[0]->End();  // It is refused: it lacks chunks.
  Settle();
  EXPECT_EQ(of_b[0]->outcomes().back(), v1::PUSH_OUTCOME_REJECTED);
}

// One waits for its second worker, and the other one for its operator: neither makes a step,
// whoever has the room. Each gets it when it goes on.
TEST_F(RoomTest, OfTwoRunsThatCannotGoOnTheOneWithRoomKeepsIt) {
  Start(/*pushes=*/2);
  const auto a = Create("a", 2);
  const auto b = Create("b", 2);
  auto of_a = JoinAll("a", 1);
  const auto of_b = JoinAll("b", 2);
  Pass(absl::Seconds(10));  // For so long it might have been that a's other worker comes.
  ASSERT_TRUE(b->Pause("ada").ok());
  PushAll(of_b, 0);
  of_a[0]->Push(0);
  Pass(absl::Seconds(60));
  EXPECT_EQ(registry_->claimed_bytes(), 2 * kPushBytes);
  for (Worker* const worker : of_b) EXPECT_EQ(worker->resent(), 0);
  EXPECT_TRUE(of_a[0]->outcomes().empty());

  of_a.push_back(JoinAll("a", 1, /*first=*/1)[0]);
  of_a[1]->Push(0);
  Pass(absl::Seconds(1));
  EXPECT_EQ(a->Progress().step(), 1);
  for (Worker* const worker : of_b) EXPECT_EQ(worker->resent(), 1);

  // The other way round: b has dropped its pushes and gets no room before it goes on, and a's
  // second worker is gone, so that the push of the first one has it till then.
  Pass(absl::Seconds(60));
  EXPECT_EQ(registry_->claimed_bytes(), 0);
  of_a[1]->Disconnect();
  of_a[0]->Push(1);
  Pass(absl::Seconds(60));
  EXPECT_EQ(a->Progress().step(), 1);
  ASSERT_TRUE(b->Resume("ada").ok());
  Pass(absl::Seconds(1));
  EXPECT_EQ(b->Progress().step(), 1);
}

TEST_F(RoomTest, TwoStepsNeverHoldHalfOfTheRoomEach) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    SCOPED_TRACE(seed);
    Start(/*pushes=*/6, seed);
    std::mt19937 random(static_cast<unsigned>(seed));
    const auto a = Create("a", 4);
    const auto b = Create("b", 4);
    std::vector<Worker*> all = JoinAll("a", 4);
    for (Worker* const worker : JoinAll("b", 4)) all.push_back(worker);
    for (int64_t step = 0; step < 10; ++step) {
      std::shuffle(all.begin(), all.end(), random);
      for (Worker* const worker : all) {
        worker->Push(step);
        for (auto tasks = random() % 4; tasks > 0; --tasks) executor_->RunOne();
      }
      Settle();
      ASSERT_EQ(a->Progress().step(), step + 1);
      ASSERT_EQ(b->Progress().step(), step + 1);
    }
    for (const auto& worker : workers_) EXPECT_EQ(worker->resent(), 0);
    EXPECT_EQ(registry_->claimed_bytes(), 0);
  }
}

TEST_F(RoomTest, ARunWhoseSecondWorkerNeverComesStopsNobody) {
  Start(/*pushes=*/2);
  const auto a = Create("a", 2);
  const auto b = Create("b", 2);
  const auto of_a = JoinAll("a", 1);
  const auto of_b = JoinAll("b", 2);
  of_a[0]->Push(0);
  constexpr int kSeconds = 120;
  int64_t begun = 0;
  for (int second = 0; second < kSeconds; ++second) {
    if (b->Progress().step() == begun) PushAll(of_b, begun++);
    ExpectSmallSteps();
    Pass(absl::Seconds(1));
    if (b->Progress().condition() != v1::RUN_CONDITION_WAITING_FOR_MEMORY) continue;
    EXPECT_THAT(b->Progress().reason(), HasSubstr(": run a has 4 kB for w0"));
  }
  EXPECT_GE(b->Progress().step(), kSeconds / 2 - 5) << "at least half of the time is b's";
  EXPECT_GE(of_a[0]->resent(), 1);
  EXPECT_LE(of_a[0]->resent(), 4) << "each time it is spared for longer";
  JoinAll("a", 1, /*first=*/1)[0]->Push(0);
  Pass(absl::Seconds(1));
  EXPECT_EQ(a->Progress().step(), 1);
  EXPECT_EQ(registry_->claimed_bytes(), 0);
}

// Nor one that sends hardly anything of it.
TEST_F(RoomTest, AWorkerThatOnlyBeginsAPushStopsNobody) {
  for (const auto& [workers, drips] :
       {std::pair(2, false), std::pair(0, false), std::pair(2, true), std::pair(0, true)}) {
    SCOPED_TRACE(testing::Message() << workers << (drips ? ", drips" : ""));
    Start(/*pushes=*/2);
    const auto a = Create("a", workers);
    const auto b = Create("b", 2);
    const auto of_a = JoinAll("a", 2);
    const auto of_b = JoinAll("b", 2);
    of_a[0]->Begin(0);
    of_b[0]->Push(0);
    of_b[1]->Push(0);
    Settle();
    EXPECT_EQ(b->Progress().step(), 0);
    for (int second = 0; second < 6; ++second) {
      drips ? of_a[0]->Drip() : of_a[0]->Heartbeat();
      ExpectSmallSteps();
      Pass(absl::Seconds(1));
    }
    EXPECT_EQ(b->Progress().step(), 1);
    of_a[0]->End();
    Settle();
    EXPECT_EQ(of_a[0]->resent(), 1);
    if (workers == 2) of_a[1]->Push(0);
    Pass(absl::Seconds(1));
    EXPECT_EQ(a->Progress().step(), 1) << "what it pushed once more is whole";
    EXPECT_EQ(registry_->claimed_bytes(), 0);
  }
}

// Why a run cannot go on, and what lets it go on again.
struct Reason {
  std::string name;
  std::function<void(gradd::Run*, std::vector<Worker*>)> stop;
  std::function<void(gradd::Run*, std::vector<Worker*>)> go_on;
};

TEST_F(RoomTest, WhatIsPushedAgainGivesTheSameParametersBitForBit) {
  const std::vector<Reason> reasons = {
      {"paused", [](auto run, auto) { ASSERT_TRUE(run->Pause("ada").ok()); },
       [](auto run, auto) { ASSERT_TRUE(run->Resume("ada").ok()); }},
      {"held by trials", [](auto run, auto) { run->Hold([](const auto&) {}); },
       [](auto run, auto) { run->Release(); }},
      {"a worker is not connected", [](auto, auto workers) { workers[2]->Disconnect(); },
       [](auto, auto workers) { workers[2]->Join(); }},
      {"a push brings nothing", [](auto, auto workers) { workers[2]->Begin(1); },
       [](auto, auto workers) { workers[2]->End(); }},
  };
  std::vector<float> expected;
  for (int i = -1; i < static_cast<int>(reasons.size()); ++i) {
    const Reason* const reason = i < 0 ? nullptr : &reasons[static_cast<size_t>(i)];
    SCOPED_TRACE(reason == nullptr ? "undisturbed" : reason->name);
    Start(/*pushes=*/3);
    const auto a = Create("a", 3);
    const auto b = Create("b", 3);
    const auto of_a = JoinAll("a", 3);
    const auto of_b = JoinAll("b", 3);
    PushAll(of_a, 0);
    ASSERT_EQ(a->Progress().step(), 1);
    of_a[0]->Push(1);
    of_a[1]->Push(1);
    Settle();
    if (reason != nullptr) {
      reason->stop(a.get(), of_a);
      PushAll(of_b, 0);
      Pass(StagingRoom::kPatience + absl::Seconds(1));
      EXPECT_EQ(b->Progress().step(), 1);
      EXPECT_EQ(of_a[0]->resent(), 1);
      EXPECT_EQ(of_a[1]->resent(), 1);
      EXPECT_EQ(a->Progress().rejected_pushes(), 0);
      EXPECT_EQ(a->Progress().step(), 1);
      reason->go_on(a.get(), of_a);
      Settle();
    }
    if (of_a[2]->resent() == 0) of_a[2]->Push(1);
    Settle();
    Pass(absl::Seconds(1));
    ASSERT_EQ(a->Progress().step(), 2);
    PushAll(of_a, 2);
    ASSERT_EQ(a->Progress().step(), 3);
    if (reason == nullptr) expected = ParametersOf(a.get());
    EXPECT_EQ(ParametersOf(a.get()), expected);
    EXPECT_EQ(registry_->claimed_bytes(), 0);
  }
}

// A worker that only takes its time is waited for, and everybody is told who has the room.
TEST_F(RoomTest, WhoWaitsForRoomIsToldWhoHasIt) {
  Start(/*pushes=*/3);
  const auto a = Create("a", 3);
  const auto b = Create("b", 2);
  const auto of_a = JoinAll("a", 3);
  const auto of_b = JoinAll("b", 2);
  of_a[0]->Push(0);
  of_a[1]->Push(0);
  Settle();
  of_b[0]->Push(0);
  Settle();
  Pass(absl::Seconds(40));
  EXPECT_EQ(b->Progress().condition(), v1::RUN_CONDITION_WAITING_FOR_MEMORY);
  EXPECT_EQ(b->Progress().reason(), "no room to stage what w0 sends: run a has 8 kB for w0, w1");
  EXPECT_THAT(Logged(), Contains(HasSubstr("run waits for memory: run=b reason=\"no room to stage "
                                           "what w0 sends: run a has 8 kB for w0, w1\"")));
  ExpectSmallSteps();
  PushAll({of_a[2], of_b[1]}, 0);
  EXPECT_EQ(a->Progress().step(), 1);
  EXPECT_EQ(b->Progress().step(), 1);
  for (const auto& worker : workers_) EXPECT_EQ(worker->resent(), 0);
}

// The worker came back and asks for the result of a push that is dropped just then.
TEST_F(RoomTest, APushThatWasDroppedWhileItWasAskedForIsPushedAgain) {
  Start(/*pushes=*/2);
  const auto a = Create("a", 2);
  Create("b", 2);
  const auto of_a = JoinAll("a", 2);
  const auto of_b = JoinAll("b", 2);
  of_a[0]->Push(0);
  Settle();
  of_a[0]->Disconnect();
  of_a[0]->Join();
  of_a[0]->Begin(0);
  ASSERT_TRUE(a->Pause("ada").ok());
  PushAll(of_b, 0);
  EXPECT_EQ(of_a[0]->resent(), 0);
  of_a[0]->End();
  Settle();
  EXPECT_EQ(of_a[0]->resent(), 1);
  ASSERT_TRUE(a->Resume("ada").ok());
  PushAll({of_a[1]}, 0);
  EXPECT_EQ(a->Progress().step(), 1);
}

// What was answered for good is never asked for again, and what waits for room when its step is
// made without it keeps no place.
TEST_F(RoomTest, APushThatWaitsForRoomWhileItsStepIsMadeGivesUpItsPlace) {
  Start(/*pushes=*/3);
  v1::Run spec = SynchronousSpec(kPushElements, 3);
  spec.mutable_policy()->mutable_synchronous()->mutable_deadline()->set_seconds(2);
  spec.mutable_lease_duration()->set_seconds(3600);
  const auto a = *registry_->Create("a", spec, "");
  const auto b = Create("b", 0);
  const auto of_a = JoinAll("a", 3);
  const auto of_b = JoinAll("b", 1);
  of_b[0]->Begin(0);
  PushAll(of_a, 0);
  EXPECT_EQ(a->Progress().step(), 0) << "b has the room for the third";
  Pass(absl::Seconds(2));
  EXPECT_EQ(a->Progress().step(), 1);
  EXPECT_EQ(of_a[2]->outcomes(), std::vector<v1::PushOutcome>({v1::PUSH_OUTCOME_SUPERSEDED}));
  EXPECT_EQ(registry_->claimed_bytes(), kPushBytes) << "b's";
}

// The run's own push makes room for its trials, and comes again when they are over.
TEST_F(RoomTest, ARunIsTriedWhoseStepNeedsMoreThanHalfOfTheRoom) {
  Start(/*pushes=*/3);
  const auto run = Create("r", 2);
  const auto workers = JoinAll("r", 2);
  workers[0]->Push(0);
  Settle();
  v1::RunTrialsRequest request;
  request.set_name("runs/r");
  for (int i = 0; i < 3; ++i) {
    v1::Trial& trial = *request.add_trials();
    trial.mutable_optimizer()->mutable_sgd();
    trial.mutable_schedule()->set_learning_rate(0.1);
    trial.set_max_steps(4);
  }
  std::unique_ptr<Trials> trials;
  Trials::Start(registry_.get(), request, "ada", [&](auto started) {
    ASSERT_TRUE(started.ok()) << started.status();
    trials = *std::move(started);
  });
  executor_->RunAll();
  ASSERT_NE(trials, nullptr);
  std::vector<Worker*> in_trials;
  for (int i = 1; i <= 3; ++i) {
    for (Worker* const worker : JoinAll("r-trial-" + std::to_string(i), 2)) {
      in_trials.push_back(worker);
    }
  }
  for (int64_t step = 0; step < 4; ++step) {
    // The first workers of all trials push before any second one.
    PushAll({in_trials[0], in_trials[2], in_trials[4]}, step);
    PushAll({in_trials[1], in_trials[3], in_trials[5]}, step);
  }
  for (const Worker* const worker : in_trials) {
    EXPECT_EQ(worker->outcomes(), std::vector<v1::PushOutcome>(4, v1::PUSH_OUTCOME_APPLIED));
  }
  EXPECT_EQ(workers[0]->resent(), 1);
  trials.reset();
  PushAll({workers[1]}, 0);
  EXPECT_EQ(run->Progress().step(), 1);
  EXPECT_EQ(registry_->claimed_bytes(), 0);
}

// The same with threads: runs are paused and go on while their workers push.
TEST(RoomOnThreadsTest, EveryStepIsMadeHoweverOftenRunsArePaused) {
  constexpr int kRuns = 4;
  constexpr int kWorkers = 3;
  constexpr int64_t kFewest = 40;
  constexpr int64_t kMost = 10'000;
  FakeClock clock;
  Limits limits;
  limits.max_staged_bytes = kPushBytes * (kWorkers + 1);
  RunRegistry registry(limits, /*threads=*/2, &clock);
  std::vector<std::shared_ptr<gradd::Run>> runs;
  std::vector<std::unique_ptr<Worker>> workers;
  for (int r = 0; r < kRuns; ++r) {
    const std::string id = "r" + std::to_string(r);
    const v1::Run spec =
        r == 0 ? AsynchronousSpec(kPushElements) : SynchronousSpec(kPushElements, kWorkers);
    runs.push_back(*registry.Create(id, spec, ""));
    for (int w = 0; w < kWorkers; ++w) {
      workers.push_back(std::make_unique<Worker>(&registry, id, "w" + std::to_string(w)));
    }
  }
  int64_t resent = 0;
  int64_t step = 0;
  // Until some were dropped, which depends on how the threads get on.
  for (; step < kFewest || (resent == 0 && step < kMost); ++step) {
    gradd::Run* const paused = runs[static_cast<size_t>(step) % kRuns].get();
    for (size_t w = 0; w < workers.size(); ++w) {
      workers[w]->Push(step);
      if (w != workers.size() / 2) continue;
      ASSERT_TRUE(paused->Pause("ada").ok());
    }
    clock.Advance(absl::Seconds(1));
    registry.Tick();
    ASSERT_TRUE(paused->Resume("ada").ok());
    const auto done = [&](const auto& worker) {
      return worker->outcomes().size() - static_cast<size_t>(worker->resent()) ==
             static_cast<size_t>(step + 1);
    };
    while (!std::all_of(workers.begin(), workers.end(), done)) {
      for (const auto& worker : workers) worker->TakeResults();
      registry.Tick();
      std::this_thread::yield();
    }
    resent = 0;
    for (const auto& worker : workers) resent += worker->resent();
  }
  for (const auto& worker : workers) {
    EXPECT_EQ(
        std::count(worker->outcomes().begin(), worker->outcomes().end(), v1::PUSH_OUTCOME_APPLIED),
        step);
  }
  EXPECT_GT(resent, 0);
  AwaitNoClaims(registry);
}

}  // namespace
}  // namespace gradd
