// The room that a run's pushes have, and how it comes back for others.

#include <string>
#include <utility>
#include <vector>

#include "core/run/run.h"

namespace gradd {

absl::Status Run::AssureStep(const StepPolicy& policy, int64_t live) {
  const bool is_larger = policy.PushesAStep(live) > record_.policy().PushesAStep(live);
  return AssureStaging(is_larger ? policy : record_.policy(), layout_.element_count(), live,
                       *environment_.budget, memory_.step_room.get());
}

bool Run::ClaimRoom(WorkerSession* session) {
  StagingRoom::Claim& claim = session->state().claim;
  if (claim == nullptr) {
    const int64_t pushes = record_.policy().needs_others()
                               ? record_.policy().PushesAStep(record_.members().live_count())
                               : 0;
    claim = room_.Take(session->state().worker, engine_.open_step(), pushes,
                       [weak = session->weak_from_this(), pool = pool_] {
                         pool->Schedule([weak] {
                           if (const SessionPtr alive = weak.lock()) alive->RetryHeld();
                         });
                       });
  }
  return claim->granted();
}

void Run::JudgeRoom() {
  StagingRoom::Standing standing;
  const absl::Duration now = Now();
  if (const v1::RunState state = course_.State(); state != v1::RUN_STATE_RUNNING) {
    standing.stopped = state == v1::RUN_STATE_PAUSED ? "is paused" : "is finished";
  } else if (course_.held()) {
    standing.stopped = "is held by trials";
  }
  standing.step_can_come = StepCanCome();
  for (const auto& [worker, session] : sessions_.all()) {
    const WorkerSession::State& state = session->state();
    if (!state.receiving) continue;
    if (record_.policy().needs_others()) {
      if (state.claim == nullptr) continue;  // Its step was made without it.
      standing.quiet_since = std::min(standing.quiet_since, session->last_part());
    } else if (state.claim != nullptr &&
               now - session->last_part() >= StagingRoom::PatienceAfter(state.drops)) {
      ++standing.quiet_pushes;
    }
  }
  room_.Judge(standing, now);
}

void Run::GiveUpRoom() {
  std::vector<PendingPush> dropped;  // Let go of without the lock: they may be large.
  {
    MutexLock lock(&mutex_);
    if (record_.deleted()) return;
    JudgeRoom();
    dropped = DropPushes();
  }
  dropped.clear();
  {
    MutexLock lock(&mutex_);
    room_.Dropped(Now());
    leases_.Serve();  // What they named may be free.
  }
  Advance();
}

std::vector<PendingPush> Run::DropPushes() {
  std::vector<std::string> workers;
  // A run of single pushes that goes on keeps those that bring something.
  const bool only_quiet = !record_.policy().needs_others() && room_.keeps();
  for (const auto& [worker, session] : sessions_.all()) {
    WorkerSession::State& state = session->state();
    if (state.claim == nullptr || !state.claim->granted()) continue;
    if (state.held) {
      // Claimed again when it is retried, which is under way.
      if (!only_quiet) state.claim.reset();
    } else if (state.receiving) {
      const absl::Duration quiet = Now() - session->last_part();
      if (only_quiet && quiet < StagingRoom::PatienceAfter(state.drops)) continue;
      state.loses_room = true;
      workers.push_back(worker);
      pool_->Schedule([session = session] { session->DropForRoom(); });
    }
  }
  std::vector<PendingPush> dropped;
  if (!only_quiet) dropped = waiting_.TakeAll();
  for (PendingPush& pending : dropped) {
    workers.push_back(pending.worker);
    pending.want_parameters = false;
    answers_.Resolve(pending, v1::PUSH_OUTCOME_RESEND);
  }
  if (!workers.empty()) reports_.PushesDropped(workers, room_.why(), engine_.step());
  if (draining_) EndIdleSessions();
  return dropped;
}

StagingRoom::Claim Run::TakeBackRoom(WorkerSession* session) {
  MutexLock lock(&mutex_);
  WorkerSession::State& state = session->state();
  if (!std::exchange(state.loses_room, false)) return nullptr;
  ++state.drops;
  return std::move(state.claim);
}

std::optional<PushAdmission> Run::ReturnIfInVain(WorkerSession* session,
                                                 const v1::PushHeader& header) {
  MutexLock lock(&mutex_);
  const bool foreign = record_.IsForeign(header.timeline());
  if (!foreign && Admits(header.base_step())) {
    return std::nullopt;
  }
  session->state().claim.reset();
  return foreign ? PushAdmission::kRolledBack : PushAdmission::kSuperseded;
}

}  // namespace gradd
