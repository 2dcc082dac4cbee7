// What is promised of a run with a checkpoint at step 100 whose server's power fails at step 110,
// row by row, with a journal and without.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "tests/core/durability/kept_server.h"
#include "tests/support/specs.h"
#include "tests/support/trainee.h"

namespace gradd {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int64_t kWidth = 4;

// A run "r" of one worker on a server that is started again when a test says so.
class Table {
 public:
  explicit Table(bool journal, const Limits& limits = Limits()) : limits_(limits) {
    spec_ = SynchronousSpec(kWidth, 1);
    spec_.mutable_optimizer()->mutable_adam();
    spec_.mutable_schedule()->set_learning_rate(0.1);
    spec_.mutable_checkpoints()->mutable_every()->set_seconds(0);
    spec_.set_journal(journal);
    files_ = std::make_unique<FakeFileSystem>();
    Start(1);
  }
  ~Table() { End(); }

  v1::Run* spec() { return &spec_; }
  std::shared_ptr<Run> Create(const std::string& request_id = "q") {
    auto created = server_->registry()->Create("r", spec_, request_id);
    EXPECT_TRUE(created.ok()) << created.status();
    server_->Settle();
    return created.ok() ? *created : nullptr;
  }
  // Trains up to that step; the checkpoint is made at 100.
  void TrainTo(int64_t step, bool checkpoint_at_100 = true) {
    if (!worker_.IsJoined()) {
      worker_.Join(server_.get(), "r");
      server_->Settle();
      worker_.TakeResults();
    }
    ASSERT_TRUE(worker_.IsJoined());
    for (int64_t at = Step(); at < step; ++at) {
      worker_.Push(at);
      server_->Settle();
      worker_.TakeResults();
      ASSERT_EQ(Step(), at + 1);
      if (at + 1 == 100 && checkpoint_at_100) {
        ASSERT_TRUE(server_->MakeCheckpoint("r"));
      }
    }
  }
  // What somebody asked for is answered by now.
  bool IsAnswered() {
    const auto answer = server_->Answer(run().get());
    server_->Settle();
    return answer->has_value() && (*answer)->ok();
  }
  absl::Status Change(const std::function<void(v1::Run*)>& set, const std::string& path) {
    v1::Run values;
    set(&values);
    google::protobuf::FieldMask mask;
    mask.add_paths(path);
    absl::Status answer = absl::UnknownError("none");
    run()->Update({values, mask, "ada", [&](const auto& updated) { answer = updated.status(); }});
    server_->Settle();
    return answer;
  }
  // What whoever deletes it is told.
  absl::Status Delete() {
    absl::Status deleted = absl::UnknownError("nobody was told");
    server_->registry()
        ->Delete("runs/r", [&](const absl::Status& status) { deleted = status; })
        .IgnoreError();  // It is told.
    server_->Settle();
    return deleted;
  }
  absl::Status SetRate(double rate) {
    return Change([&](v1::Run* run) { run->mutable_schedule()->set_learning_rate(rate); },
                  "schedule.learning_rate");
  }

  // The power fails, and the server is started again: with nothing of what was not durable.
  void Crash(std::optional<uint64_t> seed = std::nullopt) {
    End();
    files_ = seed.has_value() ? files_->AfterCrash(*seed) : files_->WithoutPending();
    Start(7);
  }
  void Restart() {
    worker_.Disconnect();
    server_->Stop();
    Crash();
  }
  void End() {
    worker_.Disconnect();
    server_.reset();
  }
  // Ends it with all on the disk, so that somebody can change that.
  void EndForChanges() {
    End();
    files_ = files_->WithPending();
  }
  void Start(uint64_t seed) {
    server_ = std::make_unique<KeptServer>(files_.get(), &clock_, seed, limits_);
    EXPECT_TRUE(server_->Start().ok());
  }

  std::shared_ptr<Run> run() { return server_->Find("r"); }
  int64_t Step() { return run()->Progress().step(); }
  state::v1::RunState State() {
    state::v1::RunState state;
    run()->WriteState(&state);
    return state;
  }
  KeptServer* server() { return server_.get(); }
  FakeFileSystem* files() { return files_.get(); }
  KeptWorker* worker() { return &worker_; }
  FakeClock* clock() { return &clock_; }

