// What becomes of the pushes of a run, each for itself.

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/error.h"
#include "core/optim/skip_non_finite.h"
#include "core/run/push_header.h"
#include "core/run/run.h"
#include "core/run/timelines.h"

namespace gradd {
namespace {

// What a push that was ignored is answered; `foreign`: it is of another timeline than the present.
v1::PushOutcome OutcomeOfIgnored(const Member& member, const v1::PushHeader& header, bool foreign,
                                 PushAdmission why) {
  const bool counted =
      foreign ? member.ledger.IsOf(header) : header.sequence() <= member.ledger.sequence;
  const bool waits = !foreign && header.sequence() == member.pending_sequence;
  if (counted || waits) return v1::PUSH_OUTCOME_DUPLICATE;
  if (why == PushAdmission::kAborted) return v1::PUSH_OUTCOME_ABORTED;
  if (foreign) return v1::PUSH_OUTCOME_ROLLED_BACK;
  if (why == PushAdmission::kSuperseded) return v1::PUSH_OUTCOME_SUPERSEDED;
  if (why == PushAdmission::kSkipped) return v1::PUSH_OUTCOME_SKIPPED;
  if (why == PushAdmission::kRolledBack) return v1::PUSH_OUTCOME_ROLLED_BACK;
  // Others needed its room. Or it was complete in an earlier session, and was dropped or refused
  // since; nobody was there to be told.
  return v1::PUSH_OUTCOME_RESEND;
}

}  // namespace

absl::StatusOr<PushAdmission> Run::BeginPush(WorkerSession* session, v1::PushHeader* header) {
  MutexLock lock(&mutex_);
  WorkerSession::State& state = session->state();
  state.held = false;
  if (header->timeline() == 0) {
    header->set_timeline(state.timeline);
  } else {
    state.sends_timelines = true;
  }
  Member* const member = MemberOf(session);
  // Without one, its stream is ending; what it still sends is held until that is done. And its last
  // push may be part of the step on its way, whose parameters it may have already.
  const bool follows_pending = member != nullptr && member->pending_sequence != 0 &&
                               header->sequence() == member->pending_sequence + 1;
  absl::StatusOr<PushAdmission> admission = PushAdmission::kHold;
  if (member != nullptr && !follows_pending) admission = AdmitPush(session, *header, member);
  if (admission.ok() && *admission == PushAdmission::kHold) {
    state.held = true;
    // It does not wait for room, then.
    if (state.claim != nullptr && state.claim->granted()) state.claim.reset();
    return admission;
  }
  // What was claimed for a push that waited is not needed if it is not staged now.
  if (!admission.ok() || *admission != PushAdmission::kStage) state.claim.reset();
  if (!admission.ok()) return admission;
  state.receiving = true;
  state.loses_room = false;
  if (*admission == PushAdmission::kStage) member->state = v1::WORKER_STATE_PUSHING;
  return admission;
}

absl::StatusOr<PushAdmission> Run::AdmitPush(WorkerSession* session, const v1::PushHeader& header,
                                             Member* member) {
  GRADD_RETURN_IF_ERROR(CheckHeader(header));
  GRADD_RETURN_IF_ERROR(CheckRunUid(header, *record_.timeline()));
  // A worker that does not read what it asked for may not make the server keep another
  // version of the parameters for it.
  if (session->state().parameters_on_way > 0) return PushAdmission::kHold;
  // It has read what it needed, unless it is to push several times from the same parameters.
  if (WindowOf(record_.spec().optimizer()) == 1) sessions_.Unmap(session->state().worker);
  if (IsForeign(header)) {
    return member->ledger.IsOf(header) ? PushAdmission::kDuplicate : PushAdmission::kRolledBack;
  }
  const int64_t last = member->ledger.sequence;
  if (header.sequence() <= last || header.sequence() == member->pending_sequence) {
    return PushAdmission::kDuplicate;
  }
  if (header.sequence() != last + 1) {
    return InvalidArgument(
        "SEQUENCE_SKIPS",
        absl::StrCat("header.sequence: ", header.sequence(), " skips; worker \"",
                     session->state().worker, "\" has committed ", last, ", expected ", last + 1));
  }
  if (header.base_step() > engine_.step()) return PushAdmission::kRolledBack;
  if (over_) return FinishedError();
  if (!record_.policy().Admits(header.base_step(), StateForPolicy()))
    return PushAdmission::kSuperseded;
  if (!std::isfinite(header.loss())) {
    if (CountSkip(session)) return PushAdmission::kSkipped;
    return InvalidArgument(
        "NON_FINITE", absl::StrCat("header.loss: ", header.loss(), ", expected a finite number"));
  }
  // A server that stops lets a step complete that needs all, and begins nothing else.
  if (draining_ && !(record_.policy().needs_all() && AnyInFlight())) return PushAdmission::kHold;
  return ClaimRoom(session) ? PushAdmission::kStage : PushAdmission::kHold;
}

void Run::CommitPush(const SessionPtr& session, std::shared_ptr<const StagedPush> push,
                     bool want_parameters, const PushArrival& arrival) {
  {
    MutexLock lock(&mutex_);
    WorkerSession::State& state = session->state();
    state.receiving = false;
    state.drops = 0;
    Member* const member = MemberOf(session.get());
    if (member == nullptr) return;
    PendingPush pending;
    pending.worker = state.worker;
    pending.claim = std::move(state.claim);
    pending.session = session;
    pending.want_parameters = want_parameters;
    pending.arrival = arrival;
    pending.push = std::move(push);
    sessions_.Float16Of(state.worker)->CountSaturated(pending.push->saturated());
    const v1::PushHeader& header = pending.push->header();
    if (IsForeign(header)) {
      pending.claim.reset();
      EnterAnswer(state.worker, header.sequence(), header.base_step(),
                  v1::PUSH_OUTCOME_ROLLED_BACK);
      Tell(member, session, header, v1::PUSH_OUTCOME_ROLLED_BACK, want_parameters, Told::kNothing);
    } else if (over_) {
      pending.claim.reset();
      SendRejection(session.get(), header.sequence(), FinishedError());
      EndIfHalfClosed(session.get());
    } else if (!record_.policy().Admits(header.base_step(), StateForPolicy())) {
      pending.claim.reset();
      Resolve(pending, v1::PUSH_OUTCOME_SUPERSEDED);
    } else {
      ExpectAgain(pending.worker, *member);
      record_.members().PushWaits(member, header.sequence());
      if (waiting_.empty() && StateForPolicy().window_pushes == 0) {
        first_waiting_at_ = Now();
        NoteMove();
      }
      pending.in_window = member->in_window;
      waiting_.Add(std::move(pending));
    }
  }
  Advance();
}

void Run::CommitIgnored(const SessionPtr& session, const v1::PushHeader& header, PushAdmission why,
                        bool want_parameters) {
  MutexLock lock(&mutex_);
  session->state().receiving = false;
  session->state().claim.reset();
  session->state().skips = false;
  Member* const member = MemberOf(session.get());
  if (member == nullptr) return;
  const bool foreign = IsForeign(header);
  const bool asks = why == PushAdmission::kDuplicate || why == PushAdmission::kAborted;
  if (asks && !foreign && header.sequence() == member->pending_sequence) {
    PendingPush* const pending = FindPending(session->state().worker);
    if (pending != nullptr && pending->session != session) {
      // Complete since an earlier session: this one gets its result.
      pending->session = session;
      pending->want_parameters = want_parameters;
      pending->told = Told::kNothing;
      return;
    }
  }
  const Outcome outcome = OutcomeOfIgnored(*member, header, foreign, why);
  if (outcome == v1::PUSH_OUTCOME_SUPERSEDED || outcome == v1::PUSH_OUTCOME_SKIPPED ||
      outcome == v1::PUSH_OUTCOME_ROLLED_BACK) {
    EnterAnswer(session->state().worker, header.sequence(), header.base_step(), outcome);
  }
  if (outcome == v1::PUSH_OUTCOME_RESEND) want_parameters = false;
  Tell(member, session, header, outcome, want_parameters, Told::kNothing);
  if (draining_) EndIdleSessions();
}

bool Run::AbortWaiting(const SessionPtr& session, int64_t sequence, bool since_earlier) {
  std::vector<PendingPush> taken;  // Let go of without the lock: it may be large.
  MutexLock lock(&mutex_);
  Member* const member = MemberOf(session.get());
  if (member == nullptr || member->pending_sequence != sequence) return false;
  const PendingPush* const waiting = waiting_.Find(session->state().worker);
  if (waiting == nullptr || (waiting->session != session) != since_earlier) return false;
  session->state().receiving = false;
  taken = waiting_.TakeOf(session->state().worker);
  record_.members().PushGone(member);
  Tell(member, session, taken[0].push->header(), v1::PUSH_OUTCOME_ABORTED,
       /*want_parameters=*/false, Told::kNothing);
  if (draining_) EndIdleSessions();
  return true;
}

PendingPush* Run::FindPending(const std::string& worker) {
  if (PendingPush* const waiting = waiting_.Find(worker); waiting != nullptr) return waiting;
  if (step_ == nullptr) return nullptr;
  for (PendingPush& pending : step_->pushes) {
    if (pending.worker == worker && pending.told != Told::kResult) return &pending;
  }
  return nullptr;
}

void Run::ExpectAgain(const std::string& worker, const Member& member) {
  if (member.missed == 0) return;
  if (!record_.members().IsExpected(member)) LogForgiveness(worker, true);
  events_.ChangeMember(worker, state::v1::MemberChange::KIND_EXPECTED);
}

bool Run::CountSkip(WorkerSession* session) {
  // Those that are still coming in count as well.
  int64_t skips = record_.skipped_in_a_row();
  for (const auto& [worker, other] : sessions_.all()) {
    if (other->state().skips) ++skips;
  }
  // Valid since the run was created or updated.
  if (skips >= *ReadSkipNonFinite(record_.spec().optimizer())) return false;
  session->state().skips = true;
  return true;
}

bool Run::SkipPush(WorkerSession* session) {
  MutexLock lock(&mutex_);
  if (!CountSkip(session)) return false;
  session->state().claim.reset();
  return true;
}

void Run::RejectPush(WorkerSession* session, int64_t sequence, const absl::Status& why) {
  MutexLock lock(&mutex_);
  session->state().receiving = false;
  session->state().skips = false;
  session->state().claim.reset();
  if (MemberOf(session) == nullptr) return;
  SendRejection(session, sequence, why);
  EndIfHalfClosed(session);
  if (draining_) EndIdleSessions();
}

void Run::SendRejection(WorkerSession* session, int64_t sequence, const absl::Status& why) {
  Member* const member = MemberOf(session);
  if (member == nullptr) return;
  const std::string& worker = session->state().worker;
  EnterAnswer(worker, sequence, /*base_step=*/0, v1::PUSH_OUTCOME_REJECTED);
  member->state = v1::WORKER_STATE_COMPUTING;
  NoteRejection(worker, sequence, why);
  if (trial_log_ != nullptr) trial_log_->Refuse(why);
  v1::TrainResponse response;
  v1::PushResult& result = *response.mutable_push_result();
  result.set_sequence(sequence);
  result.set_outcome(v1::PUSH_OUTCOME_REJECTED);
  result.set_step(engine_.step());
  result.set_reason(ReasonOf(why));
  result.set_message(
      absl::StrCat("push ", sequence, " from worker \"", worker, "\": ", why.message()));
  session->state().sink->Send(std::move(response));
}

void Run::RejectPending(std::vector<PendingPush> pushes, const absl::Status& why) {
  for (PendingPush& pending : pushes) {
    GRADD_DCHECK(pending.told == Told::kNothing,
                 absl::StrCat(pending.worker, " was told: applied"));
    pending.claim.reset();
    record_.members().PushGone(record_.members().Find(pending.worker));
    if (pending.session != nullptr && sessions_.Has(pending.session.get())) {
      SendRejection(pending.session.get(), pending.push->header().sequence(), why);
    }
  }
  for (const PendingPush& pending : pushes) {
    WorkerSession* const session = sessions_.Find(pending.worker);
    if (session == nullptr) continue;
    if (session->state().held) ScheduleRetry(session->shared_from_this());
    EndIfHalfClosed(session);
  }
}

void Run::EnterAnswer(const std::string& worker, int64_t sequence, int64_t base_step,
                      Outcome outcome) {
  state::v1::AnsweredPush answer;
  answer.set_worker(worker);
  answer.set_sequence(sequence);
  answer.set_base_step(base_step);
  answer.set_outcome(outcome);
  answer.set_step(engine_.step());
  events_.Answer(std::move(answer));
  Member* const member = record_.members().Find(worker);
  if (member->ledger.sequence == sequence) member->told = member->ledger;
}

void Run::Resolve(const PendingPush& pending, Outcome outcome) {
  Member* const member = record_.members().Find(pending.worker);
  GRADD_DCHECK(member != nullptr, absl::StrCat(pending.worker, " is forgotten"));
  if (member == nullptr) return;
  const v1::PushHeader& header = pending.push->header();
  EnterAnswer(pending.worker, header.sequence(), header.base_step(), outcome);
  record_.members().PushGone(member);
  Tell(member, pending.session, header, outcome, pending.want_parameters, Told::kNothing);
}

void Run::SupersedeOldPushes() {
  if (!record_.policy().needs_all()) return;
  for (PendingPush& pending : waiting_.TakeOlderThan(engine_.step())) {
    pending.claim.reset();
    Resolve(pending, v1::PUSH_OUTCOME_SUPERSEDED);
  }
  for (const auto& [worker, session] : sessions_.all()) {
    const WorkerSession::State& state = session->state();
    if (state.claim == nullptr) continue;
    if (state.held) ScheduleRetry(session);  // It need not wait for room any more.
    if (!state.receiving) continue;
    pool_->Schedule([session = session] { session->DropIfInVain(); });
  }
}

void Run::Tell(Member* member, const SessionPtr& session, const v1::PushHeader& header,
               Outcome outcome, bool want_parameters, Told told) {
  if (outcome == v1::PUSH_OUTCOME_DUPLICATE || outcome == v1::PUSH_OUTCOME_RESEND ||
      outcome == v1::PUSH_OUTCOME_ABORTED) {
    other_outcomes_.Add(outcome);
  }
  WorkerSession* const present =
      session == nullptr ? nullptr : sessions_.Find(session->state().worker);
  if (present == nullptr) return;
  member->state = v1::WORKER_STATE_COMPUTING;
  const bool is_present = present == session.get();
  if (is_present && told != Told::kResult) {
    const bool follow = want_parameters && told == Told::kNothing;
    SendResult(present, header.sequence(), outcome, engine_.step(), follow);
    if (follow) SendParametersTo(session);
  }
  if (is_present && told != Told::kNothing) present->state().parameters_due_at = completed_at_;
  if (present->state().held) ScheduleRetry(present->shared_from_this());
  EndIfHalfClosed(present);
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
      sequence == member->told.sequence) {
    result.set_committed_outcome(member->told.outcome);
    result.set_committed_step(member->told.step);
  }
  if (outcome == v1::PUSH_OUTCOME_ROLLED_BACK && member != nullptr) {
    result.set_last_sequence(member->ledger.sequence);
  }
  session->state().sink->Send(std::move(response));
}

}  // namespace gradd
