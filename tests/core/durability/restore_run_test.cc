// Runs that go back to a checkpoint, and forks of them, on a server that may lose its power at any
// call of the file system.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/durability/checkpoint_catalog.h"
#include "core/durability/checkpoint_reader.h"
#include "core/durability/durable_runs.h"
#include "core/run/run_past.h"
#include "core/run/run_restore.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_file_system.h"
#include "tests/support/scripted_worker.h"
#include "tests/support/specs.h"
#include "tests/support/trainee.h"
#include "tests/support/virtual_executor.h"

namespace gradd {
namespace {

using testing::AnyOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr int64_t kElementCount = 5;
constexpr int64_t kNever = int64_t{1} << 40;

using Answer = absl::StatusOr<v1::RestoreRunResponse>;

// A server without a network on that disk.
class DiskServer {
 public:
  explicit DiskServer(FakeFileSystem* files, const Limits& limits = Limits()) : files_(*files) {
    auto pool = std::make_unique<VirtualExecutor>(1);
    pool_ = pool.get();
    registry_ = std::make_unique<RunRegistry>(limits, std::move(pool), &clock_, kTileElements);
    DurableRuns::Options options;
    options.directory = "s";
    kept_ = *DurableRuns::Open(files, options, &io_, registry_.get());
    kept_->Recover();
    Settle();
  }
  ~DiskServer() {
    files_.HaltAt(0);  // As if the power had failed.
    workers_.clear();
    for (const auto& run : registry_->All()) {
      if (const auto one = kept_->CheckpointerOf(run)) one->log()->Close(false, [] {});
    }
    RunTasks();
    kept_.reset();
    registry_.reset();
    io_.RunAll();
  }

  // Until the power is off.
  void Settle() {
    for (int i = 0; i < 3 && !halted(); ++i) {
      RunTasks();
      if (halted()) break;
      clock_.Advance(absl::Milliseconds(100));
      registry_->Tick();
      kept_->Tick();
      RunTasks();
    }
  }
  void RunTasks() {
    for (bool some = true; some;) {
      some = !halted() && io_.RunOne();
      some = (!halted() && pool_->RunOne()) || some;
    }
  }
  void HaltAt(int64_t call) {
    halt_at_ = call;
    files_.HaltAt(call);
  }
  bool halted() const { return static_cast<int64_t>(files_.calls().size()) >= halt_at_; }

  std::shared_ptr<gradd::Run> Find(const std::string& run_id) {
    const auto run = registry_->Find(absl::StrCat("runs/", run_id));
    return run.ok() ? *run : nullptr;
  }
  void Create(const v1::Run& spec) {
    ASSERT_TRUE(registry_->Create("r", spec, "").ok());
    Settle();
  }
  ScriptedWorker* Join(const std::string& worker, const std::string& run_id = "r") {
    auto& stream = workers_.emplace_back(
        std::make_unique<ScriptedWorker>(registry_.get(), worker, /*instance=*/++instances_));
    v1::Join join;
    join.set_sends_timelines(true);
    stream->Join(run_id, join);
    Settle();
    return stream.get();
  }
  // Pushes what depends on the worker and on what is pushed alone.
  void Push(ScriptedWorker* worker, int64_t sequence, int64_t base_step, uint64_t timeline,
            int64_t what) {
    v1::PushHeader header;
    header.set_sequence(sequence);
    header.set_base_step(base_step);
    header.set_timeline(timeline);
    header.set_examples(1 + what % 3);
    header.set_loss(1.0 / static_cast<double>(what));
    Part part;
    for (int64_t i = 0; i < kElementCount; ++i) {
      const int64_t of = int64_t{worker->worker()[0]} * 31 + what * 17 + i;
      part.values.push_back(static_cast<float>(of % 101) * 0.01F - 0.4F);
    }
    std::vector<v1::TrainRequest> requests = RequestsOf(header, {part});
    requests[0].mutable_push()->mutable_commit()->set_want_parameters(false);
    worker->Send(std::move(requests[0]), PayloadOf(part));
    Settle();
  }
  bool MakeCheckpoint(const std::string& run_id = "r") {
    bool made = false;
    kept_->CheckpointerOf(Find(run_id))->Request([&](const auto& one) { made = one.ok(); });
    Settle();
    return made;
  }