 private:
  const Limits limits_;
  v1::Run spec_;
  FakeClock clock_;
  std::unique_ptr<FakeFileSystem> files_;
  std::unique_ptr<KeptServer> server_;
  KeptWorker worker_{"a", kWidth};
};

// ---- The rate is changed at 105 ----

TEST(CrashTableTest, ARateThatWasChangedWithAJournalTheStepsAfterItAreThereToo) {
  Table table(/*journal=*/true);
  table.Create();
  table.TrainTo(105);
  ASSERT_TRUE(table.SetRate(0.01).ok());
  table.TrainTo(110);
  const std::string bits = BitsOf(table.run().get());
  table.Crash();
  EXPECT_EQ(table.Step(), 110);
  EXPECT_TRUE(BitsOf(table.run().get()) == bits);
  EXPECT_EQ(table.State().timeline(), 1U);
  EXPECT_EQ(table.State().spec().schedule().learning_rate(), 0.01);
}

TEST(CrashTableTest, ARateThatWasChangedWithoutAJournalHoldsFromTheCheckpointOn) {
  Table table(/*journal=*/false);
  table.Create();
  table.TrainTo(105);
  v1::Evaluation evaluation;
  evaluation.set_step(105);
  evaluation.set_loss(0.25);
  evaluation.set_examples(10);
  ASSERT_TRUE(table.run()->ReportEvaluation(evaluation).ok());
  ASSERT_TRUE(table.SetRate(0.01).ok());
  table.TrainTo(110);
  table.server()->TakeLog();
  table.Crash();
  EXPECT_EQ(table.Step(), 100);
  EXPECT_EQ(table.State().timeline(), 2U);
  EXPECT_EQ(table.State().spec().schedule().learning_rate(), 0.01);
  EXPECT_EQ(table.State().state(), v1::RUN_STATE_RUNNING);
  EXPECT_FALSE(table.State().has_evaluation());
  EXPECT_THAT(table.server()->TakeLog(),
              Contains(HasSubstr("what came after step 100, evaluations included")));
  // That is durable before anybody goes on from it.
  table.TrainTo(101);
  table.Crash();
  EXPECT_EQ(table.Step(), 100);
  EXPECT_EQ(table.State().timeline(), 3U);
  EXPECT_EQ(table.State().spec().schedule().learning_rate(), 0.01);
}

// ---- It is paused at 105 ----

TEST(CrashTableTest, ARunThatWasPausedIsPaused) {
  for (const bool journal : {true, false}) {
    for (const bool checkpoint : {true, false}) {
      Table table(journal);
      table.Create();
      table.TrainTo(105);
      ASSERT_TRUE(table.run()->Pause("ada").ok());
      ASSERT_TRUE(table.IsAnswered());
      // One is made because it was paused.
      if (checkpoint) table.server()->Pass(absl::Milliseconds(100));
      table.Crash();
      EXPECT_EQ(table.State().state(), v1::RUN_STATE_PAUSED);
      EXPECT_EQ(table.State().state_author(), "ada");
      EXPECT_EQ(table.Step(), journal || checkpoint ? 105 : 100) << journal << checkpoint;
    }
  }
}

// ---- max_steps is reached, and the power fails before the last checkpoint ----

TEST(CrashTableTest, AFinishedRunIsFinishedIfAnybodyWasTold) {
  for (const bool journal : {true, false}) {
    for (const bool ticked : {true, false}) {
      Table table(journal);
      table.spec()->set_max_steps(110);
      table.Create();
      table.TrainTo(109);
      table.worker()->Push(109);
      table.server()->Settle();
      const auto told = [&] { return table.worker()->TakeResults().size(); };
      const size_t before = told();
      const auto& events = table.worker()->stream()->events();
      if (journal) {
        EXPECT_EQ(before, 1U);
        EXPECT_EQ(events.size(), 1U);
      } else {
        EXPECT_EQ(before, 0U) << "the last result waits for the last checkpoint";
        EXPECT_THAT(events, IsEmpty());
        EXPECT_LT(table.run()->Progress().step(), 111);
        EXPECT_FALSE(table.IsAnswered()) << "nor is anybody else told";
      }
      if (ticked) {
        table.server()->Pass(absl::Milliseconds(100));
        const auto newest = table.server()->kept()->CheckpointerOf(table.run())->newest();
        ASSERT_TRUE(newest.has_value());
        EXPECT_EQ(newest->name.step, 110) << "it is written down when it is finished";
        if (!journal) {
          EXPECT_EQ(told(), 1U);
          EXPECT_EQ(table.worker()->stream()->events().size(), 1U);
        }
      }
      table.Crash();
      if (journal || ticked) {
        EXPECT_EQ(table.Step(), 110);
        EXPECT_EQ(table.State().state(), v1::RUN_STATE_FINISHED);
        EXPECT_EQ(table.State().timeline(), 1U) << "nothing is lost";
        continue;
      }
      EXPECT_EQ(table.Step(), 100);
      EXPECT_EQ(table.State().state(), v1::RUN_STATE_RUNNING);
      EXPECT_EQ(table.State().timeline(), 2U);
      table.TrainTo(109);
      table.worker()->Push(109);
      table.server()->Settle();
      table.server()->Pass(absl::Milliseconds(100));
      EXPECT_EQ(table.worker()->TakeResults().size(), 1U);
      EXPECT_EQ(table.State().state(), v1::RUN_STATE_FINISHED);
    }
  }
}

// The one who asked for it was not told; and nobody would come to make the lost steps once more.
TEST(CrashTableTest, ARunThatWasFinishedEarlyGoesOnIfNobodyWasTold) {
  for (const bool ticked : {true, false}) {
    Table table(/*journal=*/false);
    table.Create();
    table.TrainTo(110);
    ASSERT_TRUE(table.run()->Finish("ada", "enough").ok());
    EXPECT_FALSE(table.IsAnswered());
    if (ticked) {
      table.server()->Pass(absl::Milliseconds(100));
      EXPECT_TRUE(table.IsAnswered());
    }
    table.Crash();
    EXPECT_EQ(table.Step(), ticked ? 110 : 100);
    EXPECT_EQ(table.State().state(), ticked ? v1::RUN_STATE_FINISHED : v1::RUN_STATE_RUNNING);
  }
}

// ---- It is deleted ----

TEST(CrashTableTest, ARunThatWasDeletedIsGone) {
  for (const bool journal : {true, false}) {
    for (uint64_t seed = 0; seed < 10; ++seed) {
      Table table(journal);
      const auto run = table.Create();
      table.TrainTo(110);
      table.worker()->Disconnect();
      const auto checkpointer = table.server()->kept()->CheckpointerOf("r");
      ASSERT_TRUE(table.server()->registry()->Delete("runs/r").ok());
      // Whoever is late cannot bring it back.
      bool made = false;
      checkpointer->Request([&](const auto& checkpoint) { made = checkpoint.ok(); });
      const auto answer = table.server()->Answer(run.get());
      table.server()->Settle();
      ASSERT_TRUE(answer->has_value() && (*answer)->ok());
      EXPECT_FALSE(made);
      table.Crash(seed);
      EXPECT_EQ(table.run(), nullptr);
      EXPECT_THAT(*table.files()->List("s/runs"), IsEmpty());
      EXPECT_THAT(*table.files()->List("s/deleted"), IsEmpty());
    }
  }
}

// The same id, given to another run at once: nothing of the first one comes into it, whenever what
// its checkpoint has left to do is done.
TEST(CrashTableTest, ALateCheckpointOfADeletedRunIsNotThatOfTheNextOne) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    FakeFileSystem files;
    FakeClock clock;
    std::string uid;
    {
      KeptServer server(&files, &clock, seed);
      ASSERT_TRUE(server.Start().ok());
      v1::Run spec = SynchronousSpec(kWidth, 1);
      spec.mutable_checkpoints()->mutable_every()->set_seconds(0);
      const auto first = server.registry()->Create("r", spec, "");
      ASSERT_TRUE(first.ok());
      server.Settle();
      KeptWorker worker("a", kWidth);
      worker.Join(&server, "r");
      server.Settle();
      worker.TakeResults();
      worker.Push(0);
      server.Settle();
      worker.Disconnect();
      server.kept()->Tick();
      server.kept()->CheckpointerOf("r")->Request([](const auto&) {});
      ASSERT_TRUE(server.registry()->Delete("runs/r").ok());
      absl::StatusOr<std::shared_ptr<gradd::Run>> second = absl::UnknownError("not yet");
      for (int turn = 0; turn < 1000 && !second.ok(); ++turn) {
        server.RunOne();
        second = server.registry()->Create("r", spec, "");
      }
      ASSERT_TRUE(second.ok()) << second.status();
      server.Settle();
      state::v1::RunState state;
      (*second)->WriteState(&state);
      uid = state.uid();
      server.Kill();
    }
    const auto left = files.WithoutPending();
    const std::vector<std::string> names = *left->List("s/runs/r");
    EXPECT_THAT(names, testing::Not(Contains(HasSubstr("checkpoint")))) << "seed " << seed;
    KeptServer server(left.get(), &clock, seed);
    ASSERT_TRUE(server.Start().ok());
    const auto run = server.Find("r");
    ASSERT_NE(run, nullptr);
    state::v1::RunState state;
    run->WriteState(&state);
    EXPECT_EQ(state.uid(), uid) << seed;
    EXPECT_EQ(state.step(), 0) << seed;
  }
}

