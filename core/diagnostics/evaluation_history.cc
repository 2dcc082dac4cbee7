#include "core/diagnostics/evaluation_history.h"

#include <cmath>
#include <deque>
#include <limits>
#include <utility>

#include "core/diagnostics/history_columns.h"

namespace gradd {
namespace {

void Append(const EvaluationPoint& point, v1::EvaluationPoints* points) {
  points->add_timelines(point.timeline);
  points->add_steps(point.step);
  points->add_times(point.time);
  points->add_losses(point.loss);
  points->add_accuracies(point.accuracy.value_or(std::numeric_limits<double>::quiet_NaN()));
}

EvaluationPoint PointAt(const v1::EvaluationPoints& points, int i) {
  EvaluationPoint point = {points.timelines(i), points.steps(i), points.times(i), points.losses(i),
                           std::nullopt};
  if (!std::isnan(points.accuracies(i))) point.accuracy = points.accuracies(i);
  return point;
}

}  // namespace

void EvaluationHistory::Add(const EvaluationPoint& point) {
  if (!points_.empty()) {
    const EvaluationPoint& newest = points_.newest();
    if (newest.timeline == point.timeline && newest.step == point.step &&
        newest.loss == point.loss && newest.accuracy == point.accuracy) {
      return;
    }
  }
  points_.Add(point);
}

void EvaluationHistory::Fill(const HistorySelection& selection, v1::History* history) const {
  history->set_evaluations_per_point(points_.Select(
      selection.most, [&](const EvaluationPoint& point) { return selection.Contains(point); },
      [&](const EvaluationPoint& point) { Append(point, history->mutable_evaluations()); }));
}

void EvaluationHistory::Write(state::v1::EvaluationHistoryState* state) const {
  state->set_added(points_.added());
  state->set_stride(points_.stride());
  for (const EvaluationPoint& point : points_.points()) Append(point, state->mutable_points());
}

absl::Status EvaluationHistory::Read(const state::v1::EvaluationHistoryState& state) {
  const v1::EvaluationPoints& written = state.points();
  GRADD_RETURN_IF_ERROR(
      CheckColumns("evaluations.points", {{"timelines", written.timelines_size()},
                                          {"steps", written.steps_size()},
                                          {"times", written.times_size()},
                                          {"losses", written.losses_size()},
                                          {"accuracies", written.accuracies_size()}}));
  std::deque<EvaluationPoint> points;
  for (int i = 0; i < written.steps_size(); ++i) points.push_back(PointAt(written, i));
  GRADD_RETURN_IF_ERROR(CheckOrder("evaluations.points", points));
  return points_.Read("evaluations", state.added(), state.stride(), std::move(points));
}

}  // namespace gradd
