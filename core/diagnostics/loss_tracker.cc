#include "core/diagnostics/loss_tracker.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"

namespace gradd {

void LossTracker::AddStep(double loss, int64_t examples, int64_t staleness) {
  ++summary_.steps;
  summary_.examples += examples;
  summary_.loss = loss;
  summary_.staleness = staleness;
  mean_.Add(loss);
  summary_.smoothed = mean_.value();
  const std::optional<double> block = divergence_.Add(summary_.steps, loss);
  // Where a loss is almost infinite, the mean of a block may be.
  if (block.has_value() && std::isfinite(*block)) phase_.AddBlock(*block);
  summary_.phase = PhaseNow();
  if (summary_.steps == 1 || !(summary_.smoothed >= summary_.best_smoothed)) {
    summary_.best_smoothed = summary_.smoothed;
    summary_.best_step = summary_.steps;
  }
}

void LossTracker::Write(state::v1::LossState* state) const {
  state->set_steps(summary_.steps);
  state->set_examples(summary_.examples);
  state->set_loss(summary_.loss);
  state->set_staleness(summary_.staleness);
  mean_.Write(state->mutable_mean());
  state->set_best_loss(summary_.best_smoothed);
  state->set_best_step(summary_.best_step);
  divergence_.Write(state->mutable_divergence());
  phase_.Write(state->mutable_phase());
}

absl::Status LossTracker::Read(const state::v1::LossState& state) {
  for (const auto& [field, count] : {std::pair<const char*, int64_t>{"steps", state.steps()},
                                     {"examples", state.examples()},
                                     {"staleness", state.staleness()}}) {
    if (count < 0) {
      return InvalidArgument("STATE_INVALID",
                             absl::StrCat("losses.", field, ": ", count, " is negative"));
    }
  }
  if (state.best_step() < 0 || state.best_step() > state.steps()) {
    return InvalidArgument("STATE_INVALID", absl::StrCat("losses.best_step: ", state.best_step(),
                                                         " is outside [0, ", state.steps(), "]"));
  }
  GRADD_RETURN_IF_ERROR(mean_.Read(state.mean()));
  GRADD_RETURN_IF_ERROR(divergence_.Read(state.divergence()));
  GRADD_RETURN_IF_ERROR(phase_.Read(state.phase()));
  summary_ = {state.steps(), state.examples(),  state.loss(),      state.staleness(),
              mean_.value(), state.best_loss(), state.best_step(), PhaseNow()};
  return absl::OkStatus();
}

}  // namespace gradd