  CheckpointCatalog Catalog(const std::string& run_id = "r") {
    state::v1::RunState state;
    Find(run_id)->WriteState(&state);
    RunPast past;
    EXPECT_TRUE(past.Read(state.past()).ok());
    return CheckpointCatalog(run_id, kept_->CheckpointerOf(Find(run_id))->checkpoints(), past);
  }
  absl::StatusOr<std::shared_ptr<const RunCapture>> Read(int64_t step, uint64_t timeline) {
    const auto found = Catalog().Find("step", step, timeline);
    if (!found.ok()) return found.status();
    const RunFolder& folder = kept_->CheckpointerOf(Find("r"))->log()->folder();
    return ReadCheckpoint(&files_, folder.CheckpointPath({found->timeline(), found->step()}),
                          registry_->environment());
  }
  Checkpointer* CheckpointerOf(const std::string& run_id) {
    return kept_->CheckpointerOf(Find(run_id)).get();
  }
  void TickKept() { kept_->Tick(); }
  // Set when the answer may be told.
  std::shared_ptr<std::optional<Answer>> BeginRestore(int64_t step, uint64_t timeline = 0,
                                                      const std::string& request_id = "") {
    auto answer = std::make_shared<std::optional<Answer>>();
    auto capture = Read(step, timeline);
    if (!capture.ok()) {
      *answer = capture.status();
      return answer;
    }
    const auto restore = std::make_shared<RestoreRequest>();
    restore->capture = *std::move(capture);
    restore->request_id = request_id;
    UpdateRequest update;
    update.author = "ada";
    update.restore = restore;
    const auto run = Find("r");
    update.receive = [answer, restore, run](const absl::StatusOr<v1::Run>& updated) {
      if (!updated.ok() && !restore->answered_before) {
        *answer = updated.status();
        return;
      }
      run->WhenDurable([answer, restore](const absl::Status& durable) {
        *answer = durable.ok() ? Answer(restore->answer) : Answer(durable);
      });
    };
    run->Update(std::move(update));
    return answer;
  }
  Answer Restore(int64_t step, uint64_t timeline = 0, const std::string& request_id = "") {
    const auto answer = BeginRestore(step, timeline, request_id);
    Settle();
    return answer->has_value() ? **answer : Answer(absl::UnknownError("no answer"));
  }
  // Begins at step `step` of "r".
  absl::StatusOr<std::shared_ptr<gradd::Run>> BeginFork(int64_t step, RunFork fork = {}) {
    RunOrigin origin;
    auto capture = Read(step, 0);
    if (!capture.ok()) return capture.status();
    origin.capture = *std::move(capture);
    origin.fork = &fork;
    return registry_->Create("f", origin.capture->state.spec(), "once", &origin);
  }

  // What was logged for people.
  std::string Log() {
    std::string log;
    for (const LogEntry& entry : registry_->log()->Take(clock_.Elapsed())) {
      absl::StrAppend(&log, LogLine(entry.event, entry.fields), "\n");
    }
    return log;
  }

 private:
  FakeFileSystem& files_;
  FakeClock clock_;
  int64_t halt_at_ = kNever;
  VirtualExecutor io_{2};
  VirtualExecutor* pool_ = nullptr;
  std::unique_ptr<RunRegistry> registry_;
  std::unique_ptr<DurableRuns> kept_;
  uint64_t instances_ = 0;
  std::vector<std::unique_ptr<ScriptedWorker>> workers_;
};

v1::Run AdamSpec(bool journal) {
  v1::Run spec = SynchronousSpec(kElementCount, 2);
  spec.mutable_optimizer()->mutable_adam();
  spec.mutable_schedule()->set_learning_rate(0.1);
  spec.set_journal(journal);
  spec.mutable_checkpoints()->mutable_every()->set_seconds(0);
  return spec;
}

void SetRate(gradd::Run* run, double rate) {
  UpdateRequest update;
  update.values.mutable_schedule()->set_learning_rate(rate);
  update.mask.add_paths("schedule.learning_rate");
  (*update.values.mutable_labels())["who"] = "me";
  update.mask.add_paths("labels");
  update.author = "bob";
  update.receive = [](const absl::StatusOr<v1::Run>& updated) { EXPECT_TRUE(updated.ok()); };
  run->Update(std::move(update));
}

v1::Run Described(const std::shared_ptr<gradd::Run>& run) {
  return run->Describe(gradd::Run::Detail::kFull);
}

std::vector<std::string> OutcomesOf(const ScriptedWorker& worker) {
  std::vector<std::string> outcomes;
  for (const v1::PushResult& result : worker.results()) {
    outcomes.push_back(v1::PushOutcome_Name(result.outcome()).substr(sizeof("PUSH_OUTCOME_") - 1));
  }
  return outcomes;
}

// Two workers that make five steps, a checkpoint after the third and another one at the end.
class RestoreRunTest : public testing::TestWithParam<bool> {
 protected:
  void StartServer() { server_ = std::make_unique<DiskServer>(&*files_); }
  void Train() {
    server_.reset();
    files_ = std::make_unique<FakeFileSystem>();
    StartServer();
    server_->Create(AdamSpec(GetParam()));
    a_ = server_->Join("a");
    b_ = server_->Join("b");
    MakeSteps(1, 3, /*timeline=*/1);
    ASSERT_TRUE(server_->MakeCheckpoint());
    bits_of_3_ = BitsOf(run().get());
    MakeSteps(4, 5, /*timeline=*/1);
    bits_of_5_ = BitsOf(run().get());
    SetRate(run().get(), 0.5);
    server_->Settle();
    ASSERT_TRUE(server_->MakeCheckpoint());
  }
  void MakeSteps(int64_t first, int64_t last, uint64_t timeline) {
    for (int64_t step = first; step <= last; ++step) {
      server_->Push(a_, step, step - 1, timeline, step);
      server_->Push(b_, step, step - 1, timeline, step);
    }
  }
  std::shared_ptr<gradd::Run> run() { return server_->Find("r"); }

