#include "core/run/trials.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_worker.h"
#include "tests/support/specs.h"
#include "tests/support/update.h"

namespace gradd {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

using Values = std::vector<float>;
using TrialsOrError = absl::StatusOr<std::unique_ptr<Trials>>;

class TrialsTest : public testing::Test {
 protected:
  TrialsTest() {
    v1::Run spec = SynchronousSpec(3, 1);
    spec.mutable_optimizer()->mutable_adam();
    spec.mutable_schedule()->set_learning_rate(0.125);
    run_ = *registry_.Create("r", spec, "");
  }

  // A trial with SGD of that rate; without an optimizer of its own for 0.
  static v1::Trial MakeTrial(double rate, int64_t steps) {
    v1::Trial trial;
    if (rate > 0) trial.mutable_optimizer()->mutable_sgd();
    trial.mutable_schedule()->set_learning_rate(rate > 0 ? rate : 0.125);
    trial.set_max_steps(steps);
    return trial;
  }
  static v1::RunTrialsRequest RequestOf(const std::vector<v1::Trial>& trials) {
    v1::RunTrialsRequest request;
    request.set_name("runs/r");
    for (const v1::Trial& trial : trials) *request.add_trials() = trial;
    return request;
  }
  std::unique_ptr<FakeWorker> Join(const std::string& run) {
    auto worker = std::make_unique<FakeWorker>(&registry_, run, "w");
    worker->Join();
    return worker;
  }
  std::future<TrialsOrError> Begin(const v1::RunTrialsRequest& request) {
    const auto promise = std::make_shared<std::promise<TrialsOrError>>();
    Trials::Start(&registry_, request, "ada",
                  [promise](TrialsOrError trials) { promise->set_value(std::move(trials)); });
    return promise->get_future();
  }
  TrialsOrError Start(const v1::RunTrialsRequest& request) { return Begin(request).get(); }
  std::vector<std::string> Runs() const {
    std::vector<std::string> ids;
    for (const auto& run : registry_.All()) ids.push_back(run->run_id());
    return ids;
  }
  // All that the trials have to say until they are over.
  static std::map<int, v1::TrialNews> TakeAll(Trials* trials) {
    std::map<int, v1::TrialNews> all;
    while (!trials->over()) {
      const v1::RunTrialsResponse response = trials->TakeNews();
      for (const v1::TrialNews& news : response.news()) all[news.trial()].MergeFrom(news);
    }
    return all;
  }
  static Values Parameters(gradd::Run* run) {
    Values values;
    run->RequestSnapshot(SnapshotContents::kEvaluation,
                         [&](const auto& snapshot) { values = ValuesOf(*snapshot); });
    return values;
  }

