// A run's record, as it outlives the server.

#include <cmath>
#include <limits>
#include <optional>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/run/run_record.h"
#include "core/schedule/schedule.h"

namespace gradd {

void RunRecord::Write(state::v1::RunState* state) const {
  state->Clear();
  state->set_events(events_);
  *state->mutable_spec() = spec_;
  *state->mutable_create_time() = create_time_;
  state->set_request_id(request_id_);
  state->set_uid(timeline_->run_uid);
  state->set_timeline(timeline_->number);
  state->set_step(step_);
  state->set_state(state_);
  state->set_state_author(state_author_);
  state->set_state_reason(state_reason_);
  *state->mutable_state_time() = state_time_;
  members_.Write(state->mutable_members());
  blobs_.Write(state->mutable_members());
  window_.Write(state->mutable_window());
  losses_.Write(state->mutable_losses());
  plateau_.Write(state->mutable_plateau());
  outcomes_.Write(state->mutable_outcomes());
  state->set_skipped_in_a_row(skipped_in_a_row_);
  state->set_guard_rollbacks(guard_rollbacks_);
  if (guarded_since_.has_value()) state->set_guarded_since_step(*guarded_since_);
  state->set_awaits_rollback(awaits_rollback_);
  if (quorum_lag_seconds_.has_value()) state->set_quorum_lag_seconds(*quorum_lag_seconds_);
  if (evaluation_.has_value()) *state->mutable_evaluation() = *evaluation_;
  evaluations_.Write(state->mutable_evaluations());
  history_.Write(state->mutable_history());
  past_.Write(state->mutable_past());
  *state->mutable_restores() = {restores_.begin(), restores_.end()};
  if (batches_.has_value()) batches_->Write(state->mutable_data());
}

absl::Status RunRecord::Read(const state::v1::RunState& state, absl::Duration now) {
  // Numbers of steps are exact in clients that count in double precision.
  constexpr int64_t kMostSteps = int64_t{1} << 53;
  if (state.step() >= kMostSteps) {
    return InvalidArgument("STATE_INVALID", absl::StrCat("run: ", state.step(), " steps, below ",
                                                         kMostSteps, " expected"));
  }
  if (state.guard_rollbacks() < 0) {
    return InvalidArgument("STATE_INVALID", absl::StrCat("run: ", state.guard_rollbacks(),
                                                         " rollbacks, at least 0 expected"));
  }
  if (state.events() < 1 || state.step() < 0 || state.skipped_in_a_row() < 0) {
    return InvalidArgument(
        "STATE_INVALID",
        absl::StrCat("run: ", state.events(), " events, ", state.step(), " steps and ",
                     state.skipped_in_a_row(), " skipped pushes, at least 1, 0 and 0 expected"));
  }
  if (state.uid().empty() || state.timeline() < 1) {
    return InvalidArgument("STATE_INVALID",
                           absl::StrCat("run: its uid is \"", state.uid(), "\" and its timeline ",
                                        state.timeline(), ", a uid and at least 1 expected"));
  }
  if (state.state() != v1::RUN_STATE_RUNNING && state.state() != v1::RUN_STATE_PAUSED &&
      state.state() != v1::RUN_STATE_FINISHED) {
    return InvalidArgument("STATE_INVALID",
                           absl::StrCat("run: its state is ", static_cast<int>(state.state()),
                                        ", RUNNING, PAUSED or FINISHED expected"));
  }
  if (!std::isfinite(state.quorum_lag_seconds()) || state.quorum_lag_seconds() < 0) {
    return InvalidArgument("STATE_INVALID",
                           absl::StrCat("run: its quorum lag is ", state.quorum_lag_seconds(),
                                        " s, a finite number that is at least 0 expected"));
  }
  GRADD_RETURN_IF_ERROR(ValidateSchedule(state.spec().schedule()));
  GRADD_RETURN_IF_ERROR(ValidatePolicy(state.spec().policy(), std::numeric_limits<int64_t>::max()));
  GRADD_RETURN_IF_ERROR(members_.Read(state.members(), now));
  GRADD_RETURN_IF_ERROR(blobs_.Read(state.members()));
  GRADD_RETURN_IF_ERROR(window_.Read(state.window()));
  GRADD_RETURN_IF_ERROR(losses_.Read(state.losses()));
  GRADD_RETURN_IF_ERROR(outcomes_.Read(state.outcomes()));
  GRADD_RETURN_IF_ERROR(past_.Read(state.past()));
  batches_.reset();
  if (state.spec().has_data()) {
    GRADD_RETURN_IF_ERROR(ValidateDataSet(state.spec().data()));
    GRADD_RETURN_IF_ERROR(batches_.emplace(state.spec().data()).Read(state.data()));
  }
  events_ = state.events();
  deleted_ = false;
  spec_ = state.spec();
  spec_.clear_layout();
  create_time_ = state.create_time();
  request_id_ = state.request_id();
  timeline_ = std::make_shared<const Timeline>(Timeline{state.uid(), state.timeline()});
  step_ = state.step();
  state_ = state.state();
  state_author_ = state.state_author();
  state_reason_ = state.state_reason();
  state_time_ = state.state_time();
  skipped_in_a_row_ = state.skipped_in_a_row();
  guard_rollbacks_ = state.guard_rollbacks();
  guarded_since_.reset();
  if (state.has_guarded_since_step()) guarded_since_ = state.guarded_since_step();
  // Whatever is in the file: what it waits for has to be known.
  awaits_rollback_ =
      state.awaits_rollback() && guarded_since_.has_value() && state_ == v1::RUN_STATE_PAUSED;
  quorum_lag_seconds_ =
      state.has_quorum_lag_seconds() ? std::optional(state.quorum_lag_seconds()) : std::nullopt;
  evaluation_ = state.has_evaluation() ? std::optional(state.evaluation()) : std::nullopt;
  evaluations_ = EvaluationHistory();
  if (state.has_evaluations()) GRADD_RETURN_IF_ERROR(evaluations_.Read(state.evaluations()));
  history_.Read(state.history());
  restores_.assign(state.restores().begin(), state.restores().end());
  ConfigureParts();
  return plateau_.Read(state.plateau());
}

}  // namespace gradd