  std::unique_ptr<FakeFileSystem> files_;
  std::unique_ptr<DiskServer> server_;
  ScriptedWorker* a_ = nullptr;
  ScriptedWorker* b_ = nullptr;
  std::string bits_of_3_;
  std::string bits_of_5_;
};

INSTANTIATE_TEST_SUITE_P(Journal, RestoreRunTest, testing::Bool(), [](const auto& row) {
  return std::string(row.param ? "WithJournal" : "WithoutJournal");
});

TEST_P(RestoreRunTest, ItIsAsItWasAndGoesOnToTheSameBits) {
  Train();
  const RunMetrics counted = run()->ReadMetrics();
  const Answer answer = server_->Restore(3);
  ASSERT_TRUE(answer.ok()) << answer.status();
  // Counters never go back.
  EXPECT_EQ(counted.steps, 5);
  EXPECT_EQ(run()->ReadMetrics().steps, counted.steps);
  EXPECT_EQ(run()->ReadMetrics().examples, counted.examples);
  EXPECT_EQ(run()->ReadMetrics().outcomes, counted.outcomes);
  EXPECT_EQ(answer->timeline(), 2U);
  EXPECT_EQ(answer->step(), 3);
  EXPECT_EQ(answer->from_step(), 5);
  EXPECT_EQ(answer->from_timeline(), 1U);
  ASSERT_EQ(answer->changes_size(), 1) << answer->DebugString();
  EXPECT_EQ(answer->changes(0).field(), "schedule.learning_rate");
  EXPECT_EQ(answer->changes(0).old_value(), "0.5");
  EXPECT_EQ(answer->changes(0).new_value(), "0.1");

  EXPECT_TRUE(BitsOf(run().get()) == bits_of_3_);
  const v1::Run described = Described(run());
  EXPECT_EQ(described.progress().step(), 3);
  EXPECT_EQ(described.timeline(), 2U);
  EXPECT_EQ(described.labels().at("who"), "me") << "labels stay as they are";
  EXPECT_EQ(described.progress().live_workers(), 2);
  std::vector<std::string> fields;
  for (const v1::Change& change : described.history()) fields.push_back(change.field());
  EXPECT_THAT(fields, ElementsAre("schedule.learning_rate", "labels", "step", "timeline",
                                  "schedule.learning_rate"));
  EXPECT_EQ(described.history(2).author(), "ada");
  EXPECT_EQ(described.history(2).old_value(), "5");

  for (const ScriptedWorker* worker : {a_, b_}) {
    ASSERT_EQ(worker->events().size(), 1U);
    EXPECT_EQ(worker->events()[0].kind(), v1::RUN_EVENT_KIND_TIMELINE);
    EXPECT_EQ(worker->events()[0].timeline(), 2U);
    EXPECT_EQ(worker->events()[0].step(), 3);
    EXPECT_EQ(worker->events()[0].last_sequence(), 3);
    EXPECT_TRUE(worker->IsOpen());
  }
  MakeSteps(4, 5, /*timeline=*/2);
  EXPECT_TRUE(BitsOf(run().get()) == bits_of_5_);
  EXPECT_EQ(run()->ReadMetrics().steps, counted.steps + 2);
}

TEST_P(RestoreRunTest, OneCheckpointIsMadeWhoeverSeesFirstThatItIsAwaited) {
  Train();
  const auto checkpoints = [&] {
    return server_->CheckpointerOf("r")->log()->signs()->checkpoints;
  };
  int64_t before = checkpoints();
  for (const bool tick_is_first : {true, false}) {
    const auto answer = server_->BeginRestore(3, /*timeline=*/1);
    server_->RunTasks();
    EXPECT_FALSE(answer->has_value());
    if (tick_is_first) server_->TickKept();
    server_->CheckpointerOf("r")->BeginAwaited();
    if (!tick_is_first) server_->TickKept();
    server_->Settle();
    ASSERT_TRUE(answer->has_value());
    EXPECT_TRUE((*answer)->ok()) << (*answer)->status();
    EXPECT_EQ(checkpoints(), before + 1);
    before = checkpoints();
  }
}

TEST_P(RestoreRunTest, WhatWasComputedBeforeIsRolledBack) {
  Train();
  server_->Push(a_, 6, 5, 1, 6);  // It waits for the other one.
  ASSERT_TRUE(server_->Restore(3).ok());
  EXPECT_EQ(OutcomesOf(*a_).back(), "ROLLED_BACK");
  EXPECT_EQ(a_->results().back().last_sequence(), 3);
  server_->Push(b_, 6, 5, 1, 6);  // On its way meanwhile.
  EXPECT_EQ(OutcomesOf(*b_).back(), "ROLLED_BACK");
  // One that counted on the timeline that was given up counts no more; one before it does.
  server_->Push(b_, 5, 4, 1, 5);
  EXPECT_EQ(OutcomesOf(*b_).back(), "ROLLED_BACK");
  server_->Push(b_, 3, 2, 1, 3);
  EXPECT_EQ(OutcomesOf(*b_).back(), "DUPLICATE");
  EXPECT_TRUE(BitsOf(run().get()) == bits_of_3_);
  MakeSteps(4, 5, 2);
  EXPECT_TRUE(BitsOf(run().get()) == bits_of_5_);
}

TEST_P(RestoreRunTest, TheSameRequestIsAnsweredAsTheFirstTimeAlsoByTheNextServer) {
  Train();
  const Answer first = server_->Restore(3, 0, "once");
  ASSERT_TRUE(first.ok()) << first.status();
  MakeSteps(4, 4, 2);
  const Answer again = server_->Restore(3, 0, "once");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->DebugString(), first->DebugString());
  EXPECT_EQ(Described(run()).progress().step(), 4) << "it did not go back once more";

