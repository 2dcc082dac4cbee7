// How a run stops with its server: what is in flight may complete, and nothing else begins.

#include <algorithm>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/run/run.h"
#include "core/run/run_spec.h"

namespace gradd {
namespace {

// How long a run that stops waits for the next part of a push that is coming in.
constexpr absl::Duration kPatienceWhileDraining = absl::Seconds(2);

}  // namespace

bool Run::ReceivesPush(const WorkerSession& session) const {
  const WorkerSession::State& state = session.state();
  // Without room its step was made without it.
  return state.receiving && state.claim != nullptr &&
         Now() - session.last_sign() < kPatienceWhileDraining;
}

bool Run::AnyInFlight() const {
  if (!waiting_.empty() || step_ != nullptr) return true;
  return std::any_of(sessions_.all().begin(), sessions_.all().end(),
                     [&](const auto& entry)
                         ABSL_NO_THREAD_SAFETY_ANALYSIS { return ReceivesPush(*entry.second); });
}

void Run::Drain() {
  {
    MutexLock lock(&mutex_);
    if (draining_ || record_.deleted()) return;
    draining_ = true;
    sessions_.Broadcast(v1::RUN_EVENT_KIND_STOPPING, engine_.step());
    SupersedeOldPushes();
    EndIdleSessions();
  }
  Advance();
}

bool Run::StepCanCome() const {
  if (step_ != nullptr || !record_.policy().needs_others()) return true;
  if (!record_.members().formed()) return false;
  // No step waits for those who can get no batch.
  const std::vector<std::string> idle = leases_.Idle();
  int64_t can_push =
      std::max(record_.members().complete(), static_cast<int64_t>(waiting_.facts().size()));
  for (const std::string& worker : record_.members().Missing()) {
    const bool is_idle = std::binary_search(idle.begin(), idle.end(), worker);
    if (!is_idle && sessions_.Find(worker) != nullptr) ++can_push;
  }
  const int64_t expected = record_.members().expected() - static_cast<int64_t>(idle.size());
  return can_push >=
         (record_.policy().needs_all() ? expected : record_.policy().QuorumOf(expected));
}

void Run::EndIdleSessions() {
  const bool stuck = course_.State() == v1::RUN_STATE_PAUSED || course_.held() || !StepCanCome();
  // All workers are needed for as long as one of them waits for a step that needs others.
  if (record_.policy().needs_others() && !stuck && AnyInFlight()) return;
  for (const SessionPtr& session : sessions_.List()) {
    const bool in_flight =
        sessions_.MemberOf(session.get())->pending_sequence != 0 || ReceivesPush(*session);
    if (stuck || !in_flight) sessions_.End(session.get(), StoppingError());
  }
}

void Run::EndAllSessions(const absl::Status& status) {
  MutexLock lock(&mutex_);
  for (const SessionPtr& session : sessions_.List()) sessions_.End(session.get(), status);
}

}  // namespace gradd
