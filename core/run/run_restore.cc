#include "core/run/run_restore.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/base/utf8.h"
#include "core/run/changed_plan.h"
#include "core/run/restored_state.h"
#include "core/run/run.h"
#include "core/run/run_spec.h"
#include "core/step/window.h"

namespace gradd {

absl::Status RunRestore::BesideThePresent(const absl::Status& status) {
  if (status.code() != absl::StatusCode::kResourceExhausted) return status;
  return Error(status.code(), ReasonOf(status),
               absl::StrCat(status.message(),
                            "; while a run goes back, what it has now and what it had then are "
                            "there at the same time"));
}

absl::Status RunRestore::CheckAnswered(const v1::RestoreRunRequest& request,
                                       const v1::RestoreRunResponse& answered) {
  const bool same_timeline =
      request.timeline() == 0 || request.timeline() == answered.checkpoint_timeline();
  if (request.step() == answered.step() && same_timeline) return absl::OkStatus();
  return InvalidArgument(
      "REQUEST_ID_USED",
      absl::StrCat("request_id: ", Quoted(request.request_id()), " was used to go back to step ",
                   answered.step(), " of timeline ", answered.checkpoint_timeline(),
                   ", and this is for step ", request.step(), "; a new id expected"));
}

absl::Status RunRestore::Accept(UpdateRequest request) {
  RestoreRequest& restore = *request.restore;
  v1::Run before;
  int64_t cuts = 0;
  {
    MutexLock lock(&run_.mutex_);
    if (run_.record_.deleted()) return run_.DeletedError();
    if (const auto* const answered = run_.record_.FindRestore(restore.request_id)) {
      restore.answer = *answered;
      restore.answered_before = true;
      return Error(absl::StatusCode::kAlreadyExists, "RESTORE_ANSWERED", "it was answered before");
    }
    before = run_.record_.spec();
    GRADD_RETURN_IF_ERROR(CheckGuard(restore));
    if (restore.guard.has_value()) {
      cuts = run_.record_.guard_rollbacks() + 1 - restore.capture->state.guard_rollbacks();
    }
  }
  const RunCapture& capture = *restore.capture;
  restore.state = capture.state;
  restore.state.mutable_spec()->clear_layout();
  const v1::Run updated = RestoredSpec(before, restore.state.spec(), cuts);
  // Whatever is in the file: what no record can be is found out before anything changes.
  RunRecord record;
  GRADD_RETURN_IF_ERROR(record.Read(restore.state, absl::ZeroDuration()));
  WindowFacts window;
  GRADD_RETURN_IF_ERROR(window.Read(restore.state.window()));
  ProgressTracker progress;
  GRADD_RETURN_IF_ERROR(progress.Read(restore.state.last_step(), record.losses().summary()));
  auto plan = MakeChangedPlan(run_.run_id_, before, updated, run_.layout_, *run_.memory_.store,
                              run_.environment_);
  GRADD_RETURN_IF_ERROR(BesideThePresent(plan.status()));
  std::shared_ptr<const StepPolicy> policy = MakeStepPolicy(updated.policy());
  auto replacement =
      run_.engine_.MakeReplacement(*std::move(plan), capture.vectors, window,
                                   WindowOf(updated.optimizer()) > 1, policy->kept_steps());
  GRADD_RETURN_IF_ERROR(BesideThePresent(replacement.status()));
  restore.replacement = *std::move(replacement);
  restore.capture.reset();
  if (restore.replacement->snapshot->step != restore.state.step()) {
    return InvalidArgument(
        "STATE_INVALID",
        absl::StrCat("run \"", run_.run_id_, "\": its state is of step ", restore.state.step(),
                     ", and its vectors of ", restore.replacement->snapshot->step));
  }
  MutexLock lock(&run_.mutex_);
  if (run_.record_.deleted()) return run_.DeletedError();
  if (run_.draining_) return StoppingError();
  GRADD_RETURN_IF_ERROR(run_.log_->failure());
  if (run_.course_.held()) {
    return Error(absl::StatusCode::kFailedPrecondition, "RUN_HELD",
                 absl::StrCat("run \"", run_.run_id_,
                              "\" is held by its trials; it can go back when they are over"));
  }
  int64_t blob_bytes = 0;
  for (const state::v1::WorkerBlobState& blob : restore.state.members().blobs()) {
    blob_bytes += static_cast<int64_t>(blob.data().size());
  }
  GRADD_RETURN_IF_ERROR(BesideThePresent(run_.blob_room_.Claim(blob_bytes)));
  const int64_t live = run_.record_.members().live_count();
  GRADD_RETURN_IF_ERROR(BesideThePresent(run_.AssureStep(*policy, live)));
  if (absl::Status reserved = run_.engine_.ReserveReplacement(*restore.replacement);
      !reserved.ok()) {
    run_.AssureStep(run_.record_.policy(), live).IgnoreError();
    return BesideThePresent(reserved);
  }
  run_.updates_.Accept({std::move(request), updated, std::move(policy), /*begins_anew=*/false});
  run_.CompleteUpdate();
  return absl::OkStatus();
}

absl::Status RunRestore::CheckGuard(const RestoreRequest& restore) const {
  if (!restore.guard.has_value()) return absl::OkStatus();
  run_.mutex_.AssertHeld();
  const bool waits = run_.record_.awaits_rollback() &&
                     run_.record_.guarded_since() == restore.guard->bad_since_step &&
                     run_.record_.timeline()->number == restore.guard->timeline;
  return waits ? absl::OkStatus()
               : absl::AbortedError("somebody has let it go on, or taken it back, meanwhile");
}

absl::Status RunRestore::Enter(const UpdateRequest& request) {
  run_.mutex_.AssertHeld();
  RestoreRequest& restore = *request.restore;
  GRADD_RETURN_IF_ERROR(CheckGuard(restore));
  auto replaced = run_.engine_.Replace(std::move(restore.replacement));
  GRADD_RETURN_IF_ERROR(replaced.status());
  RunRecord& record = run_.record_;
  const absl::Duration now = run_.Now();
  state::v1::RunState present;
  record.Write(&present);
  const PushOutcomeCounts outcomes = record.outcomes().counts();
  RestoredState restored =
      RestoreState(present, restore.state, request.author, restore.request_id,
                   restore.guard.has_value(), run_.environment_.clock->WallTime());
  restore.answer = std::move(restored.answer);
  state::v1::RunRestored event;
  event.set_number(restored.state.timeline());
  event.set_author(request.author);
  event.set_timeline(restore.state.timeline());
  event.set_step(restore.state.step());
  *event.mutable_state() = std::move(restored.state);
  run_.events_.Restore(std::move(event));
  run_.blob_room_.Claim(0).IgnoreError();  // As much was claimed before, or more.
  RunSigns& signs = run_.signs_;
  signs.undone_steps += std::max<int64_t>(present.step() - record.step(), 0);
  signs.undone_examples +=
      std::max<int64_t>(present.losses().examples() - record.losses().summary().examples, 0);
  for (size_t i = 0; i < outcomes.size(); ++i) {
    signs.undone_outcomes[i] += std::max<int64_t>(outcomes[i] - record.outcomes().counts()[i], 0);
  }

  // Who is connected stays so.
  record.members().GoOn(now);
  for (const auto& [worker, session] : run_.sessions_.all()) {
    if (Member* const member = record.members().Find(worker); member != nullptr) {
      member->state = v1::WORKER_STATE_COMPUTING;
    }
    WorkerSession::State& state = session->state();
    state.parameters_step = std::min(state.parameters_step, record.step());
    // What waits for room is retried, and claims it anew.
    if (state.held) state.claim.reset();
  }
  run_.progress_.GoBack(restore.state.last_step(), record.losses().summary()).IgnoreError();
  run_.progress_.pace().Interrupt();
  run_.waiting_.SetSince(now);
  run_.waiting_.lag().StepMade(record.step() - 1, std::nullopt);
  run_.signs_.non_finite_pushes = 0;
  // There was room for the larger one of the two policies.
  run_.AssureStep(record.policy(), record.members().live_count()).IgnoreError();
  if (record.state() != v1::RUN_STATE_FINISHED) run_.course_.SetOver(false);
  run_.NoteMoving();
  run_.TellOfTimeline(request.author);
  if (record.state() != present.state() && record.state() != v1::RUN_STATE_FINISHED) {
    const bool is_paused = record.state() == v1::RUN_STATE_PAUSED;
    run_.sessions_.Broadcast(is_paused ? v1::RUN_EVENT_KIND_PAUSED : v1::RUN_EVENT_KIND_RESUMED,
                             record.step());
  }
  run_.replies_.ReleaseHeldBack();
  run_.pool_->Schedule([self = run_.shared_from_this(), kept = *std::move(replaced)]() mutable {
    kept.reset();
    self->engine_.OwnBlocks();
    bool fills = false;
    {
      MutexLock lock(&self->mutex_);
      self->engine_.EndReplacement();
      self->ChangePlan();
      fills = self->engine_.changes();
      self->Settle();
    }
    if (fills) return self->FillChanges();
    self->Advance();
    self->FreeIfDeleted();
  });
  return absl::OkStatus();
}

}  // namespace gradd
