#include "worker/evaluation_client.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/mutex.h"
#include "gradd/v1/training_service.grpc.pb.h"

namespace gradd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

v1::ParameterChunk Chunk(int64_t offset, int64_t step, const std::vector<float>& values) {
  v1::ParameterChunk chunk;
  chunk.set_offset(offset);
  chunk.set_step(step);
  chunk.set_data(std::string(reinterpret_cast<const char*>(values.data()), 4 * values.size()));
  return chunk;
}

// A server that answers Pull with chunks, after some failures. Thread safe: a call that the
// client has given up may still run.
class FakeServer final : public v1::TrainingService::Service, public v1::RunService::Service {
 public:
  grpc::Status Pull(grpc::ServerContext* /*context*/, const v1::PullRequest* request,
                    grpc::ServerWriter<v1::ParameterChunk>* writer) override {
    std::vector<v1::ParameterChunk> chunks;
    grpc::Status status;
    {
      MutexLock lock(&mutex_);
      pulls_.push_back(*request);
      if (static_cast<int>(pulls_.size()) <= unavailable_) return {grpc::UNAVAILABLE, "starting"};
      chunks = chunks_;
      status = status_;
      if (static_cast<int>(pulls_.size()) <= lost_) {
        chunks.resize(1);
        status = {grpc::ABORTED, "read too slowly"};
      }
    }
    for (const v1::ParameterChunk& chunk : chunks) writer->Write(chunk);
    return status;
  }
  grpc::Status ReportEvaluation(grpc::ServerContext* /*context*/,
                                const v1::ReportEvaluationRequest* request,
                                v1::ReportEvaluationResponse* /*response*/) override {
    MutexLock lock(&mutex_);
    reports_.push_back(*request);
    return status_;
  }

  void set_chunks(std::vector<v1::ParameterChunk> chunks) {
    MutexLock lock(&mutex_);
    chunks_ = std::move(chunks);
  }
  void set_unavailable(int calls) {
    MutexLock lock(&mutex_);
    unavailable_ = calls;
  }
  // So many pulls end after their first chunk: a later step needed the memory.
  void set_lost(int calls) {
    MutexLock lock(&mutex_);
    lost_ = calls;
  }
  void set_status(const grpc::Status& status) {
    MutexLock lock(&mutex_);
    status_ = status;
  }
  std::vector<v1::PullRequest> pulls() {
    MutexLock lock(&mutex_);
    return pulls_;
  }
  std::vector<v1::ReportEvaluationRequest> reports() {
    MutexLock lock(&mutex_);
    return reports_;
  }

 private:
  Mutex mutex_;
  int unavailable_ ABSL_GUARDED_BY(mutex_) = 0;
  int lost_ ABSL_GUARDED_BY(mutex_) = 0;
  grpc::Status status_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::ParameterChunk> chunks_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::PullRequest> pulls_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::ReportEvaluationRequest> reports_ ABSL_GUARDED_BY(mutex_);
};

class EvaluationClientTest : public testing::Test {
 protected:
  EvaluationClientTest() {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(static_cast<v1::TrainingService::Service*>(&fake_));
    builder.RegisterService(static_cast<v1::RunService::Service*>(&fake_));
    server_ = builder.BuildAndStart();
    options_.server = "127.0.0.1:" + std::to_string(port);
    options_.run = "demo";
    options_.initial_backoff = absl::ZeroDuration();
  }

  absl::StatusOr<int64_t> Pull() {
    return EvaluationClient(options_).Pull(absl::MakeSpan(parameters_));
  }

  FakeServer fake_;
  std::unique_ptr<grpc::Server> server_;
  EvaluationClientOptions options_;
  std::vector<float> parameters_ = std::vector<float>(3);
};

