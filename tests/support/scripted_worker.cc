#include "tests/support/scripted_worker.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace gradd {

ScriptedWorker::ScriptedWorker(RunRegistry* registry, const std::string& worker, uint64_t instance)
    : registry_(registry),
      worker_(worker),
      instance_(instance),
      session_(std::make_shared<WorkerSession>(registry, this, absl::StrCat("scripted:", worker))) {
}

void ScriptedWorker::Send(v1::TrainRequest request, Payload data) {
  // Set before the call: the session may resume before it has returned.
  held_ = true;
  if (session_->Handle(std::move(request), std::move(data))) held_ = false;
}

void ScriptedWorker::Join(const std::string& run, v1::Join join) {
  v1::TrainRequest request;
  *request.mutable_join() = std::move(join);
  request.mutable_join()->set_run(absl::StrCat("runs/", run));
  request.mutable_join()->set_worker(worker_);
  request.mutable_join()->set_instance(instance_);
  Send(std::move(request));
}

void ScriptedWorker::HalfClose() {
  if (IsOpen()) session_->HalfClosed();
}

void ScriptedWorker::Disconnect() {
  gone_ = true;
  parameters_.clear();
  session_->Disconnected();
}

bool ScriptedWorker::Lost() const {
  return !parameters_.empty() && parameters_.front()->snapshot() == nullptr;
}

std::shared_ptr<const Snapshot> ScriptedWorker::ReadParameters() {
  std::shared_ptr<const Snapshot> snapshot = parameters_.front()->snapshot();
  if (snapshot == nullptr) return nullptr;
  for (size_t block = 0; snapshot->progress != nullptr && block < snapshot->parameters.size();
       ++block) {
    if (!snapshot->progress->Await(block, [] {})) return nullptr;
  }
  parameters_.pop_front();
  session_->ParametersMove();
  session_->ParametersSent();
  return snapshot;
}

void ScriptedWorker::Send(v1::TrainResponse message) {
  if (!arrives_()) return;
  if (message.has_welcome()) welcome_ = message.welcome();
  if (message.has_push_result()) results_.push_back(message.push_result());
  if (message.has_batch_lease()) leases_.push_back(message.batch_lease());
  if (message.has_event()) events_.push_back(message.event());
}

void ScriptedWorker::SendParameters(std::shared_ptr<const Snapshot> snapshot,
                                    v1::Encoding /*encoding*/) {
  if (!arrives_()) return;
  ++received_;
  parameters_.push_back(
      registry_->readers()->Add(VersionReaders::Kind::kSession, std::move(snapshot)));
}

}  // namespace gradd