// ---- Two changes, of which the second one is refused ----

TEST(CrashTableTest, ARefusalLeavesNoRecord) {
  for (const bool journal : {true, false}) {
    Limits limits;
    limits.max_state_bytes = 1 << 19;
    Table table(journal, limits);
    *table.spec() = SynchronousSpec(40'000, 1);
    table.spec()->mutable_checkpoints()->mutable_every()->set_seconds(0);
    table.spec()->set_journal(journal);
    table.Create();
    ASSERT_TRUE(table.SetRate(0.01).ok());
    EXPECT_FALSE(table.SetRate(-1).ok());
    // There is no memory for slots.
    const absl::Status refused = table.Change(
        [](v1::Run* run) {
          run->mutable_optimizer()->mutable_adam();
          run->mutable_optimizer()->mutable_look_ahead();
          run->mutable_optimizer()->mutable_parameter_average();
        },
        "optimizer");
    EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted) << refused;
    const int64_t events = table.State().events();
    table.Crash();
    ASSERT_NE(table.run(), nullptr);
    EXPECT_EQ(table.State().spec().schedule().learning_rate(), 0.01);
    EXPECT_TRUE(table.State().spec().optimizer().has_sgd());
    EXPECT_EQ(table.State().events(), journal ? events : events + 1) << "a timeline began, no more";
  }
}

