// From the initial state, the events in its log and the pushes, a StepEngine alone reaches the bits
// of the run that was trained, and its record is made again: for every optimizer and stage, in
// every encoding, with each policy in turn, with a data set and without; with changes, evaluations,
// skips, deaths, rejoins and a new timeline in between. So does a run that goes on from where
// another was captured, and one from its checkpoint.

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/thread_pool.h"
#include "core/data/data_set.h"
#include "core/run/run.h"
#include "core/run/run_registry.h"
#include "tests/core/durability/checkpoint_files.h"
#include "tests/core/run/cut_push.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_worker.h"
#include "tests/support/replayed_engine.h"
#include "tests/support/replayed_record.h"
#include "tests/support/trainee.h"
#include "tests/support/update.h"

namespace gradd {
namespace {

constexpr absl::Duration kLease = absl::Seconds(15);

struct Replayed final : EventLog {
  Replayed() : engine(3 * kTileElements, std::make_unique<ThreadPool>(2)) {}
  void Append(const state::v1::Event& event, Pushes pushes) override {
    record.Append(event, pushes);
    engine.Append(event, pushes);
  }
  ReplayedRecord record;
  ReplayedEngine engine;
};

// A run on a server of its own, with workers "a" and "b" that push what CutPush() says.
class Played {
 public:
  Played(const v1::Run& spec, FakeClock* clock)
      : registry_(Limits(), /*threads=*/2, clock, 2 * kTileElements) {
    registry_.SetEventLogs([this](const std::string&) {
      replayed_ = std::make_shared<Replayed>();
      return replayed_;
    });
    auto run = registry_.Create("r", spec, "");
    EXPECT_TRUE(run.ok()) << run.status();
    run_ = *std::move(run);
    if (spec.has_data()) data_.emplace(spec.data());
  }
  // One that goes on from where `other` is now: from its memory, or from a file.
  enum class From { kMemory, kFile };
  Played(Played* other, From from, FakeClock* clock)
      : registry_(Limits(), /*threads=*/2, clock, 2 * kTileElements) {
    RunOrigin origin;
    origin.capture = other->Capture();
    if (from == From::kFile) {
      origin = ThroughAFile(std::move(origin.capture), registry_.environment());
    }
    auto run = registry_.Create("r", origin.capture->state.spec(), "", &origin);
    EXPECT_TRUE(run.ok()) << run.status();
    run_ = *std::move(run);
    const v1::Run& spec = origin.capture->state.spec();
    if (spec.has_data()) data_.emplace(spec.data());
  }

  void Join(size_t worker) {
    workers_[worker] =
        std::make_unique<FakeWorker>(&registry_, "r", worker == 0 ? "a" : "b", /*instance=*/1);
    workers_[worker]->Join();
    sequences_[worker] = workers_[worker]->welcome()->last_sequence();
    results_[worker] = 0;
    leased_[worker] = NumbersOf(workers_[worker]->welcome()->data().leased());
    leases_[worker] = 0;
  }
  // Everybody, in a new session.
  void Rejoin() {
    for (size_t worker = 0; worker < kCutWorkers; ++worker) {
      if (workers_[worker] != nullptr) Die(worker);
      Join(worker);
    }
  }
  void Die(size_t worker) { workers_[worker]->Disconnect(); }
  // Of which all know in their next sessions.
  void BeginTimeline() {
    EXPECT_TRUE(run_->BeginTimeline("ada").ok());
    Rejoin();
  }
  void Tick() { registry_.Tick(); }

  // Pushes from `base_step` and does not wait.
  void Send(size_t worker, v1::Encoding encoding, int64_t base_step, double loss) {
    const int number = pushed_++;
    const std::vector<Part> parts =
        encoding == v1::ENCODING_ROWS
            ? CutRows(number, static_cast<int>(worker), &random_)
            : CutPush(encoding, /*encoded=*/true, number, static_cast<int>(worker), &random_);
    v1::PushHeader header;
    header.set_sequence(++sequences_[worker]);
    header.set_base_step(base_step);
    header.set_examples(1 + static_cast<int64_t>(worker) + number % 3);
    header.set_loss(loss);
    if (data_.has_value()) NameBatches(worker, 1 + number % 2, &header);
    std::vector<v1::TrainRequest> requests = RequestsOf(header, parts);
    for (size_t i = 0; i < parts.size(); ++i) {
      workers_[worker]->Request(std::move(requests[i]), PayloadOf(parts[i]));
    }
  }
  v1::PushOutcome Outcome(size_t worker) {
    return workers_[worker]->WaitForResult(results_[worker]++).outcome();
  }
  // A push of each. Where each is a step, they are pushed one after the other, and the second one
  // is stale; unless `fresh`.
  void Round(const std::vector<size_t>& workers, v1::Encoding encoding, bool fresh = false) {
    const bool together = Describe().policy().has_synchronous();
    const int64_t begin = run_->Progress().step();
    for (const size_t worker : workers) {
      Send(worker, encoding, fresh ? run_->Progress().step() : begin, 2.0 / (1 + pushed_));
      if (!together) {
        EXPECT_TRUE(IsOfAStep(Outcome(worker)));
      }
    }
    if (!together) return;
    for (const size_t worker : workers) EXPECT_TRUE(IsOfAStep(Outcome(worker)));
  }
  static bool IsOfAStep(v1::PushOutcome outcome) {
    return outcome == v1::PUSH_OUTCOME_APPLIED || outcome == v1::PUSH_OUTCOME_ACCUMULATED;
  }

