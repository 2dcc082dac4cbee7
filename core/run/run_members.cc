// The sessions and members of a run.

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/check.h"
#include "core/base/duration.h"
#include "core/base/error.h"
#include "core/optim/skip_non_finite.h"
#include "core/run/parameter_encoding.h"
#include "core/run/run.h"
#include "core/run/run_spec.h"

namespace gradd {
namespace {

constexpr int64_t kMaxExamples = int64_t{1} << 40;
constexpr int64_t kMaxMessageBytes = int64_t{2} << 20;
// Ids that a run remembers in its ledger, for each worker it may have at a time.
constexpr int64_t kKnownWorkersFactor = 64;
// How long a run that stops waits for the next part of a push that is coming in.
constexpr absl::Duration kPatienceWhileDraining = absl::Seconds(2);

absl::Status CheckHeader(const v1::PushHeader& header, int64_t step) {
  if (header.sequence() < 1) {
    return InvalidArgument("SEQUENCE_INVALID", absl::StrCat("header.sequence: ", header.sequence(),
                                                            ", at least 1 expected"));
  }
  if (header.base_step() < 0 || header.base_step() > step) {
    return InvalidArgument("BASE_STEP_IN_FUTURE",
                           absl::StrCat("header.base_step: ", header.base_step(),
                                        " is outside [0, ", step, "], the steps so far"));
  }
  if (header.examples() < 1 || header.examples() > kMaxExamples) {
    return InvalidArgument(
        "EXAMPLES_OUT_OF_RANGE",
        absl::StrCat("header.examples: ", header.examples(), " is outside [1, 2^40]"));
  }
  return absl::OkStatus();
}

// `computing`, `disconnected`.
std::string WorkerStateText(v1::WorkerState state) {
  constexpr absl::string_view kPrefix = "WORKER_STATE_";
  return absl::AsciiStrToLower(absl::StripPrefix(v1::WorkerState_Name(state), kPrefix));
}

}  // namespace

bool Run::Live(const Member& member) {
  return member.state != v1::WORKER_STATE_EXPIRED && member.state != v1::WORKER_STATE_LEFT;
}

Run::Member* Run::MemberOf(const WorkerSession* session) {
  const auto member = members_.find(session->state_.worker);
  if (member == members_.end() || member->second.session.get() != session) return nullptr;
  return &member->second;
}

absl::Status Run::Join(const SessionPtr& session, const v1::Join& join) {
  GRADD_RETURN_IF_ERROR(ValidateWorkerId(join.worker()));
  if (join.has_layout()) GRADD_RETURN_IF_ERROR(layout_.CheckSame(join.layout()));
  const absl::StatusOr<v1::Encoding> encoding = ParameterEncodingFor(join);
  GRADD_RETURN_IF_ERROR(encoding.status());
  if (join.want_shared_memory() && session->state_.sink->same_host()) {
    environment_.budget->MakeRoom(MemoryUse::kShared,
                                  layout_.element_count() * int64_t{sizeof(float)});
  }
  MutexLock lock(&mutex_);
  if (deleted_) return DeletedError();
  if (draining_) return StoppingError();
  const Limits& limits = environment_.limits;
  auto found = members_.find(join.worker());
  if (found != members_.end() && found->second.session) {
    WorkerSession* const other = found->second.session.get();
    if (join.instance() == 0 || join.instance() != other->state_.instance) {
      return Error(absl::StatusCode::kAlreadyExists, "WORKER_ID_IN_USE",
                   absl::StrCat("worker \"", join.worker(), "\" of run \"", run_id_,
                                "\" has a session from ", other->address_,
                                "; choose another id, or try again when that session or its "
                                "lease of ",
                                absl::FormatDuration(LeaseDuration(spec_)), " has ended"));
    }
    AbandonSession(other, Error(absl::StatusCode::kAborted, "SESSION_TAKEN_OVER",
                                "a newer session of the same worker instance took over"));
  }
  const bool was_live = found != members_.end() && Live(found->second);
  const int64_t live = LiveMembers() + (was_live ? 0 : 1);
  if (live > limits.max_workers_per_run) {
    return Error(absl::StatusCode::kResourceExhausted, "TOO_MANY_WORKERS",
                 absl::StrCat("run \"", run_id_, "\" has its limit of ", limits.max_workers_per_run,
                              " workers"));
  }
  if (found == members_.end() &&
      static_cast<int64_t>(members_.size()) >= kKnownWorkersFactor * limits.max_workers_per_run) {
    return Error(absl::StatusCode::kResourceExhausted, "TOO_MANY_WORKER_IDS",
                 absl::StrCat("run \"", run_id_, "\" has seen ", members_.size(),
                              " different worker ids, its limit; use stable ids"));
  }
  GRADD_RETURN_IF_ERROR(AssureStep(spec_.policy(), live));

  signs_.departures.Forget(join.worker());
  NoteMove();
  Member& member = members_[join.worker()];
  live_[join.worker()] = &member;
  member.session = session;
  member.address = session->address_;
  if (member.float16 == nullptr) {
    member.float16 = std::make_shared<WorkerFloat16>(run_id_, join.worker(), float16_counts_,
                                                     is_trial() ? nullptr : environment_.log,
                                                     environment_.clock);
  }
  member.state =
      member.pending_sequence != 0 ? v1::WORKER_STATE_WAITING : v1::WORKER_STATE_COMPUTING;
  GRADD_DCHECK(CountsLive(), absl::StrCat(live_.size(), " were counted"));
  session->state_.worker = join.worker();
  session->state_.instance = join.instance();
  session->state_.parameter_encoding = *encoding;
  session->float16_ = member.float16;
  if (spec_.policy().has_synchronous() && live >= spec_.policy().synchronous().workers()) {
    formed_ = true;
  }

  v1::TrainResponse response;
  v1::Welcome& welcome = *response.mutable_welcome();
  *welcome.mutable_layout() = layout_.message();
  welcome.set_step(step_);
  welcome.set_last_sequence(member.last_sequence);
  welcome.set_state(ShownState());
  welcome.set_max_steps(spec_.max_steps());
  *welcome.mutable_lease_duration() = ToProto(LeaseDuration(spec_));
  welcome.mutable_limits()->set_max_chunk_bytes(kMaxChunkBytes);
  welcome.mutable_limits()->set_max_message_bytes(kMaxMessageBytes);
  welcome.mutable_limits()->set_max_chunks_per_push(MaxChunks(layout_));
  for (const v1::Encoding accepted :
       {v1::ENCODING_FLOAT32, v1::ENCODING_BFLOAT16, v1::ENCODING_FLOAT16, v1::ENCODING_INT8,
        v1::ENCODING_SPARSE, v1::ENCODING_ROWS}) {
    welcome.mutable_limits()->add_encodings(accepted);
  }
  welcome.set_parameter_encoding(*encoding);
  welcome.set_parameter_count(layout_.element_count());
  if (join.want_shared_memory()) OfferSharedMemory(session.get(), &welcome);
  session->state_.sink->Send(std::move(response));
  if (join.want_parameters()) SendParametersTo(session);
  if (state_ == v1::RUN_STATE_FINISHED) SendEvent(session.get(), v1::RUN_EVENT_KIND_FINISHED);
  SendTrials(session.get());
  return absl::OkStatus();
}

void Run::SendParametersTo(const SessionPtr& session) {
  ++session->state_.parameters_on_way;
  session->state_.parameters_step = OpenStep();
  // Called with the lock held, where the analysis cannot see it.
  const auto send =
      [this, session](std::shared_ptr<const Snapshot> snapshot) ABSL_NO_THREAD_SAFETY_ANALYSIS {
        SessionSink* const sink = session->state_.sink;
        if (sink == nullptr || snapshot == nullptr) return;
        session->RenewLease();
        session->state_.parameters_due_at = environment_.clock->Elapsed();
        if (SendSharedParameters(session.get(), snapshot)) return;
        sink->SendParameters(std::move(snapshot), session->state_.parameter_encoding);
      };
  if (!Settled()) {
    snapshot_requests_.emplace_back(SnapshotContents::kTraining, send);
  } else {
    send(TakeSnapshot(SnapshotContents::kTraining));
  }
}

absl::StatusOr<PushAdmission> Run::BeginPush(WorkerSession* session, const v1::PushHeader& header) {
  MutexLock lock(&mutex_);
  WorkerSession::State& state = session->state_;
  state.held = false;
  Member* const member = MemberOf(session);
  const auto hold = [&state] {
    state.held = true;
    return PushAdmission::kHold;
  };
  // Its stream is ending; what it still sends is held until that is done.
  if (member == nullptr) return hold();
  // Its last one is part of the step on its way, whose parameters it may have already.
  if (member->pending_sequence != 0 && header.sequence() == member->pending_sequence + 1) {
    return hold();
  }
  GRADD_RETURN_IF_ERROR(CheckHeader(header, step_));
  // A worker that does not read what it asked for may not make the server keep another
  // version of the parameters for it.
  if (state.parameters_on_way > 0) return hold();
  member->mapped.reset();  // It has read what it needed.
  if (header.sequence() <= member->last_sequence || header.sequence() == member->pending_sequence) {
    state.receiving = true;
    return PushAdmission::kDuplicate;
  }
  const int64_t expected = member->last_sequence + 1;
  if (header.sequence() != expected) {
    return InvalidArgument(
        "SEQUENCE_SKIPS",
        absl::StrCat("header.sequence: ", header.sequence(), " skips; worker \"", state.worker,
                     "\" has committed ", member->last_sequence, ", expected ", expected));
  }
  if (state_ == v1::RUN_STATE_FINISHED) {
    return RunFinishedError();
  }
  const bool synchronous = spec_.policy().has_synchronous();
  if (synchronous && header.base_step() < OpenStep()) {
    state.receiving = true;
    return PushAdmission::kSuperseded;
  }
  if (!std::isfinite(header.loss())) {
    if (!CountSkip()) {
      return InvalidArgument(
          "NON_FINITE", absl::StrCat("header.loss: ", header.loss(), ", expected a finite number"));
    }
    state.receiving = true;
    return PushAdmission::kSkipped;
  }
  // A server that stops lets a synchronous step complete, and begins nothing else.
  if (draining_ && !(synchronous && AnyInFlight())) return hold();
  if (!ClaimRoom(session)) return hold();
  state.receiving = true;
  member->state = v1::WORKER_STATE_PUSHING;
  return PushAdmission::kStage;
}

void Run::CommitPush(const SessionPtr& session, std::shared_ptr<const StagedPush> push,
                     bool want_parameters, const Arrival& arrival) {
  {
    MutexLock lock(&mutex_);
    session->state_.receiving = false;
    Member* const member = MemberOf(session.get());
    if (member == nullptr) return;
    PendingPush pending;
    pending.worker = session->state_.worker;
    pending.claim = std::move(session->state_.claim);
    pending.session = session;
    pending.want_parameters = want_parameters;
    pending.arrival = arrival;
    pending.push = std::move(push);
    member->float16->CountSaturated(pending.push->saturated());
    const v1::PushHeader& header = pending.push->header();
    if (state_ == v1::RUN_STATE_FINISHED) {
      SendRejection(session.get(), header.sequence(), RunFinishedError());
    } else if (spec_.policy().has_synchronous() && header.base_step() < OpenStep()) {
      Resolve(pending, v1::PUSH_OUTCOME_SUPERSEDED);
    } else {
      member->pending_sequence = header.sequence();
      member->state = v1::WORKER_STATE_WAITING;
      if (pending_.empty()) {
        first_pending_at_ = environment_.clock->Elapsed();
        NoteMove();
      }
      pending_.push_back(std::move(pending));
    }
  }
  Advance();
}

void Run::CommitIgnored(const SessionPtr& session, const v1::PushHeader& header, PushAdmission why,
                        bool want_parameters) {
  MutexLock lock(&mutex_);
  session->state_.receiving = false;
  Member* const member = MemberOf(session.get());
  if (member == nullptr) return;
  if (header.sequence() == member->pending_sequence) {
    for (PendingPush& pending : pending_) {
      if (pending.worker != session->state_.worker || pending.session == session) continue;
      // Complete since an earlier session: this one gets its result.
      pending.session = session;
      pending.want_parameters = want_parameters;
      return;
    }
  }
  Outcome outcome = v1::PUSH_OUTCOME_DUPLICATE;
  if (why == PushAdmission::kSuperseded) outcome = v1::PUSH_OUTCOME_SUPERSEDED;
  if (why == PushAdmission::kSkipped) outcome = v1::PUSH_OUTCOME_SKIPPED;
  if (why != PushAdmission::kDuplicate) {
    member->last_sequence = header.sequence();
    member->last_outcome = outcome;
  }
  Answer(member, session, header, outcome, want_parameters, /*answered=*/false);
  if (draining_) EndIdleSessions();
}

bool Run::CountSkip() {
  // Valid since the run was created or updated.
  if (skipped_in_a_row_ >= *ReadSkipNonFinite(spec_.optimizer())) return false;
  ++skipped_in_a_row_;
  return true;
}

bool Run::SkipPush(WorkerSession* session) {
  MutexLock lock(&mutex_);
  if (!CountSkip()) return false;
  ReturnRoom(session);
  return true;
}

void Run::RejectPush(WorkerSession* session, int64_t sequence, const absl::Status& why) {
  MutexLock lock(&mutex_);
  session->state_.receiving = false;
  ReturnRoom(session);
  if (MemberOf(session) == nullptr) return;
  SendRejection(session, sequence, why);
  if (draining_) EndIdleSessions();
}

void Run::SendRejection(WorkerSession* session, int64_t sequence, const absl::Status& why) {
  Member* const member = MemberOf(session);
  if (member == nullptr) return;
  member->state = v1::WORKER_STATE_COMPUTING;
  ++member->rejected_pushes;
  progress_.AddOutcome(v1::PUSH_OUTCOME_REJECTED);
  NoteRejection(session->state_.worker, sequence, why);
  if (trial_log_ != nullptr) trial_log_->Refuse(why);
  v1::TrainResponse response;
  v1::PushResult& result = *response.mutable_push_result();
  result.set_sequence(sequence);
  result.set_outcome(v1::PUSH_OUTCOME_REJECTED);
  result.set_step(step_);
  result.set_reason(ReasonOf(why));
  result.set_message(absl::StrCat("push ", sequence, " from worker \"", session->state_.worker,
                                  "\": ", why.message()));
  session->state_.sink->Send(std::move(response));
}

absl::Status Run::RunFinishedError() const {
  return Error(absl::StatusCode::kFailedPrecondition, "RUN_FINISHED",
               absl::StrCat("run \"", run_id_, "\" is finished at step ", step_,
                            "; a larger max_steps lets it go on"));
}

void Run::Resolve(const PendingPush& pending, Outcome outcome) {
  const auto found = members_.find(pending.worker);
  GRADD_DCHECK(found != members_.end(), absl::StrCat(pending.worker, " is forgotten"));
  if (found == members_.end()) return;
  Member& member = found->second;
  const v1::PushHeader& header = pending.push->header();
  // A ledger that skips or goes back would lose pushes, or apply them twice.
  GRADD_DCHECK(header.sequence() == member.last_sequence + (pending.answered ? 0 : 1),
               absl::StrCat("push ", header.sequence(), " of ", pending.worker, " after ",
                            member.last_sequence));
  member.last_sequence = header.sequence();
  member.last_outcome = outcome;
  member.pending_sequence = 0;
  Answer(&member, pending.session, header, outcome, pending.want_parameters, pending.answered);
}

void Run::Answer(Member* member, const SessionPtr& session, const v1::PushHeader& header,
                 Outcome outcome, bool want_parameters, bool answered) {
  progress_.AddOutcome(outcome);
  member->last_base_step = header.base_step();
  if (outcome == v1::PUSH_OUTCOME_APPLIED) ++member->applied_pushes;
  if (outcome == v1::PUSH_OUTCOME_STALE || outcome == v1::PUSH_OUTCOME_SUPERSEDED ||
      outcome == v1::PUSH_OUTCOME_SKIPPED) {
    ++member->rejected_pushes;
  }
  if (!member->session) return;
  member->state = v1::WORKER_STATE_COMPUTING;
  if (member->session == session && !answered) {
    SendResult(session.get(), header.sequence(), outcome, step_, want_parameters);
    if (want_parameters) SendParametersTo(session);
  }
  if (member->session == session && answered) session->state_.parameters_due_at = completed_at_;
  if (member->session->state_.held) ScheduleRetry(member->session);
  EndIfHalfClosed(member->session.get());
}

void Run::SendResult(WorkerSession* session, int64_t sequence, Outcome outcome, int64_t step,
                     bool parameters_follow) {
  v1::TrainResponse response;
  v1::PushResult& result = *response.mutable_push_result();
  result.set_sequence(sequence);
  result.set_outcome(outcome);
  result.set_step(step);
  result.set_parameters_follow(parameters_follow);
  const Member* const member = MemberOf(session);
  if (outcome == v1::PUSH_OUTCOME_DUPLICATE && member != nullptr &&
      sequence == member->last_sequence) {
    result.set_committed_outcome(member->last_outcome);
  }
  session->state_.sink->Send(std::move(response));
}

void Run::ParametersSent(WorkerSession* session) {
  MutexLock lock(&mutex_);
  --session->state_.parameters_on_way;
  GRADD_DCHECK(session->state_.parameters_on_way >= 0, session->state_.worker);
  // Negative, which counts as nothing, where the write of a step's last block is done before the
  // step is.
  progress_.profile().Add(StepProfile::kSend,
                          environment_.clock->Elapsed() - session->state_.parameters_due_at);
  EndIfHalfClosed(session);
  if (session->state_.held) ScheduleRetry(session->shared_from_this());
}

void Run::ResumeReading(WorkerSession* session) {
  MutexLock lock(&mutex_);
  if (session->state_.sink != nullptr) session->state_.sink->ResumeReading();
}

void Run::Leave(WorkerSession* session) {
  {
    MutexLock lock(&mutex_);
    if (Member* const member = MemberOf(session)) {
      DismissSession(session, absl::OkStatus());
      Retire(session->state_.worker, member, v1::WORKER_STATE_LEFT);
    }
  }
  Advance();
}

void Run::HalfClose(WorkerSession* session) {
  MutexLock lock(&mutex_);
  session->state_.half_closed = true;
  EndIfHalfClosed(session);
}

void Run::EndIfHalfClosed(WorkerSession* session) {
  const WorkerSession::State& state = session->state_;
  const Member* const member = MemberOf(session);
  if (!state.half_closed || member == nullptr) return;
  if (member->pending_sequence != 0 || state.parameters_on_way > 0 || state.held) return;
  EndSession(session, absl::OkStatus());
}

void Run::Disconnect(WorkerSession* session) {
  MutexLock lock(&mutex_);
  session->state_.sink = nullptr;
  Detach(session);
}

void Run::FailSession(WorkerSession* session, const absl::Status& status) {
  MutexLock lock(&mutex_);
  DismissSession(session, status);
}

void Run::DismissSession(WorkerSession* session, const absl::Status& status) {
  if (session->state_.parameters_on_way > 0) {
    AbandonSession(session, status);
  } else {
    EndSession(session, status);
  }
}

void Run::EndSession(WorkerSession* session, const absl::Status& status) {
  SessionSink* const sink = std::exchange(session->state_.sink, nullptr);
  if (sink != nullptr) sink->End(status);
  Detach(session);
}

void Run::AbandonSession(WorkerSession* session, const absl::Status& status) {
  SessionSink* const sink = std::exchange(session->state_.sink, nullptr);
  if (sink != nullptr) sink->Abandon(status);
  Detach(session);
}

void Run::Detach(WorkerSession* session) {
  ReturnRoom(session);
  session->state_.receiving = false;
  Member* const member = MemberOf(session);
  if (member == nullptr) return;
  member->last_sign = absl::Nanoseconds(session->last_sign_ns_.load());
  member->state = v1::WORKER_STATE_DISCONNECTED;
  member->session.reset();
}

void Run::Retire(const std::string& worker, Member* member, v1::WorkerState state, bool unread) {
  member->state = state;
  member->mapped.reset();
  live_.erase(worker);
  signs_.departures.Add(
      {worker, state == v1::WORKER_STATE_LEFT, environment_.clock->Elapsed(), unread});
  GRADD_DCHECK(CountsLive(), absl::StrCat(live_.size(), " were counted"));
  if (live_.empty()) formed_ = false;
}

bool Run::CountsLive() const {
  return LiveMembers() == std::count_if(members_.begin(), members_.end(),
                                        [](const auto& entry) { return Live(entry.second); });
}

void Run::ExpireLeases() {
  const absl::Duration now = environment_.clock->Elapsed();
  const absl::Duration lease = LeaseDuration(spec_);
  for (auto next = live_.begin(); next != live_.end();) {
    const auto& [worker, entry] = *next++;  // Retire() removes it.
    Member& member = *entry;
    absl::Duration last_sign = member.last_sign;
    bool unread = false;
    if (member.session) {
      const WorkerSession::State& state = member.session->state_;
      // Whoever waits for the server cannot be blamed for its silence; keep-alive finds out
      // whether its connection is dead. Whoever does not take its parameters can.
      const bool waits_for_us =
          member.pending_sequence != 0 ||
          (state.parameters_on_way > 0 ? state.parameters_step > step_ : state.held || !Moves());
      if (waits_for_us) member.session->RenewLease();
      unread = state.parameters_on_way > 0;
      last_sign = absl::Nanoseconds(member.session->last_sign_ns_.load());
    }
    if (now - last_sign < lease) continue;
    const std::string doing = WorkerStateText(member.state);
    if (member.session) {
      AbandonSession(
          member.session.get(),
          Error(absl::StatusCode::kDeadlineExceeded, "LEASE_ENDED",
                unread ? absl::StrCat("worker \"", worker,
                                      "\" read nothing of its parameters for its lease "
                                      "of ",
                                      absl::FormatDuration(lease))
                       : absl::StrCat("no sign of worker \"", worker, "\" for its lease of ",
                                      absl::FormatDuration(lease))));
    }
    const std::string name = worker;  // Goes with the entry.
    Retire(name, &member, v1::WORKER_STATE_EXPIRED, unread);
    LogEvent(LogEntry::Level::kWarning, "worker lost",
             {{"worker", name},
              {"reason", absl::StrCat("its lease of ", absl::FormatDuration(lease), " ended",
                                      unread ? ": it did not read its parameters" : "")},
              {unread ? "unread_for" : "silent_for",
               absl::FormatDuration(absl::Trunc(now - last_sign, absl::Seconds(1)))},
              {"was", doing},
              {"step", absl::StrCat(step_)},
              {"left", absl::StrCat(LiveMembers())}});
  }
}

void Run::SendEvent(WorkerSession* session, v1::RunEventKind event) {
  v1::TrainResponse response;
  response.mutable_event()->set_kind(event);
  response.mutable_event()->set_step(step_);
  session->state_.sink->Send(std::move(response));
}

void Run::Broadcast(v1::RunEventKind event) {
  for (const auto& [worker, member] : live_) {
    if (member->session) SendEvent(member->session.get(), event);
  }
}

void Run::ScheduleRetry(const SessionPtr& session) {
  pool_->Schedule([session] { session->RetryHeld(); });
}

void Run::RetryAllHeld() {
  for (const auto& [worker, member] : live_) {
    if (member->session && member->session->state_.held) ScheduleRetry(member->session);
  }
}

absl::Status Run::AssureStep(const v1::SynchronizationPolicy& policy, int64_t live) {
  return AssureStaging(policy, layout_.element_count(), live, *environment_.budget,
                       memory_.step_room.get());
}

bool Run::ClaimRoom(WorkerSession* session) {
  WorkerSession::State& state = session->state_;
  if (!state.claim) {
    const int64_t push_bytes = layout_.element_count() * static_cast<int64_t>(sizeof(float));
    const auto claim = [this](int64_t bytes, bool extends) {
      std::weak_ptr<Run> weak = weak_from_this();
      return environment_.budget->TakeOrWait(bytes, extends, [weak, pool = pool_] {
        pool->Schedule([weak] {
          const std::shared_ptr<Run> run = weak.lock();
          if (run == nullptr) return;
          MutexLock lock(&run->mutex_);
          run->RetryAllHeld();
        });
      });
    };
    if (!spec_.policy().has_synchronous()) {
      state.claim = claim(push_bytes, /*extends=*/false);
    } else if (step_claim_.claim && step_claim_.step == OpenStep()) {
      if (step_claim_.left > 0) {
        state.claim = step_claim_.claim;
        --step_claim_.left;
      } else {
        state.claim = claim(push_bytes, /*extends=*/true);
      }
    } else {
      const int64_t pushes =
          std::max<int64_t>(spec_.policy().synchronous().workers(), LiveMembers());
      step_claim_ = {claim(pushes * push_bytes, /*extends=*/false), OpenStep(), pushes - 1};
      state.claim = step_claim_.claim;
    }
  }
  return state.claim->granted();
}

void Run::ReturnRoom(WorkerSession* session) {
  WorkerSession::State& state = session->state_;
  if (!state.claim) return;
  if (state.claim == step_claim_.claim) ++step_claim_.left;
  state.claim.reset();
  // Nobody is left to use what was claimed for the whole step.
  const bool unused = step_claim_.claim && step_claim_.claim.use_count() == 1;
  if (unused) step_claim_ = {};
}

bool Run::ReceivesPush(const WorkerSession& session) const {
  const absl::Duration last_sign = absl::Nanoseconds(session.last_sign_ns_.load());
  return session.state_.receiving &&
         environment_.clock->Elapsed() - last_sign < kPatienceWhileDraining;
}

bool Run::AnyInFlight() const {
  if (!pending_.empty() || step_work_) return true;
  return std::any_of(live_.begin(), live_.end(),
                     [&](const auto& entry) ABSL_NO_THREAD_SAFETY_ANALYSIS {
                       return entry.second->session && ReceivesPush(*entry.second->session);
                     });
}

void Run::Drain() {
  {
    MutexLock lock(&mutex_);
    if (draining_ || deleted_) return;
    draining_ = true;
    Broadcast(v1::RUN_EVENT_KIND_STOPPING);
    EndIdleSessions();
  }
  Advance();
}

void Run::EndIdleSessions() {
  const bool synchronous = spec_.policy().has_synchronous();
  const bool stuck = state_ == v1::RUN_STATE_PAUSED || held_;
  // All workers of a synchronous run are needed for as long as one of them waits for a step.
  if (synchronous && !stuck && AnyInFlight()) return;
  for (const auto& [worker, member] : live_) {
    if (!member->session) continue;
    const bool in_flight = member->pending_sequence != 0 || ReceivesPush(*member->session);
    if (stuck || !in_flight) EndSession(member->session.get(), StoppingError());
  }
}

void Run::EndAllSessions(const absl::Status& status) {
  MutexLock lock(&mutex_);
  for (const auto& [worker, member] : live_) {
    if (member->session) EndSession(member->session.get(), status);
  }
}

absl::Status Run::DeletedError() const {
  return Error(absl::StatusCode::kNotFound, "RUN_NOT_FOUND",
               absl::StrCat("run \"", run_id_, "\" was deleted"));
}

void Run::FreeIfDeleted() {
  ParameterStore::Remains remains;
  std::shared_ptr<UpdatePlan> plan;
  std::shared_ptr<UpdatePlan> next_plan;
  std::shared_ptr<SharedRegion> region;
  {
    MutexLock lock(&mutex_);
    if (!deleted_ || !Settled()) return;
    remains = store_.TakeAll();
    plan = std::exchange(plan_, nullptr);
    next_plan = std::exchange(next_plan_, nullptr);
    region = std::exchange(parameter_region_, nullptr);
  }
  // Whoever still has the run, or shows it, keeps none of its memory.
  remains = {};
  memory_.store->FreeUnused();
  memory_.store->Foresee(0);
  memory_.store->ResizeState(0);
  memory_.step_room->Resize(0);
}

void Run::Delete() {
  EndEverything();
  FreeIfDeleted();
}

void Run::EndEverything() {
  std::deque<PendingPush> pushes;  // Let go of without the lock: they may be large.
  MutexLock lock(&mutex_);
  if (deleted_) return;
  deleted_ = true;
  Broadcast(v1::RUN_EVENT_KIND_DELETED);
  for (const auto& [worker, member] : live_) {
    if (member->session) DismissSession(member->session.get(), DeletedError());
  }
  pushes.swap(pending_);
  step_claim_ = {};
  for (auto& [contents, receive] : snapshot_requests_) receive(nullptr);
  snapshot_requests_.clear();
  if (held_receiver_) std::exchange(held_receiver_, nullptr)(DeletedError());
}

}  // namespace gradd