TEST(CrashTableTest, ACreationThatIsRefusedLeavesNothing) {
  Limits limits;
  limits.max_state_bytes = 1 << 20;
  Table table(/*journal=*/true, limits);
  *table.spec() = SynchronousSpec(1'000'000, 1);
  const auto refused = table.server()->registry()->Create("r", *table.spec(), "q");
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
  table.server()->Settle();
  EXPECT_THAT(*table.files()->List("s/runs"), IsEmpty());
}

// ---- Creation is asked for again ----

TEST(CrashTableTest, ACreationThatIsAskedForAgainIsAnsweredAsTheFirstTime) {
  for (const bool journal : {true, false}) {
    Table table(journal);
    table.Create("q");
    const std::string uid = table.State().uid();
    table.TrainTo(110);
    table.Crash();
    EXPECT_EQ(table.Create("q"), table.run());
    EXPECT_EQ(table.State().uid(), uid);
    const auto other = table.server()->registry()->Create("r", *table.spec(), "another");
    EXPECT_EQ(other.status().code(), absl::StatusCode::kAlreadyExists);
    const auto none = table.server()->registry()->Create("r", *table.spec(), "");
    EXPECT_EQ(none.status().code(), absl::StatusCode::kAlreadyExists);
  }
}

// ---- The server is stopped and started again ----