  server_.reset();
  files_ = files_->AfterCrash(1);
  StartServer();
  const Answer later = server_->Restore(3, 0, "once");
  ASSERT_TRUE(later.ok()) << later.status();
  EXPECT_EQ(later->DebugString(), first->DebugString());
  v1::RestoreRunRequest other;
  other.set_request_id("once");
  other.set_step(5);
  const absl::Status used = RunRestore::CheckAnswered(other, *later);
  EXPECT_EQ(ReasonOf(used), "REQUEST_ID_USED");
  EXPECT_THAT(used.message(), HasSubstr("step 3 of timeline 1"));
}

TEST_P(RestoreRunTest, TheListSaysWhatWasGivenUpAndThatCanBeRestoredToo) {
  Train();
  ASSERT_TRUE(server_->Restore(3).ok());
  std::vector<std::string> shown;
  const CheckpointCatalog catalog = server_->Catalog();
  for (const v1::Checkpoint& one : catalog.all()) {
    shown.push_back(absl::StrCat(one.timeline(), "/", one.step(), one.newest() ? " newest" : "",
                                 one.on_present_past() ? "" : " given up"));
    EXPECT_GT(one.bytes(), 0);
  }
  EXPECT_THAT(shown, ElementsAre("1/3", "1/5 given up", "2/3 newest"));
  const absl::Status missing = catalog.Find("step", 5, 0).status();
  EXPECT_EQ(ReasonOf(missing), "CHECKPOINT_NOT_FOUND");
  EXPECT_THAT(missing.message(), HasSubstr("5 (timeline 1, given up)"));
  EXPECT_EQ(ReasonOf(catalog.Find("step", -1, 0).status()), "OUT_OF_RANGE");

  const Answer answer = server_->Restore(5, 1);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->timeline(), 3U);
  EXPECT_TRUE(BitsOf(run().get()) == bits_of_5_);
  EXPECT_EQ(Described(run()).schedule().learning_rate(), 0.5);
}

