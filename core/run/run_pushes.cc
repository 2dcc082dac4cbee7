// What becomes of the pushes of a run, each for itself.

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/error.h"
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
  if (why == PushAdmission::kBatchUsed) return v1::PUSH_OUTCOME_BATCH_USED;
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
  Member* const member = sessions_.MemberOf(session);
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
  if (record_.IsForeign(header.timeline())) {
    return member->ledger.IsOf(header) ? PushAdmission::kDuplicate : PushAdmission::kRolledBack;
  }
  const int64_t last = member->ledger.sequence;
  if (header.sequence() == member->pending_sequence) {
    // Complete since an earlier session, unless it sends it twice.
    const PendingPush* const pending = FindPending(session->state().worker);
    if (pending != nullptr && pending->session.get() != session) {
      leases_.NameAgain(session->state().worker, header);
    }
    return PushAdmission::kDuplicate;
  }
  if (header.sequence() <= last) return PushAdmission::kDuplicate;
  if (header.sequence() != last + 1) {
    return InvalidArgument(
        "SEQUENCE_SKIPS",
        absl::StrCat("header.sequence: ", header.sequence(), " skips; worker \"",
                     session->state().worker, "\" has committed ", last, ", expected ", last + 1));
  }
  if (header.base_step() > engine_.step()) return PushAdmission::kRolledBack;
  if (course_.over()) return FinishedError();
  const absl::StatusOr<bool> unused = leases_.CheckHeader(session->state().worker, header);
  GRADD_RETURN_IF_ERROR(unused.status());
  if (!*unused) return PushAdmission::kBatchUsed;
  if (!Admits(header.base_step())) return PushAdmission::kSuperseded;
  if (!std::isfinite(header.loss())) {
    if (CountSkip(session)) return PushAdmission::kSkipped;
    return InvalidArgument(
        "NON_FINITE", absl::StrCat("header.loss: ", header.loss(), ", expected a finite number"));
  }
  // A server that stops lets a step complete that needs others, and begins nothing else.
  if (draining_ && !(record_.policy().needs_others() && AnyInFlight())) return PushAdmission::kHold;
  if (!replies_.MayGoOn(*member, replies_.Slowest())) return PushAdmission::kHold;
  return ClaimRoom(session) ? PushAdmission::kStage : PushAdmission::kHold;
}

absl::Status Run::ClaimBlob(const std::string& worker, const v1::PushHeader& header) {
  if (header.blob().empty()) return absl::OkStatus();
  int64_t coming = 0;
  int64_t replaced = 0;  // What the same workers have left before.
  const auto add_one = [&](const std::string& id, const std::string& blob) {
    mutex_.AssertHeld();
    if (blob.empty()) return;
    coming += static_cast<int64_t>(blob.size());
    const WorkerBlobs::Blob* const before = record_.blobs().Find(id);
    if (before != nullptr) replaced += static_cast<int64_t>(before->data.size());
  };
  const auto add = [&](const std::vector<PendingPush>& pushes) {
    for (const PendingPush& pending : pushes) {
      add_one(pending.worker, pending.push->header().blob());
    }
  };
  add_one(worker, header.blob());
  add(waiting_.all());
  if (step_ != nullptr && !step_->entered) add(step_->pushes);
  GRADD_RETURN_IF_ERROR(blob_room_.CheckAll(coming, replaced));
  return blob_room_.Claim(coming);
}

