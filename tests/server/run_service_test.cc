#include "server/run_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "tests/server/test_server.h"
#include "tests/support/fake_worker.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class RunServiceTest : public TestWithServer {
 protected:
  // Calls `method` of the stub; checks that an error carries a reason, and returns both.
  template <typename Method, typename Request, typename Response>
  std::string Outcome(const Method& method, const Request& request, Response* response) {
    grpc::ClientContext context;
    const grpc::Status status = (runs_.get()->*method)(&context, request, response);
    if (status.ok()) return "OK";
    const auto& trailing = context.GetServerTrailingMetadata();
    const auto reason = trailing.find("gradd-reason");
    if (reason == trailing.end()) return "without a reason: " + status.error_message();
    return std::string(reason->second.data(), reason->second.size()) + ": " +
           status.error_message();
  }
  v1::Run run_;
};

TEST_F(RunServiceTest, EveryMethodRefusesAnUnknownRunWithItsReason) {
  const auto expect_not_found = [](const std::string& outcome) {
    EXPECT_THAT(outcome, testing::StartsWith("RUN_NOT_FOUND: "));
    EXPECT_THAT(outcome, HasSubstr("nothing"));
  };
  const auto named = [](auto request) {
    request.set_name("runs/nothing");
    return request;
  };
  using Stub = v1::RunService::Stub;
  google::protobuf::Empty empty;
  v1::ReportEvaluationResponse reported;
  expect_not_found(Outcome(&Stub::GetRun, named(v1::GetRunRequest()), &run_));
  expect_not_found(Outcome(&Stub::PauseRun, named(v1::PauseRunRequest()), &run_));
  expect_not_found(Outcome(&Stub::ResumeRun, named(v1::ResumeRunRequest()), &run_));
  expect_not_found(Outcome(&Stub::DeleteRun, named(v1::DeleteRunRequest()), &empty));
  expect_not_found(
      Outcome(&Stub::ReportEvaluation, named(v1::ReportEvaluationRequest()), &reported));
  v1::History history;
  expect_not_found(Outcome(&Stub::GetHistory, named(v1::GetHistoryRequest()), &history));
  v1::UpdateRunRequest update;
  update.mutable_run()->set_name("runs/nothing");
  expect_not_found(Outcome(&Stub::UpdateRun, update, &run_));
  grpc::ClientContext context;
  const auto watching = runs_->WatchRun(&context, named(v1::WatchRunRequest()));
  EXPECT_EQ(watching->Finish().error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(RunServiceTest, TheHistoryHasStepsAndEvaluations) {
  Create("x", AsynchronousSpec(1));
  FakeWorker worker(server_->registry(), "x", "w");
  worker.Join();
  for (int64_t step = 0; step < 5; ++step) {
    worker.Push(step + 1, step, {1});
    ASSERT_EQ(worker.WaitForResult(static_cast<size_t>(step)).outcome(), v1::PUSH_OUTCOME_APPLIED);
  }
  v1::ReportEvaluationRequest evaluation;
  evaluation.set_name("runs/x");
  evaluation.mutable_evaluation()->set_step(5);
  evaluation.mutable_evaluation()->set_loss(0.5);
  evaluation.mutable_evaluation()->set_accuracy(0.75);
  evaluation.mutable_evaluation()->set_examples(10);
  v1::ReportEvaluationResponse reported;
  using Stub = v1::RunService::Stub;
  ASSERT_EQ(Outcome(&Stub::ReportEvaluation, evaluation, &reported), "OK");
  v1::GetHistoryRequest request;
  request.set_name("runs/x");
  v1::History history;
  ASSERT_EQ(Outcome(&Stub::GetHistory, request, &history), "OK");
  EXPECT_THAT(history.steps().steps(), ElementsAre(1, 2, 3, 4, 5));
  EXPECT_THAT(history.steps().gradient_norms(), ElementsAre(1, 1, 1, 1, 1));
  EXPECT_GT(history.steps().times(0), 1.6e9);
  EXPECT_THAT(history.evaluations().accuracies(), ElementsAre(0.75));
  EXPECT_EQ(history.steps_per_point(), 1);
  request.set_max_points(2);
  request.set_first_step(2);
  ASSERT_EQ(Outcome(&Stub::GetHistory, request, &history), "OK");
  EXPECT_THAT(history.steps().steps(), ElementsAre(4, 5));
  EXPECT_EQ(history.steps_per_point(), 4);
  request.set_timeline(2);
  ASSERT_EQ(Outcome(&Stub::GetHistory, request, &history), "OK");
  EXPECT_EQ(history.steps().steps_size(), 0);
  request.set_max_points(4097);
  EXPECT_EQ(Outcome(&Stub::GetHistory, request, &history),
            "OUT_OF_RANGE: max_points: 4097 is outside [0, 4096]");
  request.set_max_points(0);
  request.set_first_step(-1);
  EXPECT_EQ(Outcome(&Stub::GetHistory, request, &history),
            "OUT_OF_RANGE: first_step: -1, at least 0 expected");
}

TEST_F(RunServiceTest, ListsAllRunsPageByPage) {
  for (const char* run_id : {"c", "a", "e", "b", "d"}) Create(run_id, SynchronousSpec(1, 1));
  std::vector<std::string> names;
  v1::ListRunsRequest request;
  request.set_page_size(2);
  int pages = 0;
  do {
    v1::ListRunsResponse response;
    ASSERT_EQ(Outcome(&v1::RunService::Stub::ListRuns, request, &response), "OK");
    for (const v1::Run& run : response.runs()) names.push_back(run.name());
    request.set_page_token(response.next_page_token());
    ++pages;
  } while (!request.page_token().empty());
  EXPECT_THAT(names, ElementsAre("runs/a", "runs/b", "runs/c", "runs/d", "runs/e"));
  EXPECT_EQ(pages, 3);
}

TEST_F(RunServiceTest, ListsTheRunsThatHaveTheLabels) {
  v1::Run spec = SynchronousSpec(1, 1);
  Create("none", spec);
  (*spec.mutable_labels())["group"] = "llm";
  for (const char* run_id : {"a", "b", "c"}) Create(run_id, spec);
  (*spec.mutable_labels())["group"] = "vision";
  Create("d", spec);
  v1::ListRunsRequest request;
  request.set_page_size(2);
  (*request.mutable_labels())["group"] = "llm";
  v1::ListRunsResponse response;
  ASSERT_EQ(Outcome(&v1::RunService::Stub::ListRuns, request, &response), "OK");
  ASSERT_EQ(response.runs_size(), 2);
  EXPECT_EQ(response.runs(0).name(), "runs/a");
  request.set_page_token(response.next_page_token());
  response.Clear();
  ASSERT_EQ(Outcome(&v1::RunService::Stub::ListRuns, request, &response), "OK");
  ASSERT_EQ(response.runs_size(), 1);
  EXPECT_EQ(response.runs(0).name(), "runs/c");
  EXPECT_EQ(response.next_page_token(), "");
}

TEST_F(RunServiceTest, APageOfLongSchedulesFitsAMessage) {
  v1::Run spec = SynchronousSpec(1, 1);
  for (int i = 0; i < 1000; ++i) {
    v1::PiecewiseSchedule::Point& point =
        *spec.mutable_schedule()->mutable_piecewise()->add_points();
    point.set_step(int64_t{1} << 52 | i);
    point.set_factor(1);
  }
  constexpr int kRuns = 100;
  for (int i = 0; i < kRuns; ++i) Create("r" + std::to_string(i), spec);
  v1::ListRunsRequest request;
  int runs = 0;
  do {
    v1::ListRunsResponse response;
    ASSERT_EQ(Outcome(&v1::RunService::Stub::ListRuns, request, &response), "OK");
    EXPECT_LT(response.ByteSizeLong(), size_t{2} << 20);
    runs += response.runs_size();
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(runs, kRuns);
}

TEST_F(RunServiceTest, RefusesPagesThatMakeNoSense) {
  v1::ListRunsResponse response;
  v1::ListRunsRequest request;
  request.set_page_size(1001);
  EXPECT_EQ(Outcome(&v1::RunService::Stub::ListRuns, request, &response),
            "OUT_OF_RANGE: page_size: 1001 is outside [0, 1000]");
  request.set_page_size(-1);
  EXPECT_THAT(Outcome(&v1::RunService::Stub::ListRuns, request, &response),
              HasSubstr("page_size: -1"));
  request.set_page_size(1);
  request.set_page_token("no token!");
  EXPECT_THAT(Outcome(&v1::RunService::Stub::ListRuns, request, &response),
              HasSubstr("PAGE_TOKEN_INVALID"));
}

TEST_F(RunServiceTest, ChangesAreRecordedWithTheirAuthor) {
  Create("r", SynchronousSpec(1, 1));
  v1::UpdateRunRequest request;
  request.mutable_run()->set_name("runs/r");
  request.mutable_run()->mutable_schedule()->set_learning_rate(0.5);
  request.mutable_update_mask()->add_paths("schedule.learning_rate");
  request.set_author("ada");
  ASSERT_EQ(Outcome(&v1::RunService::Stub::UpdateRun, request, &run_), "OK");
  EXPECT_EQ(run_.schedule().learning_rate(), 0.5);
  ASSERT_EQ(run_.history_size(), 1);
  EXPECT_EQ(run_.history(0).author(), "ada");
  EXPECT_EQ(run_.history(0).field(), "schedule.learning_rate");
  EXPECT_EQ(run_.history(0).old_value(), "1");
  EXPECT_EQ(run_.history(0).new_value(), "0.5");
  request.set_author(std::string(129, 'x'));
  EXPECT_THAT(Outcome(&v1::RunService::Stub::UpdateRun, request, &run_),
              HasSubstr("author: 129 bytes, at most 128 expected"));
  request.set_author("a\nb\x1b[2J");
  EXPECT_EQ(
      Outcome(&v1::RunService::Stub::UpdateRun, request, &run_),
      "AUTHOR_INVALID: author: \"a\\nb\\x1b[2J\" has characters that are not seen, printable UTF-8 "
      "expected");
}

TEST_F(RunServiceTest, AnUpdateIsAnsweredWhenItIsInEffectWithItsStep) {
  Create("r", SynchronousSpec(1, 1));
  FakeWorker worker(server_->registry(), "r", "w");
  worker.Join();
  for (int64_t step = 0; step < 3; ++step) {
    worker.Push(step + 1, step, {1});
    worker.WaitForResult(static_cast<size_t>(step));
  }
  v1::UpdateRunRequest request;
  request.mutable_run()->set_name("runs/r");
  request.mutable_run()->mutable_optimizer()->mutable_adam();
  request.mutable_run()->mutable_schedule()->mutable_cosine_decay()->set_decay_steps(2);
  request.mutable_update_mask()->add_paths("optimizer");
  request.mutable_update_mask()->add_paths("schedule.cosine_decay");
  ASSERT_EQ(Outcome(&v1::RunService::Stub::UpdateRun, request, &run_), "OK");
  EXPECT_TRUE(run_.optimizer().has_adam());
  EXPECT_EQ(run_.state_bytes(), 12);
  EXPECT_EQ(run_.progress().step(), 3);
  EXPECT_EQ(run_.progress().learning_rate(), 1);
  EXPECT_EQ(run_.schedule().begins_at(), 3);
  ASSERT_EQ(run_.history_size(), 3);
  for (const v1::Change& change : run_.history()) EXPECT_EQ(change.step(), 3);
  // A repetition leaves the schedule where it is.
  worker.Push(4, 3, {1});
  worker.WaitForResult(3);
  ASSERT_EQ(Outcome(&v1::RunService::Stub::UpdateRun, request, &run_), "OK");
  EXPECT_EQ(run_.schedule().begins_at(), 3);
  EXPECT_EQ(run_.history_size(), 3);
}

TEST_F(RunServiceTest, UpdatesThatComeTogetherAreMadeOneAfterTheOther) {
  Create("r", SynchronousSpec(1, 1));
  constexpr int kCallers = 8;
  std::vector<std::thread> callers;
  for (int i = 0; i < kCallers; ++i) {
    callers.emplace_back([this, i] {
      v1::UpdateRunRequest request;
      request.mutable_run()->set_name("runs/r");
      request.mutable_run()->mutable_schedule()->set_learning_rate(2.0 + i);
      request.mutable_update_mask()->add_paths("schedule.learning_rate");
      v1::Run updated;
      EXPECT_EQ(Outcome(&v1::RunService::Stub::UpdateRun, request, &updated), "OK");
      EXPECT_EQ(updated.schedule().learning_rate(), 2.0 + i) << "as it was then";
    });
  }
  for (std::thread& caller : callers) caller.join();
  v1::GetRunRequest get;
  get.set_name("runs/r");
  ASSERT_EQ(Outcome(&v1::RunService::Stub::GetRun, get, &run_), "OK");
  ASSERT_EQ(run_.history_size(), kCallers);
  for (int i = 1; i < kCallers; ++i) {
    EXPECT_EQ(run_.history(i).old_value(), run_.history(i - 1).new_value());
  }
}

TEST_F(RunServiceTest, ErrorsArriveHoweverLongWhatTheyAreAbout) {
  Create("r", SynchronousSpec(1, 1));
  v1::UpdateRunRequest request;
  request.mutable_run()->set_name("runs/r");
  request.mutable_update_mask()->add_paths(std::string(9000, 'x'));
  EXPECT_THAT(Outcome(&v1::RunService::Stub::UpdateRun, request, &run_),
              HasSubstr("xxx...\" is no field below optimizer"));
  // Paths that are known, and so long in all that the message has to be cut.
  request.mutable_update_mask()->clear_paths();
  v1::Schedule* schedule = request.mutable_run()->mutable_schedule();
  schedule->set_learning_rate(1);
  for (int i = 0; i < 1000; ++i) schedule->mutable_multi_step_decay()->add_milestones(i + 1);
  schedule->mutable_multi_step_decay()->set_gamma(2);
  request.mutable_update_mask()->add_paths("schedule");
  EXPECT_THAT(Outcome(&v1::RunService::Stub::UpdateRun, request, &run_),
              HasSubstr("gamma: 2 is outside (0, 1]"));
}

TEST_F(RunServiceTest, AnAuthorWhoGivesNoNameIsKnownByItsAddress) {
  Create("r", SynchronousSpec(1, 1));
  v1::PauseRunRequest request;
  request.set_name("runs/r");
  ASSERT_EQ(Outcome(&v1::RunService::Stub::PauseRun, request, &run_), "OK");
  ASSERT_EQ(run_.history_size(), 1);
  EXPECT_THAT(run_.history(0).author(), HasSubstr("127.0.0.1"));
}

}  // namespace
}  // namespace gradd