  void Change(const v1::Run& values, const std::vector<std::string>& paths) {
    google::protobuf::FieldMask mask;
    for (const std::string& path : paths) mask.add_paths(path);
    const absl::Status status = UpdateAndWait(run_.get(), values, mask, "ada");
    EXPECT_TRUE(status.ok()) << mask.ShortDebugString() << ": " << status;
    // A window that it has filled is closed by whoever worked on it, perhaps after the answer.
    const absl::Time patience = absl::Now() + absl::Minutes(1);
    while (!IsAtRest() && absl::Now() < patience) std::this_thread::yield();
    EXPECT_TRUE(IsAtRest()) << State().ShortDebugString() << Describe().ShortDebugString();
  }
  void Evaluate(double loss) {
    v1::Evaluation evaluation;
    evaluation.set_step(run_->Progress().step());
    evaluation.set_loss(loss);
    evaluation.set_examples(10);
    EXPECT_TRUE(run_->ReportEvaluation(evaluation).ok());
  }

  std::shared_ptr<const RunCapture> Capture() {
    std::promise<absl::StatusOr<std::shared_ptr<const RunCapture>>> promise;
    run_->Capture([&](const auto& capture) { promise.set_value(capture); });
    auto capture = promise.get_future().get();
    EXPECT_TRUE(capture.ok()) << capture.status();
    return *capture;
  }

  // No step is due or on its way.
  bool IsAtRest() const {
    const state::v1::RunState state = State();
    const v1::Run spec = Describe();
    const int64_t window = std::max(1, spec.optimizer().accumulation_steps());
    int64_t fewest = state.window().pushes();
    if (spec.policy().has_synchronous()) {
      for (const state::v1::MemberState& member : state.members().members()) {
        fewest = std::min(fewest, member.in_window());
      }
    }
    return fewest < window && run_->Progress().step() == state.step();
  }

  // That its events lead to what it is.
  void Check(const char* after) {
    ASSERT_EQ(replayed_->engine.fault(), "") << after;
    ASSERT_EQ(replayed_->engine.step(), run_->Progress().step()) << after;
    EXPECT_TRUE(replayed_->engine.Bits() == BitsOf(run_.get())) << after;
    EXPECT_EQ(replayed_->record.Compare(State(), /*reads_back=*/true), "") << after;
  }
  state::v1::RunState State() const {
    state::v1::RunState state;
    run_->WriteState(&state);
    return state;
  }
  v1::History History() const { return run_->ReadHistory({4096, 0, 0}); }
  v1::Run Describe() const { return run_->Describe(Run::Detail::kWorkers); }
  Run* run() const { return run_.get(); }
  // Its next pushes are those that `other` would push.
  void PushAs(const Played& other) {
    pushed_ = other.pushed_;
    random_ = other.random_;
  }

 private:
  // The first that the worker has, of which there is one more than that afterwards.
  void NameBatches(size_t worker, int count, v1::PushHeader* header) {
    std::vector<int64_t>& leased = leased_[worker];
    const int64_t missing = count + 1 - static_cast<int64_t>(leased.size());
    if (missing > 0) {
      workers_[worker]->LeaseBatches(missing);
      const v1::BatchLease lease = workers_[worker]->WaitForLease(leases_[worker]++);
      for (const int64_t batch : NumbersOf(lease.ranges())) leased.push_back(batch);
    }
    int64_t examples = 0;
    for (int i = 0; i < count; ++i) {
      v1::BatchRange& range = *header->add_batches();
      range.set_first(leased.front());
      range.set_count(1);
      examples += data_->ExamplesIn(leased.front(), 1);
      leased.erase(leased.begin());
    }
    header->set_examples(examples);
  }