TEST(CrashTableTest, ARunWhoseServerStoppedIsAsItWas) {
  for (const bool journal : {true, false}) {
    Table table(journal);
    table.Create();
    table.TrainTo(110);
    const std::string bits = BitsOf(table.run().get());
    table.Restart();
    EXPECT_EQ(table.Step(), 110);
    EXPECT_EQ(table.State().timeline(), 1U);
    EXPECT_TRUE(BitsOf(table.run().get()) == bits);
    // And once more, with nothing new.
    table.Restart();
    EXPECT_EQ(table.Step(), 110);
    EXPECT_EQ(table.State().timeline(), 1U);
  }
}

// ---- The clock goes back ----

TEST(CrashTableTest, AClockThatWentBackTakesNothingFromARun) {
  for (const bool journal : {true, false}) {
    Table table(journal);
    table.clock()->Advance(absl::Hours(2));
    table.Create();
    table.TrainTo(20);
    ASSERT_TRUE(table.server()->MakeCheckpoint("r"));
    ASSERT_TRUE(table.SetRate(0.01).ok());
    table.EndForChanges();
    table.clock()->Advance(-absl::Hours(1));
    table.Start(3);
    ASSERT_NE(table.run(), nullptr);
    EXPECT_EQ(table.Step(), 20);
    EXPECT_EQ(table.State().spec().schedule().learning_rate(), 0.01);
    table.TrainTo(25);
    // Nobody has lost his lease, and whoever is silent loses it in time.
    EXPECT_EQ(table.run()->Progress().live_workers(), 1);
    EXPECT_GE(table.run()->Progress().elapsed().seconds(), 0);
    table.worker()->Disconnect();
    for (int i = 0; i < 100; ++i) table.server()->Pass(absl::Seconds(1));
    EXPECT_EQ(table.run()->Progress().live_workers(), 0);
    ASSERT_TRUE(table.server()->MakeCheckpoint("r"));
  }
}

// ---- Damaged files ----

// Changes a byte of a checkpoint's data.
void Damage(Table* table, int64_t step) {
  const std::string path = absl::StrCat("s/runs/r/", CheckpointName({/*timeline=*/1, step}));
  std::string damaged = table->files()->Contents(path);
  damaged[damaged.size() - 30] = static_cast<char>(damaged[damaged.size() - 30] ^ 1);
  table->files()->SetContents(path, damaged);
}

TEST(CrashTableTest, DamagedCheckpointsAreNamedAndTheOneBeforeThemIsUsed) {
  for (const bool journal : {true, false}) {
    Table table(journal);
    table.Create();
    table.TrainTo(110);
    ASSERT_TRUE(table.server()->MakeCheckpoint("r"));
    table.TrainTo(111);
    ASSERT_TRUE(table.server()->MakeCheckpoint("r"));
    table.TrainTo(112);
    ASSERT_TRUE(table.SetRate(0.01).ok());
    table.EndForChanges();
    Damage(&table, 110);
    Damage(&table, 111);
    table.Start(3);
    ASSERT_NE(table.run(), nullptr);
    EXPECT_EQ(table.Step(), 100);
    EXPECT_EQ(table.State().timeline(), 2U);
    EXPECT_EQ(table.State().spec().schedule().learning_rate(), 0.01);
    const std::vector<std::string> said = table.server()->TakeLog();
    EXPECT_THAT(said, Contains(HasSubstr("checkpoint-1-000000000110.safetensors")));
    EXPECT_THAT(said, Contains(HasSubstr("checkpoint-1-000000000111.safetensors")));
    // They do not count as kept.
    const auto kept = table.server()->kept()->CheckpointerOf("r")->checkpoints();
    ASSERT_EQ(kept.size(), 1U);
    EXPECT_EQ(kept[0].name.step, 100);
    // It went on from there: also when they can be read again, they are of what was given up.
    table.TrainTo(103);
    table.EndForChanges();
    Damage(&table, 110);
    Damage(&table, 111);
    table.Start(3);
    ASSERT_NE(table.run(), nullptr);
    EXPECT_EQ(table.Step(), journal ? 103 : 100);
    EXPECT_EQ(table.State().timeline(), journal ? 2U : 3U);
    EXPECT_EQ(table.State().spec().schedule().learning_rate(), 0.01);
  }
}

