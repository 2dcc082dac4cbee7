// How a run is changed by people.

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/duration.h"
#include "core/base/error.h"
#include "core/run/changed_plan.h"
#include "core/run/changed_schedule.h"
#include "core/run/changed_spec.h"
#include "core/run/run.h"
#include "core/run/run_restore.h"
#include "core/run/run_spec.h"

namespace gradd {

void Run::Update(UpdateRequest request) {
  absl::Status possible = CheckChangeable();
  if (possible.ok() && request.restore == nullptr) possible = CheckUpdateMask(request.mask);
  if (!possible.ok()) return request.receive(possible);
  UpdateQueue::Turn turn;
  {
    MutexLock lock(&mutex_);
    turn = updates_.Begin(&request);
  }
  if (turn == UpdateQueue::Turn::kLater) return;
  if (turn == UpdateQueue::Turn::kNow) return WorkOn(std::move(request));
  request.receive(Error(absl::StatusCode::kResourceExhausted, "TOO_MANY_UPDATES",
                        absl::StrCat("run ", run_id_, ": ", UpdateQueue::kMostWaiting,
                                     " changes wait for the one that is made, as many as may")));
}

std::optional<UpdateRequest> Run::NextUpdate() {
  MutexLock lock(&mutex_);
  return updates_.Next();
}

void Run::WorkOn(UpdateRequest request) {
  for (std::optional<UpdateRequest> next = std::move(request); next.has_value();
       next = NextUpdate()) {
    const UpdateReceiver receive = next->receive;
    const absl::StatusOr<bool> fills = Accept(*std::move(next));
    if (fills.ok()) {
      // CompleteUpdate() goes on with those that wait.
      return *fills ? FillChanges() : Advance();
    }
    receive(fills.status());
  }
}

absl::StatusOr<bool> Run::Accept(UpdateRequest request) {
  if (request.restore != nullptr) {
    GRADD_RETURN_IF_ERROR(RunRestore(this).Accept(std::move(request)));
    return false;
  }
  v1::Run before;
  {
    MutexLock lock(&mutex_);
    if (record_.deleted()) return DeletedError();
    before = record_.spec();  // Nobody else changes it as long as this change is worked on.
  }
  // A plan takes time to make where there are many tensors: without the lock.
  auto changed = ChangeSpec(before, request.mask, request.values);
  GRADD_RETURN_IF_ERROR(changed.status());
  v1::Run updated = std::move(changed->spec);
  auto plan = MakeChangedPlan(run_id_, before, updated, layout_, *memory_.store, environment_);
  GRADD_RETURN_IF_ERROR(plan.status());
  std::shared_ptr<const StepPolicy> policy = MakeStepPolicy(updated.policy());
  MutexLock lock(&mutex_);
  if (record_.deleted()) return DeletedError();
  if (updated.max_steps() != 0 && updated.max_steps() < engine_.open_step()) {
    return Error(absl::StatusCode::kInvalidArgument, "OUT_OF_RANGE",
                 absl::StrCat("max_steps: ", updated.max_steps(), " is below the present step ",
                              engine_.open_step()));
  }
  GRADD_RETURN_IF_ERROR(CheckBegin(updated.schedule(), engine_.open_step()));
  const int64_t live = record_.members().live_count();
  GRADD_RETURN_IF_ERROR(AssureStep(*policy, live));
  const bool keeps_window = WindowOf(updated.optimizer()) > 1;
  if (absl::Status reserved = engine_.Reserve(*std::move(plan), keeps_window, policy->kept_steps());
      !reserved.ok()) {
    AssureStep(record_.policy(), live).IgnoreError();
    return reserved;
  }
  updates_.Accept(
      {std::move(request), std::move(updated), std::move(policy), changed->begins_anew});
  ChangePlan();
  CompleteUpdate();
  return engine_.changes();
}

void Run::CompleteUpdate() {
  if (!engine_.settled() || (engine_.has_next_plan() && !record_.deleted())) return;
  const std::optional<UpdateQueue::Accepted> update = updates_.TakeAccepted();
  if (!update.has_value()) return;
  absl::StatusOr<v1::Run> answer = DeletedError();
  if (!record_.deleted()) {
    absl::Status entered;
    if (update->request.restore != nullptr) {
      entered = RunRestore(this).Enter(update->request);
    } else {
      EnterChange(*update);
    }
    FinishIfDone();
    answer = DescribeNow(Detail::kFull);
    if (!entered.ok()) answer = entered;
  }
  pool_->Schedule([self = shared_from_this(), receive = update->request.receive,
                   answer = std::move(answer)]() mutable {
    if (answer.ok()) *answer->mutable_layout() = self->layout_.message();
    receive(answer);
    std::optional<UpdateRequest> next = self->NextUpdate();
    if (next.has_value()) self->WorkOn(*std::move(next));
  });
}

void Run::EnterChange(const UpdateQueue::Accepted& update) {
  state::v1::SpecChange change;
  *change.mutable_spec() = update.updated;
  if (update.begins_anew && update.updated.schedule().begins_at() != engine_.step()) {
    change.mutable_spec()->mutable_schedule()->set_begins_at(engine_.step());
  }
  *change.mutable_mask() = update.request.mask;
  change.set_author(update.request.author);
  events_.ChangeSpec(std::move(change));
  // There was room for the larger one of the two policies.
  AssureStep(record_.policy(), record_.members().live_count()).IgnoreError();
  SupersedeOldPushes();
  replies_.ReleaseHeldBack();
  if (record_.state() == v1::RUN_STATE_RUNNING && course_.over()) {
    course_.SetOver(false);
    NoteMoving();
    sessions_.Broadcast(v1::RUN_EVENT_KIND_RESUMED, engine_.step());
  }
}

absl::Status Run::CheckChangeable() const {
  if (!is_trial()) return absl::OkStatus();
  return Error(absl::StatusCode::kFailedPrecondition, "RUN_IS_TRIAL",
               absl::StrCat("run \"", run_id_, "\" is one of the trials of ", trial_of_,
                            "; it can only be watched, and ends with them"));
}

absl::Status Run::Pause(const std::string& author) {
  GRADD_RETURN_IF_ERROR(CheckChangeable());
  MutexLock lock(&mutex_);
  if (record_.deleted()) return DeletedError();
  if (record_.state() == v1::RUN_STATE_FINISHED) return FinishedError();
  if (record_.state() == v1::RUN_STATE_PAUSED) return absl::OkStatus();
  EnterState(v1::RUN_STATE_PAUSED, author);
  sessions_.Broadcast(v1::RUN_EVENT_KIND_PAUSED, engine_.step());
  return absl::OkStatus();
}

absl::Status Run::Resume(const std::string& author) {
  GRADD_RETURN_IF_ERROR(CheckChangeable());
  {
    MutexLock lock(&mutex_);
    if (record_.deleted()) return DeletedError();
    if (record_.state() == v1::RUN_STATE_FINISHED) return FinishedError();
    if (record_.state() == v1::RUN_STATE_RUNNING) return absl::OkStatus();
    EnterState(v1::RUN_STATE_RUNNING, author);
    sessions_.Broadcast(v1::RUN_EVENT_KIND_RESUMED, engine_.step());
  }
  Advance();
  return absl::OkStatus();
}

absl::Status Run::Finish(const std::string& author, const std::string& reason) {
  GRADD_RETURN_IF_ERROR(CheckChangeable());
  MutexLock lock(&mutex_);
  if (record_.deleted()) return DeletedError();
  // Also where its last step is on its way.
  if (record_.state() == v1::RUN_STATE_FINISHED) return absl::OkStatus();
  EnterState(v1::RUN_STATE_FINISHED, author, reason);
  FinishIfDone();
  return absl::OkStatus();
}

absl::Status Run::ReportEvaluation(const v1::Evaluation& evaluation) {
  const auto invalid = [](absl::string_view message) {
    return Error(absl::StatusCode::kInvalidArgument, "EVALUATION_INVALID", message);
  };
  if (!std::isfinite(evaluation.loss())) {
    return invalid(absl::StrCat("evaluation.loss: ", evaluation.loss(), " is not finite"));
  }
  if (evaluation.has_accuracy() && !(evaluation.accuracy() >= 0 && evaluation.accuracy() <= 1)) {
    return invalid(
        absl::StrCat("evaluation.accuracy: ", evaluation.accuracy(), " is outside [0, 1]"));
  }
  if (evaluation.examples() < 1) {
    return invalid(
        absl::StrCat("evaluation.examples: ", evaluation.examples(), ", at least 1 expected"));
  }
  MutexLock lock(&mutex_);
  if (record_.deleted()) return DeletedError();
  // A worker may have the parameters of the step that is on its way.
  if (evaluation.step() < 0 || evaluation.step() > engine_.open_step()) {
    return invalid(absl::StrCat("evaluation.step: ", evaluation.step(), " is outside [0, ",
                                engine_.open_step(), "], the steps so far"));
  }
  const std::optional<v1::Evaluation>& newest = record_.evaluation();
  if (newest.has_value() && evaluation.step() < newest->step()) return absl::OkStatus();
  events_.Evaluate(evaluation);
  return absl::OkStatus();
}

}  // namespace gradd
