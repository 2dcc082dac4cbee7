#include "core/run/replies.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/duration.h"
#include "core/base/error.h"
#include "core/run/run_spec.h"
#include "core/run/shared_parameters.h"

namespace gradd {
namespace {

constexpr int64_t kMaxMessageBytes = int64_t{2} << 20;

}  // namespace

v1::Welcome Replies::WelcomeFor(const Member& member, v1::Encoding encoding) const {
  const RunRecord& record = *parts_.record;
  v1::Welcome welcome;
  *welcome.mutable_layout() = parts_.layout->message();
  welcome.set_step(parts_.engine->step());
  welcome.set_last_sequence(member.told.sequence);
  welcome.set_state(parts_.course->ShownState());
  welcome.set_max_steps(record.spec().max_steps());
  *welcome.mutable_lease_duration() = ToProto(LeaseDuration(record.spec()));
  welcome.mutable_limits()->set_max_chunk_bytes(kMaxChunkBytes);
  welcome.mutable_limits()->set_max_message_bytes(kMaxMessageBytes);
  welcome.mutable_limits()->set_max_chunks_per_push(MaxChunks(*parts_.layout));
  for (const v1::Encoding accepted :
       {v1::ENCODING_FLOAT32, v1::ENCODING_BFLOAT16, v1::ENCODING_FLOAT16, v1::ENCODING_INT8,
        v1::ENCODING_SPARSE, v1::ENCODING_ROWS}) {
    welcome.mutable_limits()->add_encodings(accepted);
  }
  welcome.set_parameter_encoding(encoding);
  welcome.set_parameter_count(parts_.layout->element_count());
  welcome.set_timeline(record.timeline()->number);
  welcome.set_run_uid(record.timeline()->run_uid);
  return welcome;
}

void Replies::SendParametersTo(const SessionPtr& session) {
  ++session->state().parameters_on_way;
  const Member* const member = parts_.sessions->MemberOf(session.get());
  session->state().held_back = member != nullptr && !MayGoOn(*member, Slowest());
  if (!session->state().held_back) SendPromised(session);
}

int64_t Replies::Slowest() const {
  const Membership& members = parts_.record->members();
  if (!parts_.record->policy().holds_back()) return members.slowest();
  const std::vector<std::string> idle = parts_.leases->Idle();
  if (idle.empty()) return members.slowest();
  int64_t slowest = std::numeric_limits<int64_t>::max();
  for (const auto& [worker, member] : members.live()) {
    const bool can_push = !std::binary_search(idle.begin(), idle.end(), worker);
    if (can_push) slowest = std::min(slowest, member->clock);
  }
  return slowest;
}

v1::WorkerState Replies::ShownState(const Member& member, int64_t slowest) const {
  const bool goes_on = member.state != v1::WORKER_STATE_COMPUTING || MayGoOn(member, slowest);
  return goes_on ? member.state : v1::WORKER_STATE_HELD_BACK;
}

void Replies::ReleaseHeldBack() {
  slowest_ = parts_.record->members().slowest();
  const auto waits = [](const WorkerSession& session) {
    return session.state().held_back || session.state().held;
  };
  const auto& all = parts_.sessions->all();
  if (std::none_of(all.begin(), all.end(), [&](const auto& entry) { return waits(*entry.second); }))
    return;
  const int64_t slowest = Slowest();
  for (const SessionPtr& session : parts_.sessions->List()) {
    const Member* const member = parts_.sessions->MemberOf(session.get());
    if (member == nullptr || !waits(*session) || !MayGoOn(*member, slowest)) continue;
    parts_.sessions->Retry(session.get());
    if (std::exchange(session->state().held_back, false)) SendPromised(session);
  }
}

void Replies::ReleaseAfterPushes() {
  const bool moved = parts_.record->members().slowest() != slowest_;
  if (moved && parts_.record->policy().holds_back()) ReleaseHeldBack();
}

void Replies::SendPromised(const SessionPtr& session) {
  session->state().parameters_step = parts_.engine->open_step();
  parts_.snapshots->Add(
      SnapshotContents::kTraining, [this, session](std::shared_ptr<const Snapshot> snapshot) {
        SessionSink* const sink = session->state().sink;
        if (sink == nullptr || snapshot == nullptr) return;
        session->RenewLease();
        session->state().parameters_due_at = parts_.clock->Elapsed();
        if (SendShared(session.get(), snapshot)) return;
        sink->SendParameters(std::move(snapshot), session->state().parameter_encoding);
      });
}

bool Replies::SendShared(WorkerSession* session, const std::shared_ptr<const Snapshot>& snapshot) {
  if (session->state().gradient == nullptr || !parts_.sessions->Has(session)) return false;
  v1::TrainResponse response;
  if (!SharedParameters::Describe(*snapshot, response.mutable_shared_parameters())) return false;
  // The worker may map them for as long as it likes: where a step needs all workers, it waits for
  // this one anyway.
  if (!parts_.record->policy().needs_all() && !parts_.engine->HasRoomForVersion()) return false;
  parts_.sessions->Map(session->state().worker, snapshot);
  --session->state().parameters_on_way;
  GRADD_DCHECK(session->state().parameters_on_way >= 0, session->state().worker);
  parts_.profile->Add(StepProfile::kSend, absl::ZeroDuration());
  session->state().sink->Send(std::move(response));
  parts_.sessions->EndIfHalfClosed(session);
  return true;
}

bool Replies::CanSendEarly(const PendingPush& pending) const {
  const WorkerSession* const session = pending.session.get();
  const Member* const member = parts_.sessions->MemberOf(session);
  return pending.want_parameters && member != nullptr &&
         parts_.record->policy().Releases(parts_.record->members().AheadWithNext(*member)) &&
         session->state().gradient == nullptr &&    // Otherwise it maps them all at once.
         parts_.engine->store().block_count() > 1;  // A single one travels as soon with the result.
}

void Replies::SendEarly(WorkerSession* session, std::shared_ptr<const Snapshot> next) {
  WorkerSession::State& state = session->state();
  ++state.parameters_on_way;
  state.parameters_step = parts_.engine->open_step();
  state.parameters_due_at = absl::InfiniteDuration();
  state.sink->SendParameters(std::move(next), state.parameter_encoding);
}

void Replies::ParametersSent(WorkerSession* session) {
  --session->state().parameters_on_way;
  GRADD_DCHECK(session->state().parameters_on_way >= 0, session->state().worker);
  // Negative, which counts as nothing, where the write of a step's last block is done before the
  // step is.
  parts_.profile->Add(StepProfile::kSend,
                      parts_.clock->Elapsed() - session->state().parameters_due_at);
  parts_.sessions->EndIfHalfClosed(session);
  parts_.sessions->Retry(session);
}

void Replies::Tell(Member* member, const SessionPtr& session, const v1::PushHeader& header,
                   v1::PushOutcome outcome, bool want_parameters, Told told) {
  if (!IsEvent(outcome)) outcomes_.Add(outcome);
  WorkerSession* const present =
      session == nullptr ? nullptr : parts_.sessions->Find(session->state().worker);
  if (present == nullptr) return;
  member->state = v1::WORKER_STATE_COMPUTING;
  const bool is_present = present == session.get();
  if (is_present && told != Told::kResult) {
    const bool follow = want_parameters && told == Told::kNothing;
    SendResult(present, header.sequence(), outcome, parts_.engine->step(), follow);
    if (follow) {
      SendParametersTo(session);
      // They may come much later, as those of a worker that is held back.
      if (SessionSink* const sink = session->state().sink; sink != nullptr) sink->Flush();
    }
  }
  // What was sent early could leave, all of it, when the step was made: now.
  if (is_present && told != Told::kNothing) {
    present->state().parameters_due_at = parts_.clock->Elapsed();
  }
  parts_.sessions->Retry(present);
  parts_.sessions->EndIfHalfClosed(present);
}

void Replies::SendResult(WorkerSession* session, int64_t sequence, v1::PushOutcome outcome,
                         int64_t step, bool parameters_follow) {
  v1::TrainResponse response;
  v1::PushResult& result = *response.mutable_push_result();
  result.set_sequence(sequence);
  result.set_outcome(outcome);
  result.set_step(step);
  result.set_parameters_follow(parameters_follow);
  const Member* const member = parts_.sessions->MemberOf(session);
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

void Replies::SendRejection(WorkerSession* session, int64_t sequence, const absl::Status& why) {
  v1::TrainResponse response;
  v1::PushResult& result = *response.mutable_push_result();
  result.set_sequence(sequence);
  result.set_outcome(v1::PUSH_OUTCOME_REJECTED);
  result.set_step(parts_.engine->step());
  result.set_reason(ReasonOf(why));
  result.set_message(absl::StrCat("push ", sequence, " from worker \"", session->state().worker,
                                  "\": ", why.message()));
  session->state().sink->Send(std::move(response));
}

}  // namespace gradd
