// The sessions of a run: how workers join, get parameters, and go.

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/check.h"
#include "core/base/duration.h"
#include "core/base/error.h"
#include "core/run/parameter_encoding.h"
#include "core/run/run.h"
#include "core/run/run_spec.h"
#include "core/sync/shared_gradient.h"

namespace gradd {
namespace {

constexpr int64_t kMaxMessageBytes = int64_t{2} << 20;
// Ids that a run remembers in its ledger, for each worker it may have at a time.
constexpr int64_t kKnownWorkersFactor = 64;
// `computing`, `disconnected`.
std::string WorkerStateText(v1::WorkerState state) {
  constexpr absl::string_view kPrefix = "WORKER_STATE_";
  return absl::AsciiStrToLower(absl::StripPrefix(v1::WorkerState_Name(state), kPrefix));
}

}  // namespace

Member* Run::MemberOf(const WorkerSession* session) {
  return sessions_.Has(session) ? record_.members().Find(session->state().worker) : nullptr;
}

absl::Status Run::Join(const SessionPtr& session, const v1::Join& join) {
  GRADD_RETURN_IF_ERROR(ValidateWorkerId(join.worker()));
  if (join.has_layout()) GRADD_RETURN_IF_ERROR(layout_.CheckSame(join.layout()));
  const absl::StatusOr<v1::Encoding> encoding = ParameterEncodingFor(join);
  GRADD_RETURN_IF_ERROR(encoding.status());
  if (join.want_shared_memory() && session->state().sink->same_host()) {
    SharedParameters::MakeRoom(layout_.element_count(), environment_.budget.get());
  }
  MutexLock lock(&mutex_);
  if (record_.deleted()) return DeletedError();
  if (draining_) return StoppingError();
  GRADD_RETURN_IF_ERROR(Admit(join));

  NoteMove();
  state::v1::MemberChange change;
  change.set_address(session->address());
  events_.ChangeMember(join.worker(), state::v1::MemberChange::KIND_JOINED, std::move(change));
  std::shared_ptr<WorkerFloat16> float16 = sessions_.Float16Of(join.worker());
  if (float16 == nullptr) {
    float16 = std::make_shared<WorkerFloat16>(run_id_, join.worker(), float16_counts_,
                                              is_trial() ? nullptr : environment_.log,
                                              environment_.clock);
    sessions_.SetFloat16(join.worker(), float16);
  }
  WorkerSession::State& state = session->state();
  state.worker = join.worker();
  state.instance = join.instance();
  state.parameter_encoding = *encoding;
  state.parameters_before_result = join.parameters_before_result();
  state.timeline = record_.timeline()->number;
  state.sends_timelines = join.sends_timelines();
  session->SetFloat16(std::move(float16));
  sessions_.Attach(session);
  JudgeRoom();

  v1::TrainResponse response;
  *response.mutable_welcome() = WelcomeFor(*record_.members().Find(join.worker()), *encoding);
  if (join.want_shared_memory()) shared_.Offer(session.get(), response.mutable_welcome());
  state.sink->Send(std::move(response));
  if (join.want_parameters()) SendParametersTo(session);
  if (over_) {
    SendEvent(session.get(), v1::RUN_EVENT_KIND_FINISHED, engine_.step());
  }
  SendTrials(session.get(), trials_, engine_.step());
  return absl::OkStatus();
}

absl::Status Run::Admit(const v1::Join& join) {
  const Limits& limits = environment_.limits;
  const std::string& worker = join.worker();
  if (WorkerSession* const other = sessions_.Find(worker); other != nullptr) {
    if (join.instance() == 0 || join.instance() != other->state().instance) {
      return Error(absl::StatusCode::kAlreadyExists, "WORKER_ID_IN_USE",
                   absl::StrCat("worker \"", worker, "\" of run \"", run_id_,
                                "\" has a session from ", other->address(),
                                "; choose another id, or try again when that session or its "
                                "lease of ",
                                absl::FormatDuration(LeaseDuration(record_.spec())), " has ended"));
    }
    AbandonSession(other, Error(absl::StatusCode::kAborted, "SESSION_TAKEN_OVER",
                                "a newer session of the same worker instance took over"));
  }
  const Membership& members = record_.members();
  const Member* const known = members.Find(worker);
  const bool was_live = known != nullptr && known->live();
  const int64_t live = members.live_count() + (was_live ? 0 : 1);
  if (live > limits.max_workers_per_run) {
    return Error(absl::StatusCode::kResourceExhausted, "TOO_MANY_WORKERS",
                 absl::StrCat("run \"", run_id_, "\" has its limit of ", limits.max_workers_per_run,
                              " workers"));
  }
  const auto ids = static_cast<int64_t>(members.all().size());
  if (known == nullptr && ids >= kKnownWorkersFactor * limits.max_workers_per_run) {
    return Error(absl::StatusCode::kResourceExhausted, "TOO_MANY_WORKER_IDS",
                 absl::StrCat("run \"", run_id_, "\" has seen ", ids,
                              " different worker ids, its limit; use stable ids"));
  }
  // A change that is accepted may not fail any more.
  const UpdateQueue::Accepted* const next = updates_.accepted();
  return AssureStep(next == nullptr ? record_.policy() : *next->policy, live);
}

v1::Welcome Run::WelcomeFor(const Member& member, v1::Encoding encoding) {
  v1::Welcome welcome;
  *welcome.mutable_layout() = layout_.message();
  welcome.set_step(engine_.step());
  welcome.set_last_sequence(member.told.sequence);
  welcome.set_state(ShownState());
  welcome.set_max_steps(record_.spec().max_steps());
  *welcome.mutable_lease_duration() = ToProto(LeaseDuration(record_.spec()));
  welcome.mutable_limits()->set_max_chunk_bytes(kMaxChunkBytes);
  welcome.mutable_limits()->set_max_message_bytes(kMaxMessageBytes);
  welcome.mutable_limits()->set_max_chunks_per_push(MaxChunks(layout_));
  for (const v1::Encoding accepted :
       {v1::ENCODING_FLOAT32, v1::ENCODING_BFLOAT16, v1::ENCODING_FLOAT16, v1::ENCODING_INT8,
        v1::ENCODING_SPARSE, v1::ENCODING_ROWS}) {
    welcome.mutable_limits()->add_encodings(accepted);
  }
  welcome.set_parameter_encoding(encoding);
  welcome.set_parameter_count(layout_.element_count());
  welcome.set_timeline(record_.timeline()->number);
  welcome.set_run_uid(record_.timeline()->run_uid);
  return welcome;
}

void Run::SendParametersTo(const SessionPtr& session) {
  ++session->state().parameters_on_way;
  session->state().parameters_step = OpenStep();
  // Called with the lock held, where the analysis cannot see it.
  const auto send =
      [this, session](std::shared_ptr<const Snapshot> snapshot) ABSL_NO_THREAD_SAFETY_ANALYSIS {
        SessionSink* const sink = session->state().sink;
        if (sink == nullptr || snapshot == nullptr) return;
        session->RenewLease();
        session->state().parameters_due_at = Now();
        if (SendSharedParameters(session.get(), snapshot)) return;
        sink->SendParameters(std::move(snapshot), session->state().parameter_encoding);
      };
  if (!engine_.settled()) {
    snapshot_requests_.emplace_back(SnapshotContents::kTraining, send);
  } else {
    send(engine_.TakeSnapshot(SnapshotContents::kTraining));
  }
}

bool Run::SendSharedParameters(WorkerSession* session,
                               const std::shared_ptr<const Snapshot>& snapshot) {
  if (session->state().gradient == nullptr || !sessions_.Has(session)) return false;
  v1::TrainResponse response;
  if (!SharedParameters::Describe(*snapshot, response.mutable_shared_parameters())) return false;
  // The worker may map them for as long as it likes: where a step needs all workers, it waits for
  // this one anyway.
  if (!record_.policy().needs_all() && !engine_.HasRoomForVersion()) return false;
  sessions_.Map(session->state().worker, snapshot);
  --session->state().parameters_on_way;
  GRADD_DCHECK(session->state().parameters_on_way >= 0, session->state().worker);
  progress_.profile().Add(StepProfile::kSend, absl::ZeroDuration());
  session->state().sink->Send(std::move(response));
  EndIfHalfClosed(session);
  return true;
}

absl::Status Run::StageSharedGradient(WorkerSession* session, StagedPush* push) {
  std::shared_ptr<SharedRegion> region;
  {
    MutexLock lock(&mutex_);
    region = session->state().gradient;
  }
  if (region == nullptr) {
    return Error(absl::StatusCode::kInvalidArgument, "NOT_SHARED",
                 "gradient_is_shared, but the session has no shared memory; send chunks");
  }
  return gradd::StageSharedGradient(*region, staging_blocks_.get(), pool_.get(), push);
}

void Run::ParametersSent(WorkerSession* session) {
  MutexLock lock(&mutex_);
  --session->state().parameters_on_way;
  GRADD_DCHECK(session->state().parameters_on_way >= 0, session->state().worker);
  // Negative, which counts as nothing, where the write of a step's last block is done before the
  // step is.
  progress_.profile().Add(StepProfile::kSend, Now() - session->state().parameters_due_at);
  EndIfHalfClosed(session);
  if (session->state().held) ScheduleRetry(session->shared_from_this());
}

void Run::ResumeReading(WorkerSession* session) {
  MutexLock lock(&mutex_);
  // What it held was its last request, where no more will come.
  EndIfHalfClosed(session);
  if (session->state().sink != nullptr) session->state().sink->ResumeReading();
}

void Run::Leave(WorkerSession* session) {
  {
    MutexLock lock(&mutex_);
    if (MemberOf(session) != nullptr) {
      const std::string worker = session->state().worker;
      DismissSession(session, absl::OkStatus());
      sessions_.Unmap(worker);
      events_.ChangeMember(worker, state::v1::MemberChange::KIND_LEFT);
    }
  }
  Advance();
}

void Run::HalfClose(WorkerSession* session) {
  MutexLock lock(&mutex_);
  session->state().half_closed = true;
  EndIfHalfClosed(session);
}

void Run::EndIfHalfClosed(WorkerSession* session) {
  const WorkerSession::State& state = session->state();
  const Member* const member = MemberOf(session);
  if (!state.half_closed || member == nullptr) return;
  if (member->pending_sequence != 0 || state.parameters_on_way > 0 || state.held) return;
  EndSession(session, absl::OkStatus());
}

void Run::Disconnect(WorkerSession* session) {
  MutexLock lock(&mutex_);
  session->state().sink = nullptr;
  Detach(session);
}

void Run::FailSession(WorkerSession* session, const absl::Status& status) {
  MutexLock lock(&mutex_);
  DismissSession(session, status);
}

void Run::DismissSession(WorkerSession* session, const absl::Status& status) {
  if (session->state().parameters_on_way > 0) {
    AbandonSession(session, status);
  } else {
    EndSession(session, status);
  }
}

void Run::EndSession(WorkerSession* session, const absl::Status& status) {
  SessionSink* const sink = std::exchange(session->state().sink, nullptr);
  if (sink != nullptr) sink->End(status);
  Detach(session);
}

void Run::AbandonSession(WorkerSession* session, const absl::Status& status) {
  SessionSink* const sink = std::exchange(session->state().sink, nullptr);
  if (sink != nullptr) sink->Abandon(status);
  Detach(session);
}

void Run::Detach(WorkerSession* session) {
  session->state().claim.reset();
  session->state().receiving = false;
  Member* const member = MemberOf(session);
  if (member == nullptr) return;
  member->last_sign = session->last_sign();
  member->state = v1::WORKER_STATE_DISCONNECTED;
  sessions_.Detach(session);
}

void Run::ExpireLeases() {
  const absl::Duration now = Now();
  const absl::Duration lease = LeaseDuration(record_.spec());
  const Membership& members = record_.members();
  for (auto next = members.live().begin(); next != members.live().end();) {
    const auto& [worker, member] = *next++;  // Its retirement removes it.
    absl::Duration last_sign = member->last_sign;
    bool unread = false;
    WorkerSession* const session = sessions_.Find(worker);
    if (session != nullptr) {
      const WorkerSession::State& state = session->state();
      // Whoever waits for the server cannot be blamed for its silence; keep-alive finds out
      // whether its connection is dead. Whoever does not take its parameters can, and whoever has
      // begun a push and does not go on.
      const bool waits_for_us =
          member->pending_sequence != 0 ||
          (state.parameters_on_way > 0 ? state.parameters_step > engine_.step()
                                       : state.held || (!Moves() && !state.receiving));
      if (waits_for_us) session->RenewLease();
      unread = state.parameters_on_way > 0;
      last_sign = session->last_sign();
    }
    if (now - last_sign < lease) continue;
    const std::string name = worker;  // Goes with the entry.
    const std::string doing = WorkerStateText(member->state);
    const std::string lease_text = absl::FormatDuration(lease);
    if (session != nullptr) {
      const std::string what =
          unread ? absl::StrCat("worker \"", name, "\" read nothing of its parameters")
                 : absl::StrCat("no sign of worker \"", name, "\"");
      AbandonSession(session, Error(absl::StatusCode::kDeadlineExceeded, "LEASE_ENDED",
                                    absl::StrCat(what, " for its lease of ", lease_text)));
    }
    sessions_.Unmap(name);
    state::v1::MemberChange change;
    change.set_unread(unread);
    events_.ChangeMember(name, state::v1::MemberChange::KIND_LOST, std::move(change));
    LogEvent(LogEntry::Level::kWarning, "worker lost",
             {{"worker", name},
              {"reason", absl::StrCat("its lease of ", lease_text, " ended",
                                      unread ? ": it did not read its parameters" : "")},
              {unread ? "unread_for" : "silent_for",
               absl::FormatDuration(absl::Trunc(now - last_sign, absl::Seconds(1)))},
              {"was", doing},
              {"step", absl::StrCat(engine_.step())},
              {"left", absl::StrCat(members.live_count())}});
  }
}

void Run::ScheduleRetry(const SessionPtr& session) {
  pool_->Schedule([session] { session->RetryHeld(); });
}

void Run::RetryAllHeld() {
  for (const auto& [worker, session] : sessions_.all()) {
    if (session->state().held) ScheduleRetry(session);
  }
}

}  // namespace gradd
