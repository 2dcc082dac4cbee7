#include "core/run/sessions.h"

#include <utility>

namespace gradd {

WorkerSession* Sessions::Find(const std::string& worker) const {
  const auto found = sessions_.find(worker);
  return found == sessions_.end() ? nullptr : found->second.get();
}

bool Sessions::Has(const WorkerSession* session) const {
  return session != nullptr && Find(session->state().worker) == session;
}

void Sessions::Attach(const SessionPtr& session) { sessions_[session->state().worker] = session; }

void Sessions::Detach(const WorkerSession* session) {
  if (Has(session)) sessions_.erase(session->state().worker);
}

void Sessions::Map(const std::string& worker, std::shared_ptr<const Snapshot> snapshot) {
  mapped_[worker] = std::move(snapshot);
}

std::shared_ptr<WorkerFloat16> Sessions::Float16Of(const std::string& worker) const {
  const auto found = float16_.find(worker);
  return found == float16_.end() ? nullptr : found->second;
}

void Sessions::SetFloat16(const std::string& worker, std::shared_ptr<WorkerFloat16> counts) {
  float16_[worker] = std::move(counts);
}

void Sessions::Broadcast(v1::RunEventKind event, int64_t step) const {
  for (const auto& [worker, session] : sessions_) SendEvent(session.get(), event, step);
}

void SendEvent(WorkerSession* session, v1::RunEventKind event, int64_t step) {
  v1::TrainResponse response;
  response.mutable_event()->set_kind(event);
  response.mutable_event()->set_step(step);
  session->state().sink->Send(std::move(response));
}

void SendTimeline(WorkerSession* session, uint64_t timeline, int64_t step) {
  v1::TrainResponse response;
  response.mutable_event()->set_kind(v1::RUN_EVENT_KIND_TIMELINE);
  response.mutable_event()->set_step(step);
  response.mutable_event()->set_timeline(timeline);
  session->state().sink->Send(std::move(response));
}

void SendTrials(WorkerSession* session, const std::vector<std::string>& names, int64_t step) {
  for (const std::string& name : names) {
    v1::TrainResponse response;
    response.mutable_event()->set_kind(v1::RUN_EVENT_KIND_TRIAL);
    response.mutable_event()->set_step(step);
    response.mutable_event()->set_run(name);
    session->state().sink->Send(std::move(response));
  }
}

}  // namespace gradd
