// The room that a run's pushes have, and how it comes back for others.

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/check.h"
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
    const int64_t pushes = record_.policy().needs_all()
                               ? record_.policy().PushesAStep(record_.members().live_count())
                               : 0;
    claim = room_.Take(session->state().worker, OpenStep(), pushes,
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
  if (const v1::RunState state = State(); state != v1::RUN_STATE_RUNNING) {
    standing.stopped = state == v1::RUN_STATE_PAUSED ? "is paused" : "is finished";
  } else if (held_) {
    standing.stopped = "is held by trials";
  }
  standing.step_can_come = StepCanCome();
  for (const auto& [worker, session] : sessions_.all()) {
    const WorkerSession::State& state = session->state();
    if (!state.receiving) continue;
    if (record_.policy().needs_all()) {
      standing.quiet_since = std::min(standing.quiet_since, session->last_part());
    } else if (state.claim != nullptr &&
               now - session->last_part() >= StagingRoom::PatienceAfter(state.drops)) {
      ++standing.quiet_pushes;
    }
  }
  room_.Judge(standing, now);
}

void Run::WantRoom() {
  pool_->Schedule([weak = weak_from_this()] {
    if (const std::shared_ptr<Run> run = weak.lock()) run->GiveUpRoom();
  });
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
  MutexLock lock(&mutex_);
  room_.Dropped(Now());
}

std::vector<PendingPush> Run::DropPushes() {
  std::vector<std::string> workers;
  // A run of single pushes that goes on keeps those that bring something.
  const bool only_quiet = !record_.policy().needs_all() && room_.keeps();
  for (const auto& [worker, session] : sessions_.all()) {
    WorkerSession::State& state = session->state();
    if (state.claim == nullptr || !state.claim->granted()) continue;
    if (state.held) {
      if (!only_quiet)
        state.claim.reset();  // Claimed again when it is retried, which is under way.
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
  for (const PendingPush& pending : dropped) {
    GRADD_DCHECK(pending.told == Told::kNothing,
                 absl::StrCat(pending.worker, " was told: applied"));
    workers.push_back(pending.worker);
    Member* const member = record_.members().Find(pending.worker);
    record_.members().PushGone(member);
    Tell(member, pending.session, pending.push->header(), v1::PUSH_OUTCOME_RESEND,
         /*want_parameters=*/false, Told::kNothing);
  }
  if (!workers.empty()) LogDropped(std::move(workers));
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
  const bool foreign = IsForeign(header);
  if (!foreign && record_.policy().Admits(header.base_step(), StateForPolicy())) {
    return std::nullopt;
  }
  session->state().claim.reset();
  return foreign ? PushAdmission::kRolledBack : PushAdmission::kSuperseded;
}

void Run::LogDropped(std::vector<std::string> workers) const {
  if (environment_.log == nullptr) return;
  constexpr size_t kMostWorkers = 3;
  const size_t count = workers.size();
  if (count > kMostWorkers) {
    workers.resize(kMostWorkers);
    workers.emplace_back("...");
  }
  environment_.log->AddLimited(
      absl::StrCat("pushes dropped ", run_id_), Now(),
      {LogEntry::Level::kWarning,
       "pushes dropped",
       {{"run", run_id_},
        {"worker", absl::StrJoin(workers, ",")},
        {"reason", absl::StrCat("others need their room, and the run ", room_.why())},
        {"pushes", absl::StrCat(count)},
        {"step", absl::StrCat(engine_.step())}}});
}

}  // namespace gradd
