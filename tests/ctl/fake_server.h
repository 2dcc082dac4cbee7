#ifndef GRADD_TESTS_CTL_FAKE_SERVER_H_
#define GRADD_TESTS_CTL_FAKE_SERVER_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/mutex.h"
#include "core/run/run_labels.h"
#include "google/protobuf/util/field_mask_util.h"
#include "gradd/v1/run_service.grpc.pb.h"
#include "gradd/v1/training_service.grpc.pb.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"

namespace gradd::ctl {

// The two services on a free port, with runs that are messages in a map. Remembers what it was
// asked.
class FakeServer : public v1::RunService::Service, public v1::TrainingService::Service {
 public:
  using Watcher = std::function<grpc::Status(
      const v1::WatchRunRequest&, grpc::ServerWriter<v1::RunProgress>*, grpc::ServerContext*)>;
  using Puller =
      std::function<grpc::Status(const v1::PullRequest&, grpc::ServerWriter<v1::ParameterChunk>*)>;

  // What a call of ImportRun brought.
  struct Import {
    v1::ImportBegin begin;
    std::string data;
  };
  using Exporter = std::function<grpc::Status(const v1::ExportRunRequest&,
                                              grpc::ServerWriter<v1::ExportRunResponse>*)>;

  FakeServer() {
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(static_cast<v1::RunService::Service*>(this));
    builder.RegisterService(static_cast<v1::TrainingService::Service*>(this));
    server_ = builder.BuildAndStart();
    address_ = absl::StrCat("127.0.0.1:", port);
  }

  ~FakeServer() override { Stop(); }

  void Stop() {
    if (server_ == nullptr) return;
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
    server_.reset();
  }

  const std::string& address() const { return address_; }

  // To be called before and after each call. The call itself orders what the handlers and the test
  // do, but ThreadSanitizer cannot see through gRPC.
  void Synchronize() { const MutexLock lock(&mutex_); }

  // To be set, and read, while no call is in progress.
  std::map<std::string, v1::Run> runs;
  std::map<std::string, v1::History> histories;
  Watcher watch;
  Puller pull;
  Exporter exporter;
  std::vector<v1::ExportRunRequest> exports;
  std::vector<Import> imports;
  std::string import_refusal;  // Not empty: imports end with that, after the first request.
  int unavailable_calls = 0;   // So many unary calls fail with UNAVAILABLE first.
  const char* unavailable_reason = "STARTING";
  std::vector<v1::CreateRunRequest> creates;
  std::vector<v1::UpdateRunRequest> updates;
  std::vector<v1::PauseRunRequest> pauses;
  std::vector<v1::ResumeRunRequest> resumes;
  std::vector<v1::PullRequest> pulls;
  std::vector<v1::GetHistoryRequest> history_requests;
  v1::ListCheckpointsResponse checkpoints;
  std::vector<v1::RestoreRunRequest> restores;
  std::vector<v1::ForkRunRequest> forks;
  std::vector<v1::DiffRunRequest> diffs;

 private:
  static grpc::Status Fail(grpc::ServerContext* context, grpc::StatusCode code, const char* reason,
                           const std::string& message) {
    context->AddTrailingMetadata("gradd-reason", reason);
    return {code, message};
  }

  grpc::Status Find(grpc::ServerContext* context, const std::string& name, v1::Run** run) {
    if (unavailable_calls > 0) {
      --unavailable_calls;
      return Fail(context, grpc::StatusCode::UNAVAILABLE, unavailable_reason,
                  "the server is starting");
    }
    const auto found = runs.find(name);
    if (found == runs.end()) {
      return Fail(context, grpc::StatusCode::NOT_FOUND, "RUN_NOT_FOUND",
                  absl::StrCat("no run \"", name.substr(name.find('/') + 1), "\""));
    }
    *run = &found->second;
    return grpc::Status::OK;
  }

  grpc::Status CreateRun(grpc::ServerContext* context, const v1::CreateRunRequest* request,
                         v1::Run* run) override {
    const MutexLock lock(&mutex_);
    creates.push_back(*request);
    const std::string name = absl::StrCat("runs/", request->run_id());
    v1::Run* unused = nullptr;
    grpc::Status found = Find(context, name, &unused);
    if (found.error_code() == grpc::StatusCode::UNAVAILABLE) return found;
    if (found.ok()) {
      return Fail(context, grpc::StatusCode::ALREADY_EXISTS, "RUN_EXISTS",
                  absl::StrCat("run \"", request->run_id(), "\" exists"));
    }
    *run = request->run();
    run->set_name(name);
    run->set_state(v1::RUN_STATE_RUNNING);
    int64_t count = 0;
    for (const v1::Tensor& tensor : run->layout().tensors()) {
      int64_t elements = 1;
      for (const int64_t dimension : tensor.shape()) elements *= dimension;
      count += elements;
    }
    run->set_parameter_count(count);
    runs[name] = *run;
    return grpc::Status::OK;
  }