  RunRegistry registry_;
  std::shared_ptr<Replayed> replayed_;
  std::shared_ptr<Run> run_;
  std::unique_ptr<FakeWorker> workers_[kCutWorkers];
  int64_t sequences_[kCutWorkers] = {};
  std::optional<DataSet> data_;
  std::vector<int64_t> leased_[kCutWorkers];  // And not pushed.
  size_t leases_[kCutWorkers] = {};           // Of the session.
  size_t results_[kCutWorkers] = {};
  std::mt19937 random_{7};
  int pushed_ = 0;
};

// How pushes become steps, and what becomes of one that is late.
struct NamedPolicy {
  const char* name;
  const char* policy;  // Of two workers.
  v1::PushOutcome late;
};
constexpr NamedPolicy kTogether[] = {
    {"synchronous", "synchronous { workers: 2 }", v1::PUSH_OUTCOME_SUPERSEDED},
    {"quorum", "synchronous { workers: 2 quorum: 2 }", v1::PUSH_OUTCOME_SUPERSEDED},
};
constexpr NamedPolicy kApart[] = {
    {"asynchronous",
     "asynchronous { max_staleness: 2 correction: STALENESS_CORRECTION_LEARNING_RATE }",
     v1::PUSH_OUTCOME_STALE},
    {"delay_compensation", "asynchronous { delay_compensation { strength: 0.5 kept_steps: 2 } }",
     v1::PUSH_OUTCOME_STALE},
    {"age_decay", "asynchronous { age_decay { alpha: 0.25 cutoff: 3 } }", v1::PUSH_OUTCOME_STALE},
    {"bounded_staleness", "bounded_staleness { bound: 5 }", v1::PUSH_OUTCOME_APPLIED},
};

struct Story {
  NamedOptimizer optimizer;
  NamedPolicy policy;
  int number = 0;
  bool has_data = false;

