// How workers join a run, and go.

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/duration.h"
#include "core/base/error.h"
#include "core/run/gated_sink.h"
#include "core/run/parameter_encoding.h"
#include "core/run/run.h"
#include "core/run/run_spec.h"
#include "core/sync/shared_gradient.h"

namespace gradd {
namespace {

// Ids that a run remembers in its ledger, for each worker it may have at a time.
constexpr int64_t kKnownWorkersFactor = 64;

}  // namespace

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
  GRADD_RETURN_IF_ERROR(log_->failure());
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
  state.gated =
      std::make_shared<GatedSink>(state.sink, &gate_, &record_, state.parameters_before_result);
  state.sink = state.gated.get();
  sessions_.Attach(session);
  JudgeRoom();

  v1::TrainResponse response;
  *response.mutable_welcome() =
      replies_.WelcomeFor(*record_.members().Find(join.worker()), *encoding);
  leases_.Welcome(join.worker(), response.mutable_welcome());
  blob_room_.Welcome(join.worker(), response.mutable_welcome());
  if (join.want_shared_memory()) shared_.Offer(session.get(), response.mutable_welcome());
  state.sink->Send(std::move(response));
  if (join.want_parameters()) replies_.SendParametersTo(session);
  if (course_.over()) SendEvent(session.get(), v1::RUN_EVENT_KIND_FINISHED, engine_.step());
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
    sessions_.Abandon(other, Error(absl::StatusCode::kAborted, "SESSION_TAKEN_OVER",
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

absl::Status Run::HandleBatches(WorkerSession* session, const v1::TrainRequest& request) {
  {
    MutexLock lock(&mutex_);
    if (sessions_.MemberOf(session) == nullptr) return absl::OkStatus();  // Its stream is ending.
    GRADD_RETURN_IF_ERROR(leases_.Handle(session, request));
    leases_.Serve();
  }
  Advance();  // Whoever has none now, and can get none, is not waited for.
  return absl::OkStatus();
}

void Run::ParametersSent(WorkerSession* session) {
  MutexLock lock(&mutex_);
  replies_.ParametersSent(session);
}

void Run::ResumeReading(WorkerSession* session) {
  MutexLock lock(&mutex_);
  // What it held was its last request, where no more will come.
  sessions_.EndIfHalfClosed(session);
  if (session->state().sink != nullptr) session->state().sink->ResumeReading();
}

void Run::Leave(WorkerSession* session) {
  {
    MutexLock lock(&mutex_);
    if (sessions_.Has(session)) {
      const std::string worker = session->state().worker;
      sessions_.Dismiss(session, absl::OkStatus());
      sessions_.Unmap(worker);
      events_.ChangeMember(worker, state::v1::MemberChange::KIND_LEFT);
      replies_.ReleaseHeldBack();
    }
  }
  Advance();
}

void Run::HalfClose(WorkerSession* session) {
  MutexLock lock(&mutex_);
  session->state().half_closed = true;
  sessions_.EndIfHalfClosed(session);
}

void Run::Disconnect(WorkerSession* session) {
  MutexLock lock(&mutex_);
  sessions_.Disconnected(session);
}

void Run::FailSession(WorkerSession* session, const absl::Status& status) {
  MutexLock lock(&mutex_);
  sessions_.Dismiss(session, status);
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
          member->pending_sequence != 0 || state.held_back || state.gated->waits() ||
          (state.parameters_on_way > 0
               ? state.parameters_step > engine_.step()
               : state.held ||
                     (!state.receiving && (leases_.WaitsForBatches(*session) || !course_.Moves())));
      if (waits_for_us) session->RenewLease();
      unread = state.parameters_on_way > 0;
      last_sign = session->last_sign();
    }
    if (now - last_sign < lease) continue;
    RunReports::LostWorker lost;
    lost.worker = worker;
    lost.was = member->state;
    lost.lease = lease;
    lost.silent_for = now - last_sign;
    lost.unread = unread;
    if (session != nullptr) {
      const std::string what =
          unread ? absl::StrCat("worker \"", worker, "\" read nothing of its parameters")
                 : absl::StrCat("no sign of worker \"", worker, "\"");
      sessions_.Abandon(
          session, Error(absl::StatusCode::kDeadlineExceeded, "LEASE_ENDED",
                         absl::StrCat(what, " for its lease of ", absl::FormatDuration(lease))));
    }
    sessions_.Unmap(lost.worker);
    state::v1::MemberChange change;
    change.set_unread(unread);
    events_.ChangeMember(lost.worker, state::v1::MemberChange::KIND_LOST, std::move(change));
    lost.left = members.live_count();
    reports_.WorkerLost(lost, engine_.step());
    replies_.ReleaseHeldBack();
  }
}

}  // namespace gradd
