#include "core/run/run_events.h"

#include "core/base/duration.h"

namespace gradd {

void RunEvents::Enter(state::v1::Event* event, EventLog::Pushes pushes) {
  event->set_number(record_.events() + 1);
  *event->mutable_time() = ToProto(clock_.WallTime());
  log_->Append(*event, pushes);
  const bool was_finished = record_.events() > 0 && record_.state() == v1::RUN_STATE_FINISHED;
  record_.Apply(*event);
  // Else steps that people know of could be lost, and nobody would come to make them once more.
  const bool is_finished = record_.state() == v1::RUN_STATE_FINISHED;
  if (is_finished && !was_finished && !record_.spec().journal()) {
    log_->AwaitCheckpoint(event->number());
  }
}

void RunEvents::Create(v1::Run spec, std::string uid, std::string request_id, bool given) {
  state::v1::Event event;
  event.mutable_created()->set_uid(std::move(uid));
  event.mutable_created()->set_request_id(std::move(request_id));
  event.mutable_created()->set_given(given);
  *event.mutable_created()->mutable_spec() = std::move(spec);
  Enter(&event);
  if (given) log_->AwaitCheckpoint(event.number());
}

void RunEvents::MakeStep(state::v1::StepDecision* decision, EventLog::Pushes pushes) {
  state::v1::Event event;
  event.mutable_step()->Swap(decision);  // It may name many.
  Enter(&event, pushes);
  event.mutable_step()->Swap(decision);
}

void RunEvents::Fold(const state::v1::FoldedPush& fold,
                     const std::shared_ptr<const StagedPush>& push) {
  state::v1::Event event;
  *event.mutable_fold() = fold;
  Enter(&event, {&push, 1});
}

void RunEvents::Answer(state::v1::AnsweredPush answer) {
  state::v1::Event event;
  *event.mutable_answer() = std::move(answer);
  Enter(&event);
}

void RunEvents::ChangeMember(const std::string& worker, state::v1::MemberChange::Kind kind,
                             state::v1::MemberChange change) {
  change.set_worker(worker);
  change.set_kind(kind);
  state::v1::Event event;
  *event.mutable_member() = std::move(change);
  Enter(&event);
}

void RunEvents::ChangeLease(state::v1::DataLease lease) {
  state::v1::Event event;
  *event.mutable_lease() = std::move(lease);
  Enter(&event);
}

void RunEvents::ChangeSpec(state::v1::SpecChange change) {
  state::v1::Event event;
  *event.mutable_change() = std::move(change);
  Enter(&event);
}

void RunEvents::Evaluate(const v1::Evaluation& evaluation) {
  state::v1::Event event;
  *event.mutable_evaluation() = evaluation;
  Enter(&event);
}

void RunEvents::ChangeState(state::v1::StateChange change) {
  state::v1::Event event;
  *event.mutable_state() = std::move(change);
  Enter(&event);
}

void RunEvents::BeginTimeline(const std::string& author) {
  state::v1::Event event;
  event.mutable_timeline()->set_number(record_.timeline()->number + 1);
  event.mutable_timeline()->set_author(author);
  Enter(&event);
}

void RunEvents::Restore(state::v1::RunRestored restored) {
  state::v1::Event event;
  *event.mutable_restored() = std::move(restored);
  Enter(&event);
  log_->AwaitCheckpoint(event.number());
}

void RunEvents::Delete() {
  state::v1::Event event;
  event.mutable_deleted();
  Enter(&event);
}

}  // namespace gradd