void Run::CommitPush(const SessionPtr& session, std::shared_ptr<const StagedPush> push,
                     bool want_parameters, const PushArrival& arrival) {
  {
    MutexLock lock(&mutex_);
    WorkerSession::State& state = session->state();
    state.receiving = false;
    state.drops = 0;
    Member* const member = sessions_.MemberOf(session.get());
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
    const bool foreign = record_.IsForeign(header.timeline());
    if (!foreign) waiting_.lag().PushArrived(header.base_step(), arrival.complete_at);
    if (foreign) {
      pending.claim.reset();
      answers_.Enter(state.worker, header, v1::PUSH_OUTCOME_ROLLED_BACK);
      replies_.Tell(member, session, header, v1::PUSH_OUTCOME_ROLLED_BACK, want_parameters,
                    Told::kNothing);
    } else if (course_.over()) {
      pending.claim.reset();
      answers_.Reject(session.get(), header.sequence(), FinishedError());
      sessions_.EndIfHalfClosed(session.get());
    } else if (absl::Status room = ClaimBlob(session->state().worker, header); !room.ok()) {
      pending.claim.reset();
      answers_.Reject(session.get(), header.sequence(), room);
      sessions_.EndIfHalfClosed(session.get());
    } else if (absl::Status examples = leases_.CheckExamples(header); !examples.ok()) {
      pending.claim.reset();
      answers_.Reject(session.get(), header.sequence(), examples);
      sessions_.EndIfHalfClosed(session.get());
    } else if (!Admits(header.base_step())) {
      pending.claim.reset();
      answers_.Resolve(pending, v1::PUSH_OUTCOME_SUPERSEDED);
    } else if (leases_.IsTooLate(pending.worker, header)) {
      pending.claim.reset();
      answers_.Resolve(pending, v1::PUSH_OUTCOME_BATCH_USED);
    } else {
      if (member->missed > 0) {  // Steps wait for it again, if they did not.
        if (!record_.members().IsExpected(*member)) {
          reports_.ExpectedAgain(pending.worker, record_.step());
        }
        events_.ChangeMember(pending.worker, state::v1::MemberChange::KIND_EXPECTED);
      }
      record_.members().PushWaits(member, header.sequence());
      leases_.PushWaits(pending.worker, header);
      if (waiting_.empty() && StateForPolicy().window_pushes == 0) {
        waiting_.SetSince(Now());
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
  {
    MutexLock lock(&mutex_);
    session->state().receiving = false;
    session->state().claim.reset();
    session->state().skips = false;
    Member* const member = sessions_.MemberOf(session.get());
    if (member == nullptr) return;
    const bool foreign = record_.IsForeign(header.timeline());
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
    if (why == PushAdmission::kSuperseded && !foreign)
      waiting_.lag().PushArrived(header.base_step(), Now());
    v1::PushOutcome outcome = OutcomeOfIgnored(*member, header, foreign, why);
    const std::string& worker = session->state().worker;
    if (outcome == v1::PUSH_OUTCOME_SKIPPED && leases_.IsTooLate(worker, header)) {
      outcome = v1::PUSH_OUTCOME_BATCH_USED;
    }
    if (IsEvent(outcome)) answers_.Enter(worker, header, outcome);
    // As far as its worker knows, what it names is used up; but the first one counts, with its own.
    if (outcome == v1::PUSH_OUTCOME_DUPLICATE) leases_.Forget(worker, header.batches());
    if (outcome == v1::PUSH_OUTCOME_RESEND) want_parameters = false;
    replies_.Tell(member, session, header, outcome, want_parameters, Told::kNothing);
    FinishIfDone();  // What was skipped may have been the last of the data.
    leases_.Serve();
    if (draining_) EndIdleSessions();
  }
  Advance();  // Whoever has no batch any more, and can get none, is not waited for.
}

bool Run::AbortWaiting(const SessionPtr& session, int64_t sequence, bool since_earlier) {
  std::vector<PendingPush> taken;  // Let go of without the lock: it may be large.
  {
    MutexLock lock(&mutex_);
    Member* const member = sessions_.MemberOf(session.get());
    if (member == nullptr || member->pending_sequence != sequence) return false;
    const PendingPush* const waiting = waiting_.Find(session->state().worker);
    if (waiting == nullptr || (waiting->session != session) != since_earlier) return false;
    session->state().receiving = false;
    taken = waiting_.TakeOf(session->state().worker);
    taken[0].session = session;  // Where it is told, since this one took it back.
    taken[0].want_parameters = false;
    answers_.Resolve(taken[0], v1::PUSH_OUTCOME_ABORTED);
    leases_.Serve();
    if (draining_) EndIdleSessions();
  }
  Advance();  // What it named may be all that others wait for, or the last that they could get.
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

bool Run::CountSkip(WorkerSession* session) {
  if (!record_.MaySkip(sessions_.skipping())) return false;
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
  if (!sessions_.Has(session)) return;
  const int64_t non_finite = signs_.non_finite_pushes;
  answers_.Reject(session, sequence, why);
  if (signs_.non_finite_pushes > non_finite) GuardAgainstRefusals();
  sessions_.EndIfHalfClosed(session);
  if (draining_) EndIdleSessions();
}

bool Run::Admits(int64_t base_step) const {
  const StepPolicy& policy = record_.policy();
  // Nothing is carried into a step that nobody makes any more.
  const bool no_next = draining_ || course_.over();
  if (no_next && policy.needs_others() && base_step < engine_.open_step()) return false;
  return policy.Admits(base_step, StateForPolicy());
}

void Run::SupersedeOldPushes() {
  if (!record_.policy().needs_others()) return;  // No step is another push's as well.
  for (PendingPush& pending :
       waiting_.TakeIf([&](const WaitingPush& push)
                           ABSL_NO_THREAD_SAFETY_ANALYSIS { return !Admits(push.base_step); })) {
    pending.claim.reset();
    answers_.Resolve(pending, v1::PUSH_OUTCOME_SUPERSEDED);
  }
  for (const auto& [worker, session] : sessions_.all()) {
    const WorkerSession::State& state = session->state();
    if (state.claim == nullptr) continue;
    // It may be carried: then it is for the step that is open now.
    state.claim->MoveTo(engine_.open_step());
    sessions_.Retry(session.get());  // What it holds need not wait for room any more.
    if (!state.receiving) continue;
    pool_->Schedule([session = session] { session->DropIfInVain(); });
  }
}

}  // namespace gradd