TEST(CrashTableTest, WithTheWholeJournalSinceThenADamagedCheckpointCostsNothing) {
  Table table(/*journal=*/true);
  table.Create();
  table.TrainTo(110);
  ASSERT_TRUE(table.server()->MakeCheckpoint("r"));
  table.TrainTo(112);
  const std::string bits = BitsOf(table.run().get());
  table.EndForChanges();
  Damage(&table, 110);
  table.Start(3);
  ASSERT_NE(table.run(), nullptr);
  EXPECT_EQ(table.Step(), 112);
  EXPECT_EQ(table.State().timeline(), 1U);
  EXPECT_TRUE(BitsOf(table.run().get()) == bits);
}

TEST(CrashTableTest, ADamagedLogIsNamedAndTheRunCanOnlyBeDeleted) {
  Table table(/*journal=*/true);
  table.Create();
  table.TrainTo(20);
  table.EndForChanges();
  std::string log = table.files()->Contents("s/runs/r/log-00000001");
  log[log.size() / 2] ^= 1;
  table.files()->SetContents("s/runs/r/log-00000001", log);
  table.Start(3);
  EXPECT_EQ(table.run(), nullptr);
  const auto found = table.server()->registry()->Find("runs/r");
  EXPECT_EQ(ReasonOf(found.status()), "RUN_DAMAGED");
  EXPECT_THAT(std::string(found.status().message()), HasSubstr("s/runs/r/log-00000001, byte "));
  const auto created = table.server()->registry()->Create("r", *table.spec(), "q");
  EXPECT_FALSE(created.ok());
  EXPECT_EQ(table.files()->Contents("s/runs/r/log-00000001"), log) << "nobody touches it";
  ASSERT_TRUE(table.server()->registry()->Delete("runs/r").ok());
  table.server()->Settle();
  EXPECT_THAT(*table.files()->List("s/runs"), IsEmpty());
  EXPECT_NE(table.Create(), nullptr);
}

// ---- What nobody can know ----

// An earlier server was stopped, and has written that nothing is missing; the next one was not.
TEST(CrashTableTest, StepsAfterACleanStopAreLostAndSaidToBe) {
  Table table(/*journal=*/false);
  table.Create();
  table.TrainTo(100);
  table.Restart();
  ASSERT_EQ(table.Step(), 100);
  ASSERT_EQ(table.State().timeline(), 1U);
  table.TrainTo(130);
  table.Crash();
  EXPECT_EQ(table.Step(), 100);
  EXPECT_EQ(table.State().timeline(), 2U);
  EXPECT_THAT(table.server()->TakeLog(), Contains(HasSubstr("lost=")));
}

// It was finished, and went on since somebody let it.
TEST(CrashTableTest, StepsAfterAFinishedRunWasLetGoOnAreLostAndSaidToBe) {
  for (const bool checkpoint : {true, false}) {
    Table table(/*journal=*/false);
    table.spec()->set_max_steps(100);
    table.Create();
    table.TrainTo(100);
    table.server()->Pass(absl::Seconds(1));
    ASSERT_EQ(table.State().state(), v1::RUN_STATE_FINISHED);
    if (checkpoint) {
      ASSERT_TRUE(table.server()->MakeCheckpoint("r"));
    }
    ASSERT_TRUE(table.Change([](v1::Run* run) { run->set_max_steps(200); }, "max_steps").ok());
    table.TrainTo(130);
    table.Crash();
    EXPECT_EQ(table.Step(), 100);
    EXPECT_EQ(table.State().timeline(), 2U);
    EXPECT_EQ(table.State().spec().max_steps(), 200);
  }
}

// ---- The machine is at fault, and not the files ----

TEST(CrashTableTest, WithoutDescriptorsForItsFilesARunWaitsAndLosesNothing) {
  for (const int error : {EMFILE, EACCES, ENOMEM}) {
    for (const char* const name : {"open", "list"}) {
      int64_t put_off = 0;
      for (int64_t call = 1; call < 20; ++call) {
        Table table(/*journal=*/false);
        table.Create();
        table.TrainTo(100);
        table.worker()->Disconnect();
        table.server()->Stop();
        table.EndForChanges();
        table.files()->SetFault({call, error, /*lasting=*/false, name});
        KeptServer server(table.files(), table.clock(), /*seed=*/7);
        if (!server.Start().ok()) continue;  // It says so, and does not serve.
        if (server.Find("r") == nullptr) {
          ++put_off;
          ASSERT_EQ(server.registry()->Unusable().size(), 1U);
          EXPECT_THAT(server.registry()->Unusable()[0].progress().reason(),
                      HasSubstr("cannot be read now: "));
          server.Pass(absl::Seconds(11));
        }
        ASSERT_NE(server.Find("r"), nullptr) << name << " " << call;
        state::v1::RunState state;
        server.Find("r")->WriteState(&state);
        EXPECT_EQ(state.step(), 100);
        EXPECT_EQ(state.timeline(), 1U) << name << " " << call << ": " << error;
      }
      EXPECT_GT(put_off, 0) << name;
    }
  }
}