  grpc::Status GetRun(grpc::ServerContext* context, const v1::GetRunRequest* request,
                      v1::Run* response) override {
    const MutexLock lock(&mutex_);
    v1::Run* run = nullptr;
    grpc::Status found = Find(context, request->name(), &run);
    if (found.ok()) *response = *run;
    return found;
  }

  grpc::Status GetHistory(grpc::ServerContext* context, const v1::GetHistoryRequest* request,
                          v1::History* response) override {
    const MutexLock lock(&mutex_);
    history_requests.push_back(*request);
    v1::Run* run = nullptr;
    grpc::Status found = Find(context, request->name(), &run);
    if (found.ok()) *response = histories[request->name()];
    return found;
  }

  // One run per page.
  grpc::Status ListRuns(grpc::ServerContext*, const v1::ListRunsRequest* request,
                        v1::ListRunsResponse* response) override {
    const MutexLock lock(&mutex_);
    auto next = runs.lower_bound(request->page_token());
    while (next != runs.end() && !HasLabels(next->second.labels(), request->labels())) ++next;
    if (next == runs.end()) return grpc::Status::OK;
    *response->add_runs() = next->second;
    if (++next != runs.end()) response->set_next_page_token(next->first);
    return grpc::Status::OK;
  }

  grpc::Status UpdateRun(grpc::ServerContext* context, const v1::UpdateRunRequest* request,
                         v1::Run* response) override {
    const MutexLock lock(&mutex_);
    updates.push_back(*request);
    v1::Run* run = nullptr;
    grpc::Status found = Find(context, request->run().name(), &run);
    if (!found.ok()) return found;
    if (request->run().schedule().learning_rate() < 0) {
      return Fail(context, grpc::StatusCode::INVALID_ARGUMENT, "SCHEDULE_INVALID",
                  "schedule.learning_rate: -1, expected [0, 1e6]");
    }
    google::protobuf::util::FieldMaskUtil::MergeOptions replace;
    replace.set_replace_message_fields(true);
    google::protobuf::util::FieldMaskUtil::MergeMessageTo(request->run(), request->update_mask(),
                                                          replace, run);
    *response = *run;
    return found;
  }

  grpc::Status DeleteRun(grpc::ServerContext* context, const v1::DeleteRunRequest* request,
                         google::protobuf::Empty*) override {
    const MutexLock lock(&mutex_);
    v1::Run* run = nullptr;
    grpc::Status found = Find(context, request->name(), &run);
    if (found.ok()) runs.erase(request->name());
    return found;
  }

  grpc::Status PauseRun(grpc::ServerContext* context, const v1::PauseRunRequest* request,
                        v1::Run* response) override {
    const MutexLock lock(&mutex_);
    pauses.push_back(*request);
    return SetState(context, request->name(), v1::RUN_STATE_PAUSED, response);
  }

  grpc::Status ResumeRun(grpc::ServerContext* context, const v1::ResumeRunRequest* request,
                         v1::Run* response) override {
    const MutexLock lock(&mutex_);
    resumes.push_back(*request);
    return SetState(context, request->name(), v1::RUN_STATE_RUNNING, response);
  }

  grpc::Status SetState(grpc::ServerContext* context, const std::string& name, v1::RunState state,
                        v1::Run* response) {
    v1::Run* run = nullptr;
    grpc::Status found = Find(context, name, &run);
    if (!found.ok()) return found;
    run->set_state(state);
    *response = *run;
    return found;
  }

  grpc::Status CheckpointRun(grpc::ServerContext* context, const v1::CheckpointRunRequest* request,
                             v1::Checkpoint* response) override {
    const MutexLock lock(&mutex_);
    v1::Run* run = nullptr;
    grpc::Status found = Find(context, request->name(), &run);
    if (found.ok()) *response = *checkpoints.checkpoints().rbegin();
    return found;
  }

  grpc::Status ListCheckpoints(grpc::ServerContext* context,
                               const v1::ListCheckpointsRequest* request,
                               v1::ListCheckpointsResponse* response) override {
    const MutexLock lock(&mutex_);
    v1::Run* run = nullptr;
    grpc::Status found = Find(context, request->name(), &run);
    if (found.ok()) *response = checkpoints;
    return found;
  }

