#ifndef GRADD_TESTS_CLIENT_FAKE_TRAIN_SERVER_H_
#define GRADD_TESTS_CLIENT_FAKE_TRAIN_SERVER_H_

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/mutex.h"
#include "gradd/v1/training_service.grpc.pb.h"
#include "tests/support/specs.h"

namespace gradd {

// What a server does for the sessions of a worker, well or badly.
enum class Manners {
  kAnswers,    // As it should: every push is applied.
  kNoWelcome,  // Takes everything and says nothing.
  kSilent,     // Says nothing but `welcome`.
  kDeaf,       // The same, and reads nothing more.
  kDeletes,    // Answers the first chunk of a push as if the run were deleted then.
  kRefuses,    // The same, as if the server were stopping.
  kRambles,    // Answers the first chunk with what makes no sense.
  kTells,      // Answers, and tells of a trial right after each answer.
};

// A run of `elements` parameters, all of them 1, on a free port.
class FakeTrainServer : public v1::TrainingService::Service {
 public:
  FakeTrainServer(Manners manners, int64_t elements) : manners_(manners), elements_(elements) {
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    address_ = absl::StrCat("127.0.0.1:", port);
  }
  ~FakeTrainServer() override { Stop(); }

  const std::string& address() const { return address_; }

  // Ends all calls and listens no more.
  void Stop() {
    {
      MutexLock lock(&mutex_);
      stopping_ = true;
      changed_.NotifyAll();
    }
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
  }

 private:
  using Stream = grpc::ServerReaderWriter<v1::TrainResponse, v1::TrainRequest>;

  grpc::Status Train(grpc::ServerContext* context, Stream* stream) override {
    v1::TrainRequest request;
    if (!stream->Read(&request)) return grpc::Status::OK;
    if (manners_ != Manners::kNoWelcome) stream->Write(Welcome());
    if (manners_ == Manners::kDeaf) {
      MutexLock lock(&mutex_);
      while (!stopping_ && !context->IsCancelled()) {
        changed_.WaitFor(&mutex_, absl::Milliseconds(5));
      }
      return grpc::Status::OK;
    }
    while (stream->Read(&request)) {
      if (manners_ == Manners::kNoWelcome || manners_ == Manners::kSilent) continue;
      if (request.has_leave()) return grpc::Status::OK;
      // Of a push that has not been complete. The other way round, it was too late.
      if (request.has_abort_push() && request.abort_push().sequence() == Counted() + 1) {
        stream->Write(Answer(request.abort_push().sequence(), v1::PUSH_OUTCOME_ABORTED));
      }
      if (!request.has_push()) continue;
      const v1::Push& push = request.push();
      switch (manners_) {
        case Manners::kDeletes:
          return {grpc::StatusCode::NOT_FOUND, "the run was deleted"};
        case Manners::kRefuses:
          return {grpc::StatusCode::UNAVAILABLE, "the server is stopping"};
        case Manners::kRambles:
          stream->Write(Applied(1000));
          break;
        default:
          if (!push.has_commit()) break;
          stream->Write(Applied(Count()));
          if (manners_ == Manners::kTells) stream->Write(Trial());
      }
    }
    return grpc::Status::OK;
  }

  grpc::Status Pull(grpc::ServerContext* /*context*/, const v1::PullRequest* /*request*/,
                    grpc::ServerWriter<v1::ParameterChunk>* writer) override {
    const int64_t chunk_elements = 1 << 16;
    for (int64_t at = 0; at < elements_; at += chunk_elements) {
      const std::vector<float> ones(static_cast<size_t>(std::min(chunk_elements, elements_ - at)),
                                    1);
      v1::ParameterChunk chunk;
      chunk.set_offset(at);
      chunk.set_data(ones.data(), ones.size() * sizeof(float));
      if (!writer->Write(chunk)) break;
    }
    return grpc::Status::OK;
  }

  int64_t Count() {
    MutexLock lock(&mutex_);
    return ++sequence_;
  }

  int64_t Counted() {
    MutexLock lock(&mutex_);
    return sequence_;
  }

  v1::TrainResponse Welcome() {
    v1::TrainResponse response;
    v1::Welcome& welcome = *response.mutable_welcome();
    *welcome.mutable_layout() = VectorLayout(elements_).message();
    welcome.set_parameter_count(elements_);
    welcome.mutable_lease_duration()->set_seconds(30);
    welcome.mutable_limits()->set_max_chunk_bytes(1 << 20);
    welcome.mutable_limits()->add_encodings(v1::ENCODING_FLOAT32);
    MutexLock lock(&mutex_);
    welcome.set_last_sequence(sequence_);
    return response;
  }

  static v1::TrainResponse Applied(int64_t sequence) {
    return Answer(sequence, v1::PUSH_OUTCOME_APPLIED);
  }
  static v1::TrainResponse Answer(int64_t sequence, v1::PushOutcome outcome) {
    v1::TrainResponse response;
    response.mutable_push_result()->set_sequence(sequence);
    response.mutable_push_result()->set_outcome(outcome);
    response.mutable_push_result()->set_step(sequence);
    return response;
  }
  static v1::TrainResponse Trial() {
    v1::TrainResponse response;
    response.mutable_event()->set_kind(v1::RUN_EVENT_KIND_TRIAL);
    response.mutable_event()->set_run("runs/trial");
    return response;
  }

  const Manners manners_;
  const int64_t elements_;
  std::string address_;
  Mutex mutex_;
  CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t sequence_ ABSL_GUARDED_BY(mutex_) = 0;  // Of the last push.
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace gradd

#endif  // GRADD_TESTS_CLIENT_FAKE_TRAIN_SERVER_H_