// ---- Deletions that meet a disk ----

TEST(CrashTableTest, ARunThatFillsTheDiskCanBeDeleted) {
  Table table(/*journal=*/true);
  table.Create();
  table.TrainTo(5);
  table.files()->SetRoom(table.files()->bytes() + 10);
  for (int64_t step = 5; step < 7; ++step) {
    table.worker()->Push(step);
    table.server()->Settle();
  }
  const absl::Status deleted = table.Delete();
  EXPECT_TRUE(deleted.ok()) << deleted;
  EXPECT_TRUE(table.server()->registry()->Create("r", *table.spec(), "").ok()) << "its id is free";
}

TEST(CrashTableTest, ARunWhoseLogHasFailedIsDeletedAndTheNextOneOfItsNameIsKept) {
  for (const bool busy : {false, true}) {
    Table table(/*journal=*/true);
    table.Create();
    table.TrainTo(3);
    table.server()->Pass(absl::Milliseconds(100));
    table.files()->SetFault({1, EIO, /*lasting=*/false, "sync"});
    table.worker()->Push(3);
    table.server()->Settle();
    // A checkpoint of it may be on its way.
    if (busy) {
      table.server()->kept()->CheckpointerOf("r")->Request([](const auto&) {});
      table.server()->RunOne();
    }
    ASSERT_FALSE(table.run()->LogFailure().ok());
    const absl::Status deleted = table.Delete();
    EXPECT_TRUE(deleted.ok()) << deleted;
    ASSERT_NE(table.Create("other"), nullptr);
    table.server()->Pass(absl::Seconds(1));
    ASSERT_TRUE(table.IsAnswered());
    table.Crash();
    ASSERT_NE(table.run(), nullptr);
    EXPECT_EQ(table.Step(), 0);
    EXPECT_EQ(table.State().request_id(), "other");
  }
}

TEST(CrashTableTest, WhoeverWaitsForACheckpointOfARunThatIsDeletedIsTold) {
  Table table(/*journal=*/false);
  table.Create();
  table.TrainTo(3);
  table.server()->Pass(absl::Milliseconds(100));
  absl::Status told = absl::OkStatus();
  table.server()->kept()->CheckpointerOf("r")->Request(
      [&](const auto& made) { told = made.status(); });
  ASSERT_TRUE(table.server()->registry()->Delete("runs/r").ok());
  table.server()->Pass(absl::Seconds(1));
  EXPECT_EQ(told.code(), absl::StatusCode::kNotFound) << told;
}

// ---- The guard has stopped it ----

TEST(CrashTableTest, WhatAGuardWasAboutToDoIsDoneByTheNextServer) {
  for (const bool journal : {true, false}) {
    Table table(journal);
    table.spec()->mutable_guard()->set_action(v1::DivergenceGuard::ACTION_ROLL_BACK);
    table.Create();
    table.TrainTo(100);
    for (int64_t step = 100; table.State().state() == v1::RUN_STATE_RUNNING; ++step) {
      ASSERT_LT(step, 300) << "it was never stopped";
      table.worker()->Push(step, {}, /*loss=*/1e6);
      table.server()->Settle();
      table.worker()->TakeResults();
    }
    const int64_t since = table.State().guarded_since_step();
    EXPECT_GT(since, 100);
    EXPECT_TRUE(table.State().awaits_rollback());
    table.Crash();
    ASSERT_EQ(table.State().state(), v1::RUN_STATE_PAUSED);
    EXPECT_TRUE(table.State().awaits_rollback());
    for (int i = 0; i < 10; ++i) table.server()->Pass(absl::Milliseconds(100));
    const state::v1::RunState state = table.State();
    EXPECT_EQ(state.step(), 100);
    EXPECT_EQ(state.state(), v1::RUN_STATE_RUNNING);
    EXPECT_EQ(state.guard_rollbacks(), 1);
    EXPECT_EQ(state.spec().schedule().learning_rate(), 0.05);
    EXPECT_FALSE(state.awaits_rollback());
  }
}