  // Every one comes after every other in some stories.
  v1::Encoding encoding(int round) const {
    constexpr v1::Encoding kEncodings[] = {v1::ENCODING_FLOAT32, v1::ENCODING_BFLOAT16,
                                           v1::ENCODING_FLOAT16, v1::ENCODING_INT8,
                                           v1::ENCODING_SPARSE,  v1::ENCODING_ROWS};
    return kEncodings[(number + round) % 6];
  }
  v1::Run Spec() const {
    v1::Run spec = SpecOf(optimizer);
    spec.mutable_schedule()->mutable_exponential_decay()->set_decay_rate(0.9);
    spec.mutable_schedule()->mutable_reduce_on_plateau()->set_patience(0);
    spec.mutable_optimizer()->mutable_skip_non_finite()->set_max_in_a_row(2);
    EXPECT_TRUE(
        google::protobuf::TextFormat::ParseFromString(policy.policy, spec.mutable_policy()));
    if (has_data) {
      spec.mutable_data()->set_examples(7);
      spec.mutable_data()->set_batch_size(3);
      spec.mutable_data()->set_epochs(100);
      spec.mutable_data()->set_most_skips(1);
    }
    return spec;
  }
};

std::vector<Story> Stories() {
  std::vector<Story> stories;
  int number = 0;
  for (const NamedOptimizer& optimizer : EveryOptimizerAndStage()) {
    const auto turn = static_cast<size_t>(number / 2);
    for (const NamedPolicy& policy :
         {kTogether[turn % std::size(kTogether)], kApart[turn % std::size(kApart)]}) {
      Story story{optimizer, policy, number++};
      // Each policy with some optimizers, and without with others.
      story.has_data = turn / std::size(kApart) % 2 == 0;
      story.optimizer.name += absl::StrCat("_", policy.name, story.has_data ? "_data" : "");
      stories.push_back(std::move(story));
    }
  }
  return stories;
}

class ReplayTest : public testing::TestWithParam<Story> {};

TEST_P(ReplayTest, EventsAndPushesLeadToTheSameBits) {
  const Story& story = GetParam();
  FakeClock clock;
  Played run(story.Spec(), &clock);
  run.Join(0);
  run.Join(1);
  run.Round({0, 1}, story.encoding(0));
  run.Round({0, 1}, story.encoding(1));
  run.Check("two rounds");

  run.Evaluate(1);
  run.Evaluate(2);  // The plateau takes from the rate.
  v1::Run values;
  values.mutable_schedule()->set_learning_rate(story.optimizer.learning_rate / 2);
  values.set_max_steps(1000);
  run.Change(values, {"schedule.learning_rate", "max_steps"});
  run.Round({0, 1}, story.encoding(2));
  run.Check("an evaluation and a change");

  // One is skipped, and one comes too late.
  run.Send(0, v1::ENCODING_FLOAT32, run.run()->Progress().step(),
           std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(run.Outcome(0), v1::PUSH_OUTCOME_SKIPPED);
  EXPECT_EQ(run.run()->Progress().data().skipped_batches() > 0, story.has_data);
  run.Send(1, v1::ENCODING_FLOAT32, 0, 1);
  const v1::PushOutcome late = run.Outcome(1);
  EXPECT_TRUE(late == story.policy.late ||
              (story.policy.late == v1::PUSH_OUTCOME_APPLIED && Played::IsOfAStep(late)))
      << v1::PushOutcome_Name(late);
  run.Check("a skip and a late push");

  // One dies, and comes back.
  run.Die(1);
  clock.Advance(kLease);
  run.Send(0, story.encoding(3), run.run()->Progress().step(), 1);
  run.Tick();
  EXPECT_TRUE(Played::IsOfAStep(run.Outcome(0)));
  EXPECT_EQ(run.run()->Progress().data().returned_batches() > 0, story.has_data);
  run.Check("a death");
  run.Join(1);
  run.Round({0, 1}, story.encoding(4));
  run.Check("a rejoin");

  // Another optimizer, with a window that is open when that goes.
  values.mutable_optimizer()->mutable_adam();
  values.mutable_optimizer()->set_accumulation_steps(3);
  values.mutable_schedule()->set_learning_rate(0.01);
  run.Change(values, {"optimizer", "schedule.learning_rate"});
  run.Round({0, 1}, story.encoding(5));
  run.Check("a window");
  *values.mutable_optimizer() = story.optimizer.spec;
  run.Change(values, {"optimizer", "schedule.learning_rate"});
  run.Round({0, 1}, story.encoding(6));
  run.Round({0, 1}, story.encoding(7));
  run.Check("the optimizer that it had");

  // All leases end, and what lies in no step goes out again.
  run.BeginTimeline();
  run.Check("a new timeline");
  EXPECT_EQ(run.run()->Progress().data().leased_batches(), 0);
  run.Round({0, 1}, story.encoding(8));
  run.Check("a round on it");
}

// The captured run goes on beside those that go on from there, which have nothing of the steps
// before: where that matters, no push is stale.
TEST_P(ReplayTest, ARunGoesOnFromWhereItWasCapturedToTheSameBits) {
  const Story& story = GetParam();
  FakeClock clock;
  Played run(story.Spec(), &clock);
  const bool fresh = story.Spec().policy().asynchronous().has_delay_compensation();
  run.Join(0);
  run.Join(1);
  run.Round({0, 1}, story.encoding(0), fresh);
  run.Evaluate(1);
  v1::Run values;
  *values.mutable_optimizer() = story.optimizer.spec;
  values.mutable_optimizer()->set_accumulation_steps(3);
  run.Change(values, {"optimizer.accumulation_steps"});
  run.Round({0, 1}, story.encoding(1), fresh);  // The window is open.

  Played restored(&run, Played::From::kMemory, &clock);
  Played read(&run, Played::From::kFile, &clock);
  const auto expect_same = [&](const char* after) {
    // How late others came to the step before the capture is not known after it.
    state::v1::RunState expected = run.State();
    expected.clear_quorum_lag_seconds();
    const v1::History history = run.History();
    EXPECT_EQ(history.steps().steps_size(), expected.step()) << after;
    for (Played* const each : {&restored, &read}) {
      EXPECT_TRUE(BitsOf(each->run()) == BitsOf(run.run())) << after;
      state::v1::RunState found = each->State();
      found.clear_quorum_lag_seconds();
      EXPECT_EQ(found.ShortDebugString(), expected.ShortDebugString()) << after;
      EXPECT_EQ(each->History().SerializeAsString(), history.SerializeAsString()) << after;
    }
  };
  expect_same("the capture");
  restored.PushAs(run);
  read.PushAs(run);
  for (Played* const each : {&run, &restored, &read}) {
    each->Rejoin();
    each->Round({0, 1}, story.encoding(2), fresh);
    each->Round({0, 1}, story.encoding(3), fresh);
  }
  expect_same("the window");
  values.mutable_schedule()->set_learning_rate(story.optimizer.learning_rate / 2);
  values.mutable_optimizer()->clear_accumulation_steps();
  for (Played* const each : {&run, &restored, &read}) {
    each->Evaluate(2);
    each->Change(values, {"schedule.learning_rate", "optimizer.accumulation_steps"});
    each->Round({0, 1}, story.encoding(4), fresh);
    each->Round({0, 1}, story.encoding(5), fresh);
  }
  expect_same("an evaluation and a change");
  run.Check("all of it");
}

INSTANTIATE_TEST_SUITE_P(Table, ReplayTest, testing::ValuesIn(Stories()),
                         [](const auto& param) { return param.param.optimizer.name; });

}  // namespace
}  // namespace gradd