  FakeClock clock_;
  RunRegistry registry_{Limits(), /*threads=*/2, &clock_};
  std::shared_ptr<gradd::Run> run_;
};

TEST_F(TrialsTest, BeginAtTheRunsParametersAndTellEveryStep) {
  const auto worker = Join("r");
  worker->Push(1, 0, {1, -1, 1});
  worker->WaitForResult(0);
  const Values begin = Parameters(run_.get());
  const auto trials = *Start(RequestOf({MakeTrial(1, 2), MakeTrial(0.5, 1)}));
  EXPECT_THAT(trials->TakeNews().names(), ElementsAre("runs/r-trial-1", "runs/r-trial-2"));
  EXPECT_EQ(worker->events(), std::vector<v1::RunEventKind>(2, v1::RUN_EVENT_KIND_TRIAL));

  const auto first = Join("r-trial-1");
  const auto second = Join("r-trial-2");
  EXPECT_EQ(Parameters(registry_.Find("runs/r-trial-1")->get()), begin);
  first->Push(1, 0, {1, 2, 3}, true, 1, /*loss=*/4);
  EXPECT_EQ(first->WaitForParameters(1), (Values{begin[0] - 1, begin[1] - 2, begin[2] - 3}));
  clock_.Advance(absl::Seconds(2));
  first->Push(2, 1, {0, 0, 0}, true, 1, /*loss=*/3);
  second->Push(1, 0, {2, 2, 2}, true, 1, /*loss=*/4);
  EXPECT_EQ(second->WaitForParameters(1), (Values{begin[0] - 1, begin[1] - 1, begin[2] - 1}));
  first->WaitForResult(1);

  const auto news = TakeAll(trials.get());
  ASSERT_EQ(news.at(0).steps_size(), 2);
  EXPECT_EQ(news.at(0).steps(0).step(), 1);
  EXPECT_EQ(news.at(0).steps(0).loss(), 4);
  EXPECT_EQ(news.at(0).steps(0).learning_rate(), 1);
  EXPECT_EQ(news.at(0).steps(0).seconds(), 0);
  EXPECT_EQ(news.at(0).steps(1).loss(), 3);
  EXPECT_EQ(news.at(0).steps(1).seconds(), 2);
  EXPECT_EQ(news.at(0).state(), v1::TRIAL_STATE_FINISHED);
  EXPECT_EQ(news.at(1).steps_size(), 1);
  EXPECT_EQ(news.at(1).state(), v1::TRIAL_STATE_FINISHED);
}

TEST_F(TrialsTest, WithoutItsOwnOptimizerATrialStepsAsTheRunWouldHave) {
  const auto worker = Join("r");
  for (int64_t step = 0; step < 3; ++step) {
    worker->Push(step + 1, step, {1, -2, static_cast<float>(step)});
    worker->WaitForResult(static_cast<size_t>(step));
  }
  Values tried;
  {
    const auto trials = *Start(RequestOf({MakeTrial(0, 2)}));
    const auto copy = Join("r-trial-1");
    copy->Push(1, 0, {3, 1, 4}, true);
    copy->WaitForParameters(1);
    copy->Push(2, 1, {1, 5, 9}, true);
    tried = copy->WaitForParameters(2);
  }
  worker->Push(4, 3, {3, 1, 4});
  worker->WaitForResult(3);
  worker->Push(5, 4, {1, 5, 9});
  worker->WaitForResult(4);
  EXPECT_EQ(Parameters(run_.get()), tried);
}

// That of the run, as somebody may take it over, would begin long after the trial's end.
TEST_F(TrialsTest, TheirSchedulesCountFromTheirOwnBegin) {
  const auto worker = Join("r");
  v1::Trial trial = MakeTrial(1, 3);
  trial.mutable_schedule()->mutable_linear()->set_total_steps(2);
  trial.mutable_schedule()->set_begins_at(1000);
  const auto trials = *Start(RequestOf({trial}));
  const auto copy = Join("r-trial-1");
  for (int64_t step = 0; step < 3; ++step) {
    copy->Push(step + 1, step, {1, 1, 1});
    copy->WaitForResult(static_cast<size_t>(step));
  }
  const v1::TrialNews news = TakeAll(trials.get()).at(0);
  ASSERT_EQ(news.steps_size(), 3);
  EXPECT_EQ(news.steps(0).learning_rate(), 1);
  EXPECT_EQ(news.steps(1).learning_rate(), 0.5);
  EXPECT_EQ(news.steps(2).learning_rate(), 0);
}

TEST_F(TrialsTest, TheRunStandsStillAndIsAfterwardsAsBefore) {
  const auto worker = Join("r");
  worker->Push(1, 0, {1, 1, 1});
  worker->WaitForResult(0);
  v1::Run before = run_->Describe(gradd::Run::Detail::kFull);
  const Values parameters = Parameters(run_.get());
  {
    const auto trials = *Start(RequestOf({MakeTrial(1, 2)}));
    worker->Push(2, 1, {1, 1, 1});
    const auto copy = Join("r-trial-1");
    copy->Push(1, 0, {1, 1, 1});
    copy->WaitForResult(0);
    // Longer than a lease: its worker is not at fault.
    clock_.Advance(absl::Minutes(5));
    registry_.Tick();
    EXPECT_EQ(run_->Progress().step(), 1);
    EXPECT_EQ(run_->Progress().live_workers(), 1);
    EXPECT_EQ(run_->Progress().state(), v1::RUN_STATE_HELD);
    EXPECT_EQ(worker->results().size(), 1U);
    EXPECT_EQ(Parameters(run_.get()), parameters);
    const v1::Run during = run_->Describe(gradd::Run::Detail::kFull);
    EXPECT_EQ(during.history_size(), before.history_size());
    EXPECT_EQ(during.progress().elapsed().seconds(), before.progress().elapsed().seconds());
  }
  EXPECT_EQ(worker->WaitForResult(1).outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(run_->Progress().step(), 2);
  EXPECT_EQ(run_->Progress().state(), v1::RUN_STATE_RUNNING);
  EXPECT_EQ(run_->Describe(gradd::Run::Detail::kFull).history_size(), before.history_size());
  EXPECT_THAT(Runs(), ElementsAre("r"));
}

TEST_F(TrialsTest, APausedRunIsTriedAndStaysPaused) {
  const auto worker = Join("r");
  ASSERT_TRUE(run_->Pause("").ok());
  {
    const auto trials = *Start(RequestOf({MakeTrial(1, 1)}));
    const auto copy = Join("r-trial-1");
    copy->Push(1, 0, {1, 1, 1});
    EXPECT_EQ(copy->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_APPLIED);
  }
  EXPECT_EQ(run_->Progress().state(), v1::RUN_STATE_PAUSED);
}

TEST_F(TrialsTest, AWorkerThatJoinsLaterIsToldToo) {
  const auto worker = Join("r");
  const auto trials = *Start(RequestOf({MakeTrial(1, 1)}));
  FakeWorker late(&registry_, "r", "late");
  late.Join();
  EXPECT_THAT(late.events(), ElementsAre(v1::RUN_EVENT_KIND_TRIAL));
}

TEST_F(TrialsTest, ADivergedTrialIsOverAndTheOthersGoOn) {
  const auto worker = Join("r");
  const auto trials = *Start(RequestOf({MakeTrial(1, 5), MakeTrial(1, 1), MakeTrial(1, 1)}));
  const auto diverging = Join("r-trial-1");
  diverging->Push(1, 0, {1, 1, 1});
  diverging->WaitForResult(0);
  diverging->Push(2, 1, {1, std::numeric_limits<float>::infinity(), 1});
  diverging->WaitForResult(1);
  const auto failing = Join("r-trial-2");
  failing->Push(7, 0, {1, 1, 1});
  failing->WaitForResult(0);
  const auto fine = Join("r-trial-3");
  fine->Push(1, 0, {1, 1, 1});
  fine->WaitForResult(0);
  const auto news = TakeAll(trials.get());
  EXPECT_EQ(news.at(0).state(), v1::TRIAL_STATE_DIVERGED);
  EXPECT_EQ(news.at(0).steps_size(), 1);
  EXPECT_EQ(news.at(1).state(), v1::TRIAL_STATE_FAILED);
  EXPECT_THAT(news.at(1).message(), HasSubstr("sequence: 7 skips"));
  EXPECT_EQ(news.at(2).state(), v1::TRIAL_STATE_FINISHED);
}

TEST_F(TrialsTest, NobodyElseChangesATrialAndADeletedRunEndsAll) {
  const auto worker = Join("r");
  const auto trials = *Start(RequestOf({MakeTrial(1, 5), MakeTrial(1, 5)}));
  const std::shared_ptr<gradd::Run> trial = *registry_.Find("runs/r-trial-1");
  google::protobuf::FieldMask mask;
  mask.add_paths("max_steps");
  for (const absl::Status& refused :
       {registry_.Delete("runs/r-trial-1"), trial->Pause("eve"), trial->Resume("eve"),
        UpdateAndWait(trial.get(), v1::Run(), mask, "eve")}) {
    EXPECT_EQ(ReasonOf(refused), "RUN_IS_TRIAL");
    EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(refused.message(),
              "run \"r-trial-1\" is one of the trials of run \"r\", begun by ada; it can only be "
              "watched, and ends with them");
  }
  EXPECT_TRUE(trials->CheckAlive().ok());
  ASSERT_TRUE(registry_.Delete("runs/r").ok());
  EXPECT_EQ(trials->CheckAlive().code(), absl::StatusCode::kNotFound);
}

TEST_F(TrialsTest, RunsForTrialsAreTheirCallersShareAndTakeNoRoomFromOthers) {
  Limits limits;
  limits.max_runs = 1;
  limits.max_trial_runs = 8;
  limits.caller_percent = 50;
  RunRegistry registry(limits, 1, &clock_);
  v1::RunTrialsRequest request = RequestOf({MakeTrial(1, 1), MakeTrial(1, 1), MakeTrial(1, 1)});
  request.clear_name();
  *request.mutable_run() = SynchronousSpec(2, 1);
  const auto start = [&](const std::string& caller) {
    std::promise<TrialsOrError> promise;
    Trials::Start(&registry, request, caller,
                  [&promise](TrialsOrError trials) { promise.set_value(std::move(trials)); });
    return promise.get_future().get();
  };
  TrialsOrError first = start("ada");
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(ReasonOf(start("ada").status()), "TOO_MANY_FOR_CALLER");
  const TrialsOrError other = start("bob");
  EXPECT_TRUE(other.ok()) << other.status();
  EXPECT_EQ(ReasonOf(start("eve").status()), "TOO_MANY_IN_ALL");
  EXPECT_TRUE(registry.Create("r", SynchronousSpec(2, 1), "").ok());
  EXPECT_EQ(ReasonOf(registry.Create("s", SynchronousSpec(2, 1), "").status()), "TOO_MANY_RUNS");
  first = absl::CancelledError();
  EXPECT_TRUE(start("ada").ok());
}

TEST_F(TrialsTest, TrialsThatNobodyTrainsEnd) {
  const auto worker = Join("r");
  v1::RunTrialsRequest request = RequestOf({MakeTrial(1, 5)});
  request.mutable_idle_timeout()->set_seconds(10);
  const auto trials = *Start(request);
  const auto copy = Join("r-trial-1");
  clock_.Advance(absl::Seconds(9));
  copy->Push(1, 0, {1, 1, 1});
  copy->WaitForResult(0);
  trials->TakeNews();
  EXPECT_EQ(trials->TakeNews().news_size(), 1);
  clock_.Advance(absl::Seconds(9));
  EXPECT_TRUE(trials->CheckAlive().ok());
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(trials->CheckAlive().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(TrialsTest, AreRefusedWithNothingHeldOrLeft) {
  const auto refusal = [&](const v1::RunTrialsRequest& request) {
    const TrialsOrError trials = Start(request);
    EXPECT_FALSE(trials.ok());
    EXPECT_THAT(Runs(), Not(Contains(HasSubstr("trial"))));
    return std::string(ReasonOf(trials.status())) + ": " + std::string(trials.status().message());
  };
  EXPECT_EQ(refusal(RequestOf({MakeTrial(1, 5)})),
            "NO_WORKERS: run \"r\" has no worker that could train its trials");
  const auto worker = Join("r");
  EXPECT_EQ(refusal(RequestOf({})), "TRIALS_INVALID: trials: 0 of them, 1 to 32 expected");
  EXPECT_EQ(refusal(RequestOf(std::vector<v1::Trial>(33, MakeTrial(1, 1)))),
            "TRIALS_INVALID: trials: 33 of them, 1 to 32 expected");
  EXPECT_EQ(refusal(RequestOf({MakeTrial(1, 0)})),
            "TRIALS_INVALID: trials[0].max_steps: 0 is outside [1, 20000]");
  EXPECT_EQ(refusal(RequestOf({MakeTrial(1, 1), MakeTrial(1, 20'001)})),
            "TRIALS_INVALID: trials[1].max_steps: 20001 is outside [1, 20000]");
  v1::Trial trial = MakeTrial(1, 1);
  trial.mutable_optimizer()->mutable_adam()->set_beta1(1);
  EXPECT_THAT(refusal(RequestOf({MakeTrial(1, 1), trial})), HasSubstr("trials[1]: "));
  v1::RunTrialsRequest request = RequestOf({MakeTrial(1, 1)});
  request.mutable_idle_timeout()->set_nanos(1);
  EXPECT_THAT(refusal(request), HasSubstr("idle_timeout"));
  request = RequestOf({MakeTrial(1, 1)});
  request.set_name("runs/absent");
  EXPECT_EQ(refusal(request), "RUN_NOT_FOUND: no run \"absent\"");
  request = RequestOf({MakeTrial(1, 1)});
  *request.mutable_run() = SynchronousSpec(1, 1);
  EXPECT_EQ(refusal(request), "TRIALS_INVALID: name and run: exactly one of them expected");
  request.clear_name();
  *request.mutable_trials(0) = MakeTrial(0, 1);
  EXPECT_THAT(refusal(request), HasSubstr("trials[0].optimizer: not set"));
  // The run is free: it steps.
  worker->Push(1, 0, {1, 1, 1});
  EXPECT_EQ(worker->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_APPLIED);

  const auto trials = *Start(RequestOf({MakeTrial(1, 1)}));
  EXPECT_EQ(ReasonOf(Start(RequestOf({MakeTrial(1, 1)})).status()), "TRIALS_GOING_ON");
}

TEST_F(TrialsTest, ARunThatHasNotAllOfItsWorkersIsNotTried) {
  v1::Run values;
  values.mutable_policy()->mutable_synchronous()->set_workers(2);
  google::protobuf::FieldMask mask;
  mask.add_paths("policy");
  ASSERT_TRUE(UpdateAndWait(run_.get(), values, mask, "").ok());
  const auto worker = Join("r");
  const TrialsOrError trials = Start(RequestOf({MakeTrial(1, 1)}));
  EXPECT_EQ(ReasonOf(trials.status()), "NO_WORKERS");
  EXPECT_EQ(trials.status().message(), "run \"r\" has 1 of the 2 workers that it starts with");
}

// The run goes on with fewer workers than make its quorum. Its trials take all that are there: with
// a quorum, each would be made of other workers' batches.
TEST_F(TrialsTest, OfAQuorumAreMadeInLockStepByThoseWhoAreThere) {
  ASSERT_TRUE(registry_.Delete("runs/r").ok());
  v1::Run spec = SynchronousSpec(3, 3);
  spec.mutable_policy()->mutable_synchronous()->set_quorum(2);
  spec.mutable_policy()->mutable_synchronous()->set_adaptive_grace(true);
  spec.mutable_policy()->mutable_synchronous()->set_late_pushes(v1::LATE_PUSHES_CARRIED);
  run_ = *registry_.Create("r", spec, "");
  std::vector<std::unique_ptr<FakeWorker>> workers;
  for (const char* const id : {"a", "b", "c"}) {
    workers.push_back(std::make_unique<FakeWorker>(&registry_, "r", id));
    workers.back()->Join();
  }
  workers[1]->Leave();
  workers[2]->Leave();
  const auto trials = Start(RequestOf({MakeTrial(1, 2)}));
  ASSERT_TRUE(trials.ok()) << trials.status();
  const v1::Run trial = (*registry_.Find("runs/r-trial-1"))->Describe(gradd::Run::Detail::kFull);
  EXPECT_EQ(trial.policy().synchronous().ShortDebugString(), "workers: 1");
}

TEST_F(TrialsTest, OfAFinishedRunThereAreNone) {
  const auto worker = Join("r");
  v1::Run values;
  values.set_max_steps(1);
  google::protobuf::FieldMask mask;
  mask.add_paths("max_steps");
  ASSERT_TRUE(UpdateAndWait(run_.get(), values, mask, "").ok());
  worker->Push(1, 0, {1, 1, 1});
  worker->WaitForResult(0);
  EXPECT_EQ(ReasonOf(Start(RequestOf({MakeTrial(1, 1)})).status()), "RUN_FINISHED");
}

TEST_F(TrialsTest, OfARunThatTheServerHasNotBeginAtItsInitialParameters) {
  v1::RunTrialsRequest request = RequestOf({MakeTrial(1, 1)});
  request.clear_name();
  *request.mutable_run() = SynchronousSpec(2, 1);
  const auto trials = *Start(request);
  EXPECT_THAT(trials->TakeNews().names(), ElementsAre("runs/trial-1"));
  const auto worker = Join("trial-1");
  worker->Push(1, 0, {1, 2}, true);
  EXPECT_EQ(worker->WaitForParameters(1), (Values{-1, -2}));
}

TEST_F(TrialsTest, NamesThatAreTakenAreLeftOut) {
  const auto worker = Join("r");
  ASSERT_TRUE(registry_.Create("r-trial-1", SynchronousSpec(1, 1), "").ok());
  {
    const auto trials = *Start(RequestOf({MakeTrial(1, 1)}));
    EXPECT_THAT(trials->TakeNews().names(), ElementsAre("runs/r-trial-2"));
  }
  EXPECT_THAT(Runs(), ElementsAre("r", "r-trial-1"));
}

}  // namespace
}  // namespace gradd