TEST_P(RestoreRunTest, AFinishedRunGoesOn) {
  Train();
  ASSERT_TRUE(run()->Finish("bob", "enough").ok());
  server_->Settle();
  ASSERT_EQ(Described(run()).state(), v1::RUN_STATE_FINISHED);
  ASSERT_TRUE(server_->Restore(3).ok());
  EXPECT_EQ(Described(run()).state(), v1::RUN_STATE_RUNNING);
  MakeSteps(4, 5, 2);
  EXPECT_TRUE(BitsOf(run().get()) == bits_of_5_);
}

TEST_P(RestoreRunTest, AnotherOptimizerIsChangedBack) {
  Train();
  UpdateRequest update;
  update.values.mutable_optimizer()->mutable_momentum()->set_momentum(0.9);
  update.mask.add_paths("optimizer");
  update.receive = [](const absl::StatusOr<v1::Run>& updated) { EXPECT_TRUE(updated.ok()); };
  run()->Update(std::move(update));
  server_->Settle();
  MakeSteps(6, 6, 1);
  ASSERT_TRUE(server_->Restore(3).ok());
  EXPECT_TRUE(BitsOf(run().get()) == bits_of_3_);
  MakeSteps(4, 5, 2);
  EXPECT_TRUE(BitsOf(run().get()) == bits_of_5_);
}

// Whatever call the power fails at, the run is as before or as after, and after if anybody was
// told.
TEST_P(RestoreRunTest, ACrashLeavesItAsBeforeOrAsAfter) {
  int before = 0;
  int after = 0;
  for (int64_t calls = 1;; ++calls) {
    SCOPED_TRACE(absl::StrCat("the power fails at call ", calls));
    Train();
    server_->HaltAt(static_cast<int64_t>(files_->calls().size()) + calls);
    const auto answer = server_->BeginRestore(3, 0, "once");
    server_->Settle();
    const bool done = !server_->halted();
    const bool told = answer->has_value() && (*answer)->ok();
    const bool worker_told = !a_->events().empty();
    EXPECT_TRUE(!worker_told || told || !done);
    server_.reset();
    files_ = files_->AfterCrash(static_cast<uint64_t>(calls));
    StartServer();
    const auto recovered = run();
    ASSERT_NE(recovered, nullptr) << server_->Log();
    const v1::Run described = Described(recovered);
    ASSERT_THAT(described.progress().step(), AnyOf(3, 5));
    const bool went_back = described.progress().step() == 3;
    EXPECT_TRUE(BitsOf(recovered.get()) == (went_back ? bits_of_3_ : bits_of_5_));
    EXPECT_EQ(described.schedule().learning_rate(), went_back ? 0.1 : 0.5);
    EXPECT_EQ(described.labels().at("who"), "me");
    if (told || worker_told) {
      EXPECT_TRUE(went_back);
    }
    if (went_back) {
      EXPECT_GE(described.timeline(), 2U);
    }
    ++(went_back ? after : before);
    // It goes on from there, and can be restored as ever.
    if (!went_back) {
      const Answer again = server_->Restore(3, 0, "once");
      ASSERT_TRUE(again.ok()) << again.status();
    }
    a_ = server_->Join("a");
    b_ = server_->Join("b");
    const uint64_t timeline = Described(recovered).timeline();
    MakeSteps(4, 5, timeline);
    EXPECT_TRUE(BitsOf(recovered.get()) == bits_of_5_);
    if (done) break;
  }
  EXPECT_GT(before, 2);
  EXPECT_GT(after, 0);
}

TEST_P(RestoreRunTest, WithoutRoomForBothNothingChanges) {
  files_ = std::make_unique<FakeFileSystem>();
  Limits limits;
  limits.max_state_bytes = 6 * kElementCount * int64_t{sizeof(float)};  // Adam's three, twice less.
  limits.max_state_bytes -= 1;
  server_ = std::make_unique<DiskServer>(&*files_, limits);
  server_->Create(AdamSpec(GetParam()));
  ASSERT_NE(run(), nullptr);
  a_ = server_->Join("a");
  b_ = server_->Join("b");
  MakeSteps(1, 1, 1);
  ASSERT_TRUE(server_->MakeCheckpoint());
  MakeSteps(2, 2, 1);
  const std::string bits = BitsOf(run().get());
  const auto capture = server_->Read(1, 0);
  const absl::Status refused = RunRestore::BesideThePresent(capture.status());
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted) << refused;
  EXPECT_THAT(refused.message(), HasSubstr("at the same time"));
  EXPECT_TRUE(BitsOf(run().get()) == bits);
  MakeSteps(3, 3, 1);
  EXPECT_EQ(OutcomesOf(*a_).back(), "APPLIED");
}

