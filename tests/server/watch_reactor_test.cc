#include "server/watch_reactor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/test_server.h"
#include "tests/support/fake_worker.h"
#include "tests/support/specs.h"
#include "tests/support/update.h"

namespace gradd {
namespace {

class WatchReactorTest : public TestWithServer {
 protected:
  // Starts to watch the run "r" and takes the first message.
  void Watch(bool keep_watching = false) {
    v1::WatchRunRequest request;
    request.set_name("runs/r");
    request.mutable_interval()->set_nanos(100'000'000);
    request.set_keep_watching(keep_watching);
    watching_ = runs_->WatchRun(&context_, request);
    ASSERT_TRUE(watching_->Read(&progress_));
  }
  // Reads until the run's step is `step`.
  void WaitForStep(int64_t step) {
    while (progress_.step() < step) ASSERT_TRUE(watching_->Read(&progress_));
  }

  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::RunProgress>> watching_;
  v1::RunProgress progress_;
};

TEST_F(WatchReactorTest, TellsAtOnceAndWheneverSomethingChangesUntilTheRunIsFinished) {
  v1::Run spec = SynchronousSpec(1, 1);
  spec.set_max_steps(2);
  Create("r", spec);
  Watch();
  EXPECT_EQ(progress_.step(), 0);
  FakeWorker worker(server_->registry(), "r", "w");
  worker.Join();
  worker.Push(1, 0, {1});
  WaitForStep(1);
  worker.Push(2, 1, {1});
  WaitForStep(2);
  EXPECT_EQ(progress_.state(), v1::RUN_STATE_FINISHED);
  while (watching_->Read(&progress_)) {
  }
  EXPECT_TRUE(watching_->Finish().ok());
}

TEST_F(WatchReactorTest, StaysAfterTheEndWhereAskedTo) {
  v1::Run spec = SynchronousSpec(1, 1);
  spec.set_max_steps(1);
  Create("r", spec);
  FakeWorker worker(server_->registry(), "r", "w");
  worker.Join();
  worker.Push(1, 0, {1});
  worker.WaitForResult(0);
  Watch(/*keep_watching=*/true);
  v1::Run values;
  values.set_max_steps(5);
  google::protobuf::FieldMask mask;
  mask.add_paths("max_steps");
  ASSERT_TRUE(UpdateAndWait(server_->registry()->Find("runs/r")->get(), values, mask, "").ok());
  while (progress_.state() != v1::RUN_STATE_RUNNING) ASSERT_TRUE(watching_->Read(&progress_));
  context_.TryCancel();
  while (watching_->Read(&progress_)) {
  }
  EXPECT_EQ(watching_->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(WatchReactorTest, EndsWithNotFoundWhenTheRunIsDeleted) {
  Create("r", SynchronousSpec(1, 1));
  Watch();
  ASSERT_TRUE(server_->registry()->Delete("runs/r").ok());
  while (watching_->Read(&progress_)) {
  }
  EXPECT_EQ(watching_->Finish().error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(WatchReactorTest, RefusesIntervalsOutOfRange) {
  Create("r", SynchronousSpec(1, 1));
  v1::WatchRunRequest request;
  request.set_name("runs/r");
  request.mutable_interval()->set_nanos(1);
  const auto watching = runs_->WatchRun(&context_, request);
  const grpc::Status status = watching->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), testing::HasSubstr("interval"));
}

}  // namespace
}  // namespace gradd
