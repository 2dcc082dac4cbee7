// In which order a run enters its events, and what people see meanwhile.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <future>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/mutex.h"
#include "core/run/run.h"
#include "core/run/run_registry.h"
#include "core/run/trials.h"
#include "tests/support/busy_pool.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_worker.h"
#include "tests/support/specs.h"
#include "tests/support/update.h"

namespace gradd {
namespace {

using testing::ElementsAre;

// Too many for a step in the thread that pushes.
constexpr int64_t kPooledElements = 100'000;

// `step 3`, `member a JOINED`, `answer a REJECTED`, ...
std::string TextOf(const state::v1::Event& event) {
  switch (event.kind_case()) {
    case state::v1::Event::kStep:
      return absl::StrCat("step ", event.step().step());
    case state::v1::Event::kFold:
      return absl::StrCat("fold of ", event.fold().push().worker());
    case state::v1::Event::kAnswer:
      return absl::StrCat(event.answer().worker(), " ",
                          v1::PushOutcome_Name(event.answer().outcome()).substr(13));
    case state::v1::Event::kMember:
      return absl::StrCat(event.member().worker(), " ",
                          state::v1::MemberChange::Kind_Name(event.member().kind()).substr(5));
    case state::v1::Event::kState:
      return v1::RunState_Name(event.state().state()).substr(10);
    default:
      return state::v1::Event::descriptor()->FindFieldByNumber(event.kind_case())->name();
  }
}

class Written final : public EventLog {
 public:
  void Append(const state::v1::Event& event, Pushes /*pushes*/) override {
    if (on_append) on_append(event);
    MutexLock lock(&mutex_);
    texts_.push_back(TextOf(event));
  }
  std::vector<std::string> Take() {
    MutexLock lock(&mutex_);
    return std::exchange(texts_, {});
  }
  std::function<void(const state::v1::Event&)> on_append;  // Set while nothing happens.

 private:
  Mutex mutex_;
  std::vector<std::string> texts_ ABSL_GUARDED_BY(mutex_);
};

class RunEventsTest : public testing::Test {
 protected:
  RunEventsTest() {
    registry_.SetEventLogs([this](const std::string&) {
      logs_.push_back(std::make_shared<Written>());
      return logs_.back();
    });
  }
  void Create(const v1::Run& spec) { run_ = *registry_.Create("r", spec, ""); }
  Written& log() { return *logs_.front(); }
  v1::Run Describe() const { return run_->Describe(gradd::Run::Detail::kFull); }
  std::future<absl::StatusOr<v1::Run>> Change(const v1::Run& values, const std::string& path) {
    google::protobuf::FieldMask mask;
    mask.add_paths(path);
    return BeginUpdate(run_.get(), values, mask, "ada");
  }