  grpc::Status RestoreRun(grpc::ServerContext* context, const v1::RestoreRunRequest* request,
                          v1::RestoreRunResponse* response) override {
    const MutexLock lock(&mutex_);
    restores.push_back(*request);
    v1::Run* run = nullptr;
    grpc::Status found = Find(context, request->name(), &run);
    if (!found.ok()) return found;
    response->set_timeline(request->timeline() + 1);
    response->set_step(request->step());
    response->set_checkpoint_timeline(request->timeline());
    response->set_from_timeline(request->timeline());
    response->set_from_step(request->step() + 20);
    v1::Change& change = *response->add_changes();
    change.set_field("schedule.learning_rate");
    change.set_old_value("0.1");
    change.set_new_value("0.2");
    return found;
  }

  grpc::Status ForkRun(grpc::ServerContext* context, const v1::ForkRunRequest* request,
                       v1::Run* response) override {
    const MutexLock lock(&mutex_);
    forks.push_back(*request);
    v1::Run* run = nullptr;
    grpc::Status found = Find(context, request->name(), &run);
    if (!found.ok()) return found;
    *response = *run;
    response->set_name(absl::StrCat("runs/", request->run_id()));
    response->mutable_progress()->set_step(request->step());
    return found;
  }

  grpc::Status DiffRun(grpc::ServerContext* context, const v1::DiffRunRequest* request,
                       v1::DiffRunResponse* response) override {
    const MutexLock lock(&mutex_);
    diffs.push_back(*request);
    v1::Run* run = nullptr;
    grpc::Status found = Find(context, request->name(), &run);
    if (!found.ok()) return found;
    response->mutable_first()->set_step(request->step());
    response->mutable_first()->set_timeline(1);
    response->mutable_second()->set_step(request->other_step());
    response->mutable_second()->set_timeline(request->other_timeline());
    response->mutable_total()->set_elements(12);
    response->mutable_total()->set_norm(2);
    response->mutable_total()->set_difference(1);
    response->mutable_total()->set_relative(0.5);
    v1::TensorDifference& tensor = *response->add_tensors();
    tensor.set_tensor("w");
    tensor.set_elements(10);
    tensor.set_difference(1);
    response->set_tensor_count(2);
    return found;
  }

  grpc::Status ExportRun(grpc::ServerContext* context, const v1::ExportRunRequest* request,
                         grpc::ServerWriter<v1::ExportRunResponse>* writer) override {
    const MutexLock lock(&mutex_);
    exports.push_back(*request);
    v1::Run* run = nullptr;
    grpc::Status found = Find(context, request->name(), &run);
    return found.ok() ? exporter(*request, writer) : found;
  }

  grpc::Status ImportRun(grpc::ServerContext* context,
                         grpc::ServerReader<v1::ImportRunRequest>* reader, v1::Run* run) override {
    const MutexLock lock(&mutex_);
    if (unavailable_calls > 0) {
      --unavailable_calls;
      return Fail(context, grpc::StatusCode::UNAVAILABLE, unavailable_reason,
                  "the server is starting");
    }
    Import import;
    v1::ImportRunRequest request;
    while (reader->Read(&request)) {
      if (!import_refusal.empty()) {
        return Fail(context, grpc::StatusCode::INVALID_ARGUMENT, "FILE_INVALID", import_refusal);
      }
      if (request.has_begin()) import.begin = request.begin();
      import.data += request.data();
    }
    imports.push_back(import);
    *run = import.begin.run();
    run->set_name(absl::StrCat("runs/", import.begin.run_id()));
    run->set_parameter_count(7);
    return grpc::Status::OK;
  }

  grpc::Status WatchRun(grpc::ServerContext* context, const v1::WatchRunRequest* request,
                        grpc::ServerWriter<v1::RunProgress>* writer) override {
    const MutexLock lock(&mutex_);
    v1::Run* run = nullptr;
    grpc::Status found = Find(context, request->name(), &run);
    return found.ok() ? watch(*request, writer, context) : found;
  }

  grpc::Status Pull(grpc::ServerContext* context, const v1::PullRequest* request,
                    grpc::ServerWriter<v1::ParameterChunk>* writer) override {
    const MutexLock lock(&mutex_);
    pulls.push_back(*request);
    v1::Run* run = nullptr;
    grpc::Status found = Find(context, request->run(), &run);
    return found.ok() ? pull(*request, writer) : found;
  }

  Mutex mutex_;  // Held by every handler.
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace gradd::ctl

#endif  // GRADD_TESTS_CTL_FAKE_SERVER_H_
