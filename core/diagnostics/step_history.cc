#include "core/diagnostics/step_history.h"

#include <deque>
#include <utility>

#include "core/diagnostics/history_columns.h"

namespace gradd {
namespace {

void Append(const StepPoint& point, v1::StepPoints* points) {
  points->add_timelines(point.timeline);
  points->add_steps(point.step);
  points->add_times(point.time);
  points->add_losses(point.loss);
  points->add_smoothed_losses(point.smoothed_loss);
  points->add_learning_rates(point.learning_rate);
  points->add_gradient_norms(point.gradient_norm);
  points->add_update_norms(point.update_norm);
  points->add_parameter_norms(point.parameter_norm);
  points->add_examples_per_second(point.examples_per_second);
  points->add_phases(point.phase);
}

StepPoint PointAt(const v1::StepPoints& points, int i) {
  return {points.timelines(i),
          points.steps(i),
          points.times(i),
          points.losses(i),
          points.smoothed_losses(i),
          points.learning_rates(i),
          points.gradient_norms(i),
          points.update_norms(i),
          points.parameter_norms(i),
          points.examples_per_second(i),
          points.phases_size() == 0 ? v1::PHASE_UNSPECIFIED : points.phases(i)};
}

}  // namespace

void StepHistory::Fill(const HistorySelection& selection, v1::History* history) const {
  history->set_steps_per_point(points_.Select(
      selection.most, [&](const StepPoint& point) { return selection.Contains(point); },
      [&](const StepPoint& point) { Append(point, history->mutable_steps()); }));
}

void StepHistory::Write(state::v1::StepHistoryState* state) const {
  state->set_added(points_.added());
  state->set_stride(points_.stride());
  for (const StepPoint& point : points_.points()) Append(point, state->mutable_points());
}

absl::Status StepHistory::Read(const state::v1::StepHistoryState& state) {
  const v1::StepPoints& written = state.points();
  GRADD_RETURN_IF_ERROR(CheckColumns(
      "step_history.points", {{"timelines", written.timelines_size()},
                              {"steps", written.steps_size()},
                              {"times", written.times_size()},
                              {"losses", written.losses_size()},
                              {"smoothed_losses", written.smoothed_losses_size()},
                              {"learning_rates", written.learning_rates_size()},
                              {"gradient_norms", written.gradient_norms_size()},
                              {"update_norms", written.update_norms_size()},
                              {"parameter_norms", written.parameter_norms_size()},
                              {"examples_per_second", written.examples_per_second_size()}}));
  // Files of servers without it have none.
  if (written.phases_size() != 0) {
    GRADD_RETURN_IF_ERROR(CheckColumns("step_history.points", {{"steps", written.steps_size()},
                                                               {"phases", written.phases_size()}}));
  }
  std::deque<StepPoint> points;
  for (int i = 0; i < written.steps_size(); ++i) points.push_back(PointAt(written, i));
  GRADD_RETURN_IF_ERROR(CheckOrder("step_history.points", points));
  return points_.Read("step_history", state.added(), state.stride(), std::move(points));
}

}  // namespace gradd