TEST_F(EvaluationClientTest, PullsTheEvaluationViewInChunks) {
  fake_.set_chunks({Chunk(0, 7, {1, 2}), Chunk(2, 7, {3})});
  const absl::StatusOr<int64_t> step = Pull();
  ASSERT_TRUE(step.ok()) << step.status();
  EXPECT_EQ(*step, 7);
  EXPECT_THAT(parameters_, ElementsAre(1, 2, 3));
  ASSERT_EQ(fake_.pulls().size(), 1);
  EXPECT_EQ(fake_.pulls()[0].run(), "runs/demo");
  EXPECT_EQ(fake_.pulls()[0].view(), v1::PARAMETER_VIEW_EVALUATION);
}

TEST_F(EvaluationClientTest, ChunksThatDoNotFitAreRefused) {
  for (const std::vector<v1::ParameterChunk>& chunks :
       std::vector<std::vector<v1::ParameterChunk>>{{},
                                                    {Chunk(0, 7, {1, 2})},
                                                    {Chunk(0, 7, {1, 2, 3, 4})},
                                                    {Chunk(1, 7, {1, 2, 3})},
                                                    {Chunk(0, 7, {1, 2}), Chunk(1, 7, {3})},
                                                    {Chunk(0, 7, {1, 2}), Chunk(2, 8, {3})}}) {
    fake_.set_chunks(chunks);
    EXPECT_EQ(Pull().status().code(), absl::StatusCode::kDataLoss);
  }
  v1::ParameterChunk broken = Chunk(0, 7, {1, 2, 3});
  broken.mutable_data()->pop_back();
  fake_.set_chunks({broken});
  EXPECT_THAT(std::string(Pull().status().message()),
              HasSubstr("a chunk of 11 bytes in ENCODING_FLOAT32 at offset 0 of step 7"));
}

TEST_F(EvaluationClientTest, ReportsUnderTheRunsName) {
  v1::Evaluation evaluation;
  evaluation.set_step(5);
  evaluation.set_loss(0.25);
  options_.run = "runs/demo";
  ASSERT_TRUE(EvaluationClient(options_).Report(evaluation).ok());
  ASSERT_EQ(fake_.reports().size(), 1);
  EXPECT_EQ(fake_.reports()[0].name(), "runs/demo");
  EXPECT_EQ(fake_.reports()[0].evaluation().step(), 5);
  EXPECT_EQ(fake_.reports()[0].evaluation().loss(), 0.25);
}

TEST_F(EvaluationClientTest, TriesAgainWhileTheServerIsUnavailable) {
  fake_.set_unavailable(3);
  fake_.set_chunks({Chunk(0, 7, {1, 2, 3})});
  const absl::StatusOr<int64_t> step = Pull();
  ASSERT_TRUE(step.ok()) << step.status();
  EXPECT_EQ(fake_.pulls().size(), 4);
}

TEST_F(EvaluationClientTest, BeginsAgainWhenItsVersionIsLost) {
  fake_.set_lost(2);
  fake_.set_chunks({Chunk(0, 7, {1, 2}), Chunk(2, 7, {3})});
  const absl::StatusOr<int64_t> step = Pull();
  ASSERT_TRUE(step.ok()) << step.status();
  EXPECT_EQ(*step, 7);
  EXPECT_THAT(parameters_, testing::ElementsAre(1, 2, 3));
  EXPECT_EQ(fake_.pulls().size(), 3U);
}

TEST_F(EvaluationClientTest, GivesUpInTime) {
  fake_.set_unavailable(1 << 30);
  options_.initial_backoff = absl::Seconds(2);
  options_.give_up_after = absl::Seconds(1);
  EXPECT_EQ(Pull().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(fake_.pulls().size(), 1);
}

TEST_F(EvaluationClientTest, DoesNotTryAgainOnceStopped) {
  const std::atomic<bool> stop{true};
  fake_.set_unavailable(1 << 30);
  options_.stop = &stop;
  EXPECT_EQ(Pull().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(fake_.pulls().size(), 1);
}

TEST_F(EvaluationClientTest, OtherErrorsAreFinal) {
  fake_.set_status({grpc::NOT_FOUND, "no run \"demo\""});
  const absl::Status status = EvaluationClient(options_).Report({});
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(), "no run \"demo\"");
  EXPECT_EQ(fake_.reports().size(), 1);
}

}  // namespace
}  // namespace gradd