TEST_P(RestoreRunTest, AForkHasTheSameBitsAndAnotherFuture) {
  Train();
  RunFork changes;
  changes.values.mutable_schedule()->set_learning_rate(0.01);
  changes.mask.add_paths("schedule.learning_rate");
  changes.author = "ada";
  const auto begun = server_->BeginFork(3, changes);
  ASSERT_TRUE(begun.ok()) << begun.status();
  server_->Settle();
  const auto fork = server_->Find("f");
  ASSERT_NE(fork, nullptr);
  EXPECT_TRUE(fork->IsDurable(1));
  EXPECT_TRUE(BitsOf(fork.get()) == bits_of_3_);
  const v1::Run described = Described(fork);
  EXPECT_EQ(described.name(), "runs/f");
  EXPECT_NE(described.uid(), Described(run()).uid());
  EXPECT_EQ(described.timeline(), 1U);
  EXPECT_EQ(described.progress().step(), 3);
  EXPECT_EQ(described.progress().live_workers(), 0);
  EXPECT_EQ(described.schedule().learning_rate(), 0.01);
  ASSERT_EQ(described.history_size(), 1);
  EXPECT_EQ(described.history(0).field(), "origin");
  EXPECT_THAT(described.history(0).new_value(), HasSubstr("runs/r, step 3 of timeline 1"));
  EXPECT_EQ(Described(run()).progress().step(), 5) << "the origin is as it was";

  // A retry finds it.
  const auto again = server_->BeginFork(3, changes);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(*again, fork);

  ScriptedWorker* const a = server_->Join("a", "f");
  ScriptedWorker* const b = server_->Join("b", "f");
  EXPECT_EQ(a->welcome()->last_sequence(), 0);
  server_->Push(a, 1, 3, 1, 4);
  server_->Push(b, 1, 3, 1, 4);
  EXPECT_EQ(Described(fork).progress().step(), 4);
  EXPECT_EQ(OutcomesOf(*a), std::vector<std::string>{"APPLIED"});
}

TEST_P(RestoreRunTest, AForkWithAWrongChangeIsNoRun) {
  Train();
  RunFork changes;
  changes.values.set_max_steps(2);
  changes.mask.add_paths("max_steps");
  const auto refused = server_->BeginFork(3, changes);
  EXPECT_EQ(ReasonOf(refused.status()), "OUT_OF_RANGE") << refused.status();
  EXPECT_THAT(refused.status().message(), HasSubstr("begins at, 3"));
  server_->Settle();
  EXPECT_EQ(server_->Find("f"), nullptr);
  changes.mask.clear_paths();
  changes.mask.add_paths("seed");
  EXPECT_EQ(ReasonOf(server_->BeginFork(3, changes).status()), "MASK_INVALID");
}

TEST_P(RestoreRunTest, AForkIsThereAfterACrashIfAnybodyWasTold) {
  int there = 0;
  int missing = 0;
  for (int64_t calls = 1;; ++calls) {
    SCOPED_TRACE(absl::StrCat("the power fails at call ", calls));
    Train();
    server_->HaltAt(static_cast<int64_t>(files_->calls().size()) + calls);
    bool told = false;
    const auto begun = server_->BeginFork(3);
    if (begun.ok()) {
      (*begun)->WhenDurable([&](const absl::Status& durable) { told = durable.ok(); });
    }
    server_->Settle();
    const bool done = !server_->halted();
    server_.reset();
    files_ = files_->AfterCrash(static_cast<uint64_t>(calls));
    StartServer();
    EXPECT_EQ(Described(run()).progress().step(), 5);
    const auto fork = server_->Find("f");
    if (told) {
      ASSERT_NE(fork, nullptr) << server_->Log();
    }
    ++(fork != nullptr ? there : missing);
    if (fork != nullptr) {
      EXPECT_TRUE(BitsOf(fork.get()) == bits_of_3_);
    }
    if (done) break;
  }
  EXPECT_GT(there, 0);
  EXPECT_GT(missing, 2);
}

}  // namespace
}  // namespace gradd