  FakeClock clock_;
  RunRegistry registry_{Limits(), /*threads=*/2, &clock_, kTileElements};
  std::vector<std::shared_ptr<Written>> logs_;
  std::shared_ptr<gradd::Run> run_;
};

TEST_F(RunEventsTest, EverythingThatHappensIsEnteredInItsOrder) {
  v1::Run spec = SynchronousSpec(1, 1);
  spec.mutable_optimizer()->set_accumulation_steps(2);
  spec.mutable_optimizer()->mutable_skip_non_finite()->set_max_in_a_row(3);
  Create(spec);
  FakeWorker worker(&registry_, "r", "a");
  worker.Join();
  worker.Push(1, 0, {1});
  worker.Push(2, 0, {1});
  worker.Push(3, 0, {1});  // Too late.
  worker.Push(4, 1, {std::numeric_limits<float>::quiet_NaN()});
  worker.Push(4, 1, {1});   // Answered before.
  worker.Push(5, 9, {1});   // From parameters that the run does not have.
  worker.Push(17, 1, {1});  // It skips.
  ASSERT_TRUE(run_->Pause("ada").ok());
  ASSERT_TRUE(run_->Resume("ada").ok());
  worker.Leave();
  ASSERT_TRUE(run_->Finish("ada", "enough").ok());
  ASSERT_TRUE(registry_.Delete("runs/r").ok());
  EXPECT_THAT(log().Take(), ElementsAre("created", "a JOINED", "fold of a", "step 1",
                                        "a SUPERSEDED", "a SKIPPED", "a ROLLED_BACK", "a REJECTED",
                                        "PAUSED", "RUNNING", "a LEFT", "FINISHED", "deleted"));
}

TEST_F(RunEventsTest, AResultLeavesAfterItsDecisionIsInTheLog) {
  for (const int64_t elements :
       {int64_t{1}, kPooledElements}) {  // All at once, and block by block.
    logs_.clear();
    Create(AsynchronousSpec(elements));
    FakeWorker worker(&registry_, "r", "a");
    worker.Join();
    std::vector<size_t> results;
    log().on_append = [&](const state::v1::Event& event) {
      if (event.has_step()) results.push_back(worker.results().size());
    };
    for (int64_t push = 1; push <= 3; ++push) {
      worker.Push(push, push - 1, std::vector<float>(static_cast<size_t>(elements), 1),
                  /*want_parameters=*/true);
      worker.WaitForParameters(push);
    }
    EXPECT_THAT(results, ElementsAre(0, 1, 2)) << elements;
    ASSERT_TRUE(registry_.Delete("runs/r").ok());
  }
}

TEST_F(RunEventsTest, WhatComesWhileAStepIsAppliedComesAfterIt) {
  v1::Run spec = AsynchronousSpec(kPooledElements);
  Create(spec);
  FakeWorker worker(&registry_, "r", "a");
  worker.Join();
  log().Take();
  std::future<absl::StatusOr<v1::Run>> changed;
  {
    BusyPool busy(registry_.pool());
    worker.Push(1, 0, std::vector<float>(kPooledElements, 1));
    EXPECT_THAT(log().Take(), ElementsAre("step 1")) << "it cannot be undone";
    EXPECT_EQ(run_->Progress().step(), 0) << "people see it when it is complete";
    EXPECT_FALSE(run_->Progress().has_loss());
    EXPECT_EQ(Describe().workers(0).last_sequence(), 0) << "and so does its worker";
    v1::Evaluation evaluation;
    evaluation.set_step(1);
    evaluation.set_loss(1);
    evaluation.set_examples(1);
    ASSERT_TRUE(run_->ReportEvaluation(evaluation).ok());
    v1::Run values;
    values.mutable_schedule()->set_learning_rate(0.5);
    changed = Change(values, "schedule.learning_rate");
    EXPECT_FALSE(IsAnswered(changed));
    EXPECT_EQ(Describe().schedule().learning_rate(), 1) << "it is not in effect";
    EXPECT_EQ(Describe().history_size(), 0);
  }
  ASSERT_TRUE(changed.get().ok());
  EXPECT_THAT(log().Take(), ElementsAre("evaluation", "change"));
  EXPECT_EQ(Describe().schedule().learning_rate(), 0.5);
  EXPECT_EQ(Describe().history(0).step(), 1);
  EXPECT_EQ(worker.WaitForResult(0).outcome(), v1::PUSH_OUTCOME_APPLIED);
}

TEST_F(RunEventsTest, AStepThatIsUndoneIsNoEvent) {
  v1::Run spec = AsynchronousSpec(kPooledElements);
  spec.mutable_schedule()->set_learning_rate(10);
  Create(spec);
  FakeWorker worker(&registry_, "r", "a");
  worker.Join();
  log().Take();
  {
    BusyPool busy(registry_.pool());
    worker.Push(1, 0, std::vector<float>(kPooledElements, 3e38F));
    EXPECT_THAT(log().Take(), ElementsAre()) << "it may have to be undone";
  }
  EXPECT_EQ(worker.WaitForResult(0).reason(), "GRADIENT_TOO_LARGE");
  EXPECT_THAT(log().Take(), ElementsAre("a REJECTED"));
  // One that has to be watched and is finite is entered when it is complete.
  {
    BusyPool busy(registry_.pool());
    worker.Push(1, 0, std::vector<float>(kPooledElements, 3e30F));
    EXPECT_THAT(log().Take(), ElementsAre());
  }
  EXPECT_EQ(worker.WaitForResult(1).outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_THAT(log().Take(), ElementsAre("step 1"));
}

TEST_F(RunEventsTest, TheLastStepFinishesTheRunWhenItIsComplete) {
  v1::Run spec = AsynchronousSpec(kPooledElements);
  spec.set_max_steps(1);
  Create(spec);
  FakeWorker worker(&registry_, "r", "a");
  worker.Join();
  {
    BusyPool busy(registry_.pool());
    worker.Push(1, 0, std::vector<float>(kPooledElements, 1));
    EXPECT_EQ(run_->Progress().state(), v1::RUN_STATE_RUNNING);
    EXPECT_EQ(run_->Pause("ada").code(), absl::StatusCode::kFailedPrecondition)
        << "no step comes any more";
    EXPECT_TRUE(run_->Finish("ada", "").ok());
  }
  EXPECT_EQ(worker.WaitForResult(0).outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(run_->Progress().state(), v1::RUN_STATE_FINISHED);
  EXPECT_THAT(log().Take(), ElementsAre("created", "a JOINED", "step 1"));
}

TEST_F(RunEventsTest, ALargerMaxStepsThatComesDuringTheLastStepLetsTheRunGoOn) {
  v1::Run spec = AsynchronousSpec(kPooledElements);
  spec.set_max_steps(1);
  Create(spec);
  FakeWorker worker(&registry_, "r", "a");
  worker.Join();
  std::future<absl::StatusOr<v1::Run>> changed;
  {
    BusyPool busy(registry_.pool());
    worker.Push(1, 0, std::vector<float>(kPooledElements, 1));
    v1::Run values;
    values.set_max_steps(2);
    changed = Change(values, "max_steps");
  }
  EXPECT_EQ(changed.get()->state(), v1::RUN_STATE_RUNNING);
  worker.Push(2, 1, std::vector<float>(kPooledElements, 1));
  EXPECT_EQ(worker.WaitForResult(1).outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(run_->Progress().state(), v1::RUN_STATE_FINISHED);
  EXPECT_THAT(worker.events(), ElementsAre(v1::RUN_EVENT_KIND_FINISHED)) << "once, at the end";
}

TEST_F(RunEventsTest, TrialsAreNoEventsOfTheRunThatTheyHold) {
  Create(AsynchronousSpec(1));
  FakeWorker worker(&registry_, "r", "a");
  worker.Join();
  log().Take();
  v1::RunTrialsRequest request;
  request.set_name("runs/r");
  request.add_trials()->mutable_schedule()->set_learning_rate(0.1);
  request.mutable_trials(0)->set_max_steps(3);
  std::promise<std::unique_ptr<Trials>> promise;
  Trials::Start(&registry_, request, "ada",
                [&](auto trials) { promise.set_value(*std::move(trials)); });
  std::unique_ptr<Trials> trials = promise.get_future().get();
  EXPECT_EQ(run_->Progress().state(), v1::RUN_STATE_HELD);
  trials.reset();
  EXPECT_EQ(run_->Progress().state(), v1::RUN_STATE_RUNNING);
  EXPECT_THAT(log().Take(), ElementsAre());
}

}  // namespace
}  // namespace gradd
