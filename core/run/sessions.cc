#include "core/run/sessions.h"

#include <algorithm>
#include <utility>

#include "core/run/gated_sink.h"

namespace gradd {

std::vector<SessionPtr> Sessions::List() const {
  std::vector<SessionPtr> list;
  list.reserve(sessions_.size());
  for (const auto& [worker, session] : sessions_) list.push_back(session);
  return list;
}

WorkerSession* Sessions::Find(const std::string& worker) const {
  const auto found = sessions_.find(worker);
  return found == sessions_.end() ? nullptr : found->second.get();
}

bool Sessions::Has(const WorkerSession* session) const {
  return session != nullptr && Find(session->state().worker) == session;
}

Member* Sessions::MemberOf(const WorkerSession* session) const {
  return Has(session) ? members_.Find(session->state().worker) : nullptr;
}

int64_t Sessions::skipping() const {
  return std::count_if(sessions_.begin(), sessions_.end(),
                       [](const auto& entry) { return entry.second->state().skips; });
}

void Sessions::Attach(const SessionPtr& session) { sessions_[session->state().worker] = session; }

void Sessions::End(WorkerSession* session, const absl::Status& status) {
  SessionSink* const sink = std::exchange(session->state().sink, nullptr);
  if (sink != nullptr) sink->End(status);
  Detach(session);
}

void Sessions::Abandon(WorkerSession* session, const absl::Status& status) {
  SessionSink* const sink = std::exchange(session->state().sink, nullptr);
  if (sink != nullptr) sink->Abandon(status);
  Detach(session);
}

void Sessions::Dismiss(WorkerSession* session, const absl::Status& status) {
  if (session->state().parameters_on_way > 0) {
    Abandon(session, status);
  } else {
    End(session, status);
  }
}

void Sessions::EndIfHalfClosed(WorkerSession* session) {
  const WorkerSession::State& state = session->state();
  const Member* const member = MemberOf(session);
  if (!state.half_closed || member == nullptr) return;
  if (member->pending_sequence != 0 || state.parameters_on_way > 0 || state.held) return;
  End(session, absl::OkStatus());
}

void Sessions::Disconnected(WorkerSession* session) {
  session->state().sink = nullptr;
  if (session->state().gated != nullptr) session->state().gated->Cut();
  Detach(session);
}

void Sessions::Detach(WorkerSession* session) {
  session->state().claim.reset();
  session->state().receiving = false;
  Member* const member = MemberOf(session);
  if (member == nullptr) return;
  member->last_sign = session->last_sign();
  member->state = v1::WORKER_STATE_DISCONNECTED;
  sessions_.erase(session->state().worker);
}

void Sessions::Retry(WorkerSession* session) {
  if (!session->state().held) return;
  pool_->Schedule([alive = session->shared_from_this()] { alive->RetryHeld(); });
}

void Sessions::RetryAll() {
  for (const auto& [worker, session] : sessions_) Retry(session.get());
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

void SendTimeline(WorkerSession* session, uint64_t timeline, int64_t step, int64_t last_sequence) {
  v1::TrainResponse response;
  response.mutable_event()->set_kind(v1::RUN_EVENT_KIND_TIMELINE);
  response.mutable_event()->set_step(step);
  response.mutable_event()->set_timeline(timeline);
  response.mutable_event()->set_last_sequence(last_sequence);
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
