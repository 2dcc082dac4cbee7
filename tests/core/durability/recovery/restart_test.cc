// A run whose server is started again goes on to the same bits: every optimizer and stage, every
// policy, with a journal, with checkpoints, and with both.

#include <gtest/gtest.h>

#include <google/protobuf/text_format.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/core/durability/kept_server.h"
#include "tests/core/run/cut_push.h"
#include "tests/core/run/every_stage.h"
#include "tests/support/specs.h"
#include "tests/support/trainee.h"

namespace gradd {
namespace {

constexpr int kRoundsBefore = 5;  // Not a multiple of any window, so that one is open.
constexpr int kRoundsAfter = 20;

enum class Kept { kJournal, kCheckpoint, kCheckpointInTheMiddle };
constexpr Kept kAllKept[] = {Kept::kJournal, Kept::kCheckpoint, Kept::kCheckpointInTheMiddle};

// A run on a server that is started again after kRoundsBefore rounds, unless it is `undisturbed`.
// `round` makes one of them.
template <typename Round, typename Begin>
std::string BitsAfterRestart(v1::Run spec, Kept kept, bool undisturbed, const Begin& begin,
                             const Round& round) {
  spec.set_journal(kept != Kept::kCheckpoint);
  // Made when the test says so.
  spec.mutable_checkpoints()->mutable_every()->set_seconds(0);
  FakeClock clock;
  auto files = std::make_unique<FakeFileSystem>();
  auto server = std::make_unique<KeptServer>(files.get(), &clock, /*seed=*/1);
  EXPECT_TRUE(server->Start().ok());
  const auto created = server->registry()->Create("r", spec, "");
  EXPECT_TRUE(created.ok()) << created.status();
  server->Settle();
  begin(server.get());
  for (int number = 0; number < kRoundsBefore; ++number) {
    round(server.get(), number);
    const bool is_last = number + 1 == kRoundsBefore;
    if ((kept == Kept::kCheckpoint && is_last) ||
        (kept == Kept::kCheckpointInTheMiddle && number == kRoundsBefore / 2)) {
      EXPECT_TRUE(server->MakeCheckpoint("r"));
    }
  }
  if (!undisturbed) {
    const auto before = server->Find("r")->Progress().step();
    begin(nullptr);
    server->Kill();
    auto left = files->AfterCrash(/*seed=*/3);
    server = std::make_unique<KeptServer>(left.get(), &clock, /*seed=*/5);
    files = std::move(left);
    EXPECT_TRUE(server->Start().ok());
    const auto run = server->Find("r");
    if (run == nullptr) return "it is gone";
    EXPECT_EQ(run->Progress().step(), before);
    begin(server.get());
  }
  for (int number = kRoundsBefore; number < kRoundsBefore + kRoundsAfter; ++number) {
    round(server.get(), number);
  }
  const std::string bits = BitsOf(server->Find("r").get());
  begin(nullptr);
  server->Kill();
  return bits;
}

class RestartTest : public testing::TestWithParam<NamedOptimizer> {};

TEST_P(RestartTest, TwentyStepsMoreHaveTheSameBits) {
  const v1::Run spec = SpecOf(GetParam());
  std::unique_ptr<ScriptedWorker> workers[kCutWorkers];
  uint64_t instance = 0;
  const auto begin = [&](KeptServer* server) {
    for (int i = 0; i < kCutWorkers; ++i) {
      workers[i].reset();
      if (server == nullptr) continue;
      workers[i] =
          std::make_unique<ScriptedWorker>(server->registry(), i == 0 ? "a" : "b", ++instance);
      workers[i]->Join("r");
      server->Settle();
      ASSERT_TRUE(workers[i]->welcome().has_value());
    }
  };
  const auto round = [&](KeptServer* server, int number) {
    constexpr v1::Encoding kEncodings[] = {v1::ENCODING_FLOAT32,  v1::ENCODING_INT8,
                                           v1::ENCODING_SPARSE,   v1::ENCODING_ROWS,
                                           v1::ENCODING_BFLOAT16, v1::ENCODING_FLOAT16};
    const v1::Encoding encoding = kEncodings[number % 6];
    std::mt19937 cuts(static_cast<unsigned>(number));
    size_t results[kCutWorkers] = {};
    for (int i = 0; i < kCutWorkers; ++i) {
      results[i] = workers[i]->results().size();
      const std::vector<Part> parts = encoding == v1::ENCODING_ROWS
                                          ? CutRows(number, i, &cuts)
                                          : CutPush(encoding, true, number, i, &cuts);
      v1::PushHeader header;
      header.set_sequence(number + 1);
      header.set_base_step(server->Find("r")->Progress().step());
      header.set_examples(1 + i);
      std::vector<v1::TrainRequest> requests = RequestsOf(header, parts);
      for (size_t part = 0; part < parts.size(); ++part) {
        workers[i]->Send(std::move(requests[part]), PayloadOf(parts[part]));
        server->Settle();
      }
    }
    for (int i = 0; i < kCutWorkers; ++i) {
      ASSERT_EQ(workers[i]->results().size(), results[i] + 1) << number;
      ASSERT_TRUE(IsTaken(workers[i]->results().back()))
          << workers[i]->results().back().ShortDebugString();
    }
  };
  const std::string bits =
      BitsAfterRestart(spec, Kept::kJournal, /*undisturbed=*/true, begin, round);
  for (const Kept kept : kAllKept) {
    EXPECT_TRUE(BitsAfterRestart(spec, kept, /*undisturbed=*/false, begin, round) == bits)
        << static_cast<int>(kept);
  }
}

INSTANTIATE_TEST_SUITE_P(Table, RestartTest, testing::ValuesIn(EveryOptimizerAndStage()),
                         [](const auto& row) { return row.param.name; });

struct PolicyRow {
  const char* name;
  const char* policy;
  bool fresh;  // No push is older than its step: what it needs of steps before is not kept.
};

class PolicyRestartTest : public testing::TestWithParam<PolicyRow> {};

TEST_P(PolicyRestartTest, TwentyRoundsMoreHaveTheSameBits) {
  constexpr int64_t kLength = 20;
  v1::Run spec = SynchronousSpec(kLength, 2);
  spec.mutable_optimizer()->mutable_adam();
  spec.mutable_schedule()->set_learning_rate(0.1);
  ASSERT_TRUE(
      google::protobuf::TextFormat::ParseFromString(GetParam().policy, spec.mutable_policy()));
  KeptWorker workers[] = {{"a", kLength}, {"b", kLength}, {"c", kLength}};
  const auto begin = [&](KeptServer* server) {
    for (KeptWorker& worker : workers) {
      worker.Disconnect();
      if (server == nullptr) continue;
      worker.Join(server, "r");
      server->Settle();
      worker.TakeResults();
    }
  };
  int64_t answers = 0;
  // "c" is late: it pushes from the step before, and is not waited for.
  const auto round = [&](KeptServer* server, int /*number*/) {
    const auto run = server->Find("r");
    const int64_t step = run->Progress().step();
    for (KeptWorker& worker : workers) {
      ASSERT_TRUE(worker.stream()->CanSend());
      const bool late = worker.worker() == "c" && !GetParam().fresh;
      worker.Push(late ? std::max<int64_t>(step - 1, 0) : run->Progress().step());
      server->Settle();
    }
    for (int pass = 0; pass < 3; ++pass) server->Pass(absl::Milliseconds(400));
    for (KeptWorker& worker : workers) {
      for (const v1::PushResult& result : worker.TakeResults()) {
        ++answers;
        EXPECT_TRUE(IsTaken(result) || result.outcome() == v1::PUSH_OUTCOME_SUPERSEDED)
            << result.ShortDebugString();
      }
    }
  };
  const std::string bits =
      BitsAfterRestart(spec, Kept::kJournal, /*undisturbed=*/true, begin, round);
  EXPECT_GE(answers, 2 * (kRoundsBefore + kRoundsAfter));
  for (const Kept kept : kAllKept) {
    EXPECT_TRUE(BitsAfterRestart(spec, kept, /*undisturbed=*/false, begin, round) == bits)
        << static_cast<int>(kept);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Table, PolicyRestartTest,
    testing::Values(PolicyRow{"synchronous", "synchronous { workers: 3 }", true},
                    PolicyRow{"quorum_carried",
                              "synchronous { workers: 3 quorum: 2 grace { seconds: 1 } "
                              "late_pushes: LATE_PUSHES_CARRIED }",
                              false},
                    PolicyRow{"adaptive_grace",
                              "synchronous { workers: 3 quorum: 2 adaptive_grace: true "
                              "late_pushes: LATE_PUSHES_CARRIED }",
                              false},
                    PolicyRow{"asynchronous",
                              "asynchronous { correction: STALENESS_CORRECTION_LEARNING_RATE }",
                              false},
                    PolicyRow{"delay_compensation",
                              "asynchronous { delay_compensation { strength: 0.5 kept_steps: 4 } }",
                              true},
                    PolicyRow{"age_decay", "asynchronous { age_decay { alpha: 0.25 } }", false},
                    PolicyRow{"bounded_staleness", "bounded_staleness { bound: 5 }", false}),
    [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace gradd
