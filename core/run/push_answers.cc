#include "core/run/push_answers.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"

namespace gradd {
namespace {

void CheckNotTold(const PendingPush& pending) {
  GRADD_DCHECK(pending.told == Told::kNothing, absl::StrCat(pending.worker, " was told: applied"));
}

}  // namespace

void PushAnswers::Enter(const std::string& worker, const v1::PushHeader& header,
                        v1::PushOutcome outcome) {
  state::v1::AnsweredPush answer;
  answer.set_worker(worker);
  answer.set_sequence(header.sequence());
  answer.set_base_step(header.base_step());
  answer.set_outcome(outcome);
  answer.set_step(parts_.engine->step());
  const bool counts =
      outcome != v1::PUSH_OUTCOME_REJECTED && outcome != v1::PUSH_OUTCOME_ROLLED_BACK;
  if (counts) *answer.mutable_batches() = header.batches();
  if (counts) answer.set_blob(header.blob());
  const BatchLedger* const batches = parts_.record->batches();
  const int64_t given_up = batches == nullptr ? 0 : batches->skipped();
  parts_.events->Answer(std::move(answer));
  if (batches != nullptr && batches->skipped() > given_up) {
    parts_.reports->BatchesGivenUp(worker, *batches, batches->skipped() - given_up,
                                   parts_.engine->step());
  }
  if (!counts) return;
  // It is the ledger's last. (Otherwise that may be one whose step is on its way.)
  Member* const member = parts_.record->members().Find(worker);
  member->told = member->ledger;
}

void PushAnswers::Resolve(const PendingPush& pending, v1::PushOutcome outcome) {
  CheckNotTold(pending);
  Member* const member = parts_.record->members().Find(pending.worker);
  GRADD_DCHECK(member != nullptr, absl::StrCat(pending.worker, " is forgotten"));
  if (member == nullptr) return;
  const v1::PushHeader& header = pending.push->header();
  if (IsEvent(outcome)) Enter(pending.worker, header, outcome);
  LetGo(pending, /*for_good=*/IsEvent(outcome));
  parts_.replies->Tell(member, pending.session, header, outcome, pending.want_parameters,
                       Told::kNothing);
}

void PushAnswers::TellTaken(const PendingPush& pending, v1::PushOutcome outcome) {
  Member* const member = parts_.record->members().Find(pending.worker);
  member->told = member->ledger;
  LetGo(pending, /*for_good=*/true);
  parts_.replies->Tell(member, pending.session, pending.push->header(), outcome,
                       pending.want_parameters, pending.told);
}

void PushAnswers::LetGo(const PendingPush& pending, bool for_good) {
  parts_.leases->PushGone(pending.worker, for_good);
  parts_.record->members().PushGone(parts_.record->members().Find(pending.worker));
}

void PushAnswers::Reject(WorkerSession* session, int64_t sequence, const absl::Status& why) {
  Member* const member = parts_.sessions->MemberOf(session);
  if (member == nullptr) return;
  const std::string& worker = session->state().worker;
  v1::PushHeader refused;
  refused.set_sequence(sequence);
  Enter(worker, refused, v1::PUSH_OUTCOME_REJECTED);
  member->state = v1::WORKER_STATE_COMPUTING;
  const int64_t step = parts_.engine->step();
  parts_.signs->NoteRejection(worker, sequence, why, step, parts_.clock->Elapsed());
  parts_.reports->PushRejected(worker, sequence, why, step);
  parts_.replies->SendRejection(session, sequence, why);
}

void PushAnswers::RejectPending(std::vector<PendingPush> pushes, const absl::Status& why) {
  for (PendingPush& pending : pushes) {
    CheckNotTold(pending);
    pending.claim.reset();
    LetGo(pending, /*for_good=*/false);
    if (pending.session == nullptr) continue;
    Reject(pending.session.get(), pending.push->header().sequence(), why);
  }
  for (const PendingPush& pending : pushes) {
    WorkerSession* const session = parts_.sessions->Find(pending.worker);
    if (session == nullptr) continue;
    parts_.sessions->Retry(session);
    parts_.sessions->EndIfHalfClosed(session);
  }
}

}  // namespace gradd