TEST(CrashTableTest, AGuardDoesNotTakeBackWhatSomebodyHasLetGoOn) {
  Table table(/*journal=*/true);
  table.spec()->mutable_guard()->set_action(v1::DivergenceGuard::ACTION_ROLL_BACK);
  table.Create();
  table.TrainTo(100);
  int64_t step = 100;
  for (; table.State().state() == v1::RUN_STATE_RUNNING; ++step) {
    ASSERT_LT(step, 300) << "it was never stopped";
    table.worker()->Push(step, {}, /*loss=*/1e6);
    table.server()->Settle();
    table.worker()->TakeResults();
  }
  // The guard is about to, and somebody is faster.
  table.server()->kept()->Tick();
  ASSERT_TRUE(table.run()->Resume("ada").ok());
  for (int i = 0; i < 10; ++i) table.server()->Pass(absl::Milliseconds(100));
  EXPECT_EQ(table.State().state(), v1::RUN_STATE_RUNNING);
  EXPECT_EQ(table.State().guard_rollbacks(), 0);
  EXPECT_GE(table.Step(), 100);
  // Nor after a restart: whoever let it go on knows of that divergence.
  table.Crash();
  table.TrainTo(table.Step() + 1, /*checkpoint_at_100=*/false);
  EXPECT_EQ(table.State().state(), v1::RUN_STATE_RUNNING);
}

// ---- Files that somebody has touched ----

TEST(CrashTableTest, ACheckpointUnderAnotherNameIsNotGoneOnFrom) {
  for (const RunFolder::Checkpoint& name :
       {RunFolder::Checkpoint{1, 999}, RunFolder::Checkpoint{9, 100}}) {
    Table table(/*journal=*/false);
    table.spec()->mutable_checkpoints()->set_keep_last(5);
    table.Create();
    table.TrainTo(130);
    ASSERT_TRUE(table.server()->MakeCheckpoint("r"));
    table.EndForChanges();
    const RunFolder folder(table.files(), "s", "r");
    ASSERT_TRUE(
        table.files()->Rename(folder.CheckpointPath({1, 100}), folder.CheckpointPath(name)).ok());
    table.Start(7);
    ASSERT_NE(table.run(), nullptr);
    EXPECT_EQ(table.Step(), 130);
    EXPECT_THAT(table.server()->TakeLog(), Contains(HasSubstr("somebody has renamed it")));
    for (const KeptCheckpoint& kept : table.server()->kept()->CheckpointerOf("r")->checkpoints()) {
      EXPECT_NE(kept.name.step, name.step);
    }
  }
}

TEST(CrashTableTest, DamageInASegmentThatACheckpointMakesNeedlessIsNone) {
  Table table(/*journal=*/true);
  // An older checkpoint keeps the segments after it.
  table.spec()->mutable_checkpoints()->set_keep_last(5);
  table.Create();
  table.TrainTo(50);
  ASSERT_TRUE(table.server()->MakeCheckpoint("r"));
  table.TrainTo(110);
  table.EndForChanges();
  const RunFolder folder(table.files(), "s", "r");
  const auto segments = folder.Segments();
  ASSERT_TRUE(segments.ok());
  ASSERT_GE(segments->size(), 2U);
  const std::string path = folder.SegmentPath((*segments)[segments->size() - 2]);
  std::string data = table.files()->Contents(path);
  data[data.size() / 2] = static_cast<char>(data[data.size() / 2] ^ 1);
  table.files()->SetContents(path, data);
  table.Start(7);
  ASSERT_NE(table.run(), nullptr);
  EXPECT_EQ(table.Step(), 110);
  EXPECT_EQ(table.State().timeline(), 1U);
}

}  // namespace
}  // namespace gradd
