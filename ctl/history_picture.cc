#include "ctl/history_picture.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ctl/chart.h"
#include "ctl/svg_plot.h"

namespace gradd::ctl {
namespace {

constexpr int kRows = 20;
constexpr int kColumns = 80;

using Steps = google::protobuf::RepeatedField<int64_t>;
using Values = google::protobuf::RepeatedField<double>;

std::vector<std::pair<double, double>> PointsOf(const Steps& steps, const Values& values) {
  std::vector<std::pair<double, double>> points;
  points.reserve(static_cast<size_t>(steps.size()));
  for (int i = 0; i < steps.size(); ++i) {
    points.emplace_back(static_cast<double>(steps[i]), values[i]);
  }
  return points;
}

bool AllPositive(const Values& values) {
  return std::all_of(values.begin(), values.end(),
                     [](double value) { return value > 0 || !std::isfinite(value); });
}

// Whether all losses are; those that are not finite are not seen anyway.
bool LossesArePositive(const std::vector<NamedHistory>& runs) {
  return std::all_of(runs.begin(), runs.end(), [](const NamedHistory& run) {
    return AllPositive(run.history.steps().losses()) &&
           AllPositive(run.history.steps().smoothed_losses()) &&
           AllPositive(run.history.evaluations().losses());
  });
}

}  // namespace

std::string HistorySvg(const std::vector<NamedHistory>& runs) {
  SvgPlot loss;
  loss.title = "Loss: smoothed, of each step (pale) and evaluated (dots)";
  loss.x_label = "step";
  loss.y_label = "loss";
  loss.log_y = LossesArePositive(runs);
  SvgPlot rate;
  rate.title = "Learning rate";
  rate.x_label = "step";
  rate.y_label = "rate";
  std::vector<SvgLegend> legends;
  for (size_t i = 0; i < runs.size(); ++i) {
    const std::string colour = CurveColour(i);
    const v1::StepPoints& steps = runs[i].history.steps();
    const v1::EvaluationPoints& evaluations = runs[i].history.evaluations();
    SvgPlot::Line line;
    line.colour = colour;
    line.points = PointsOf(steps.steps(), steps.smoothed_losses());
    loss.lines.push_back(line);
    line.points = PointsOf(steps.steps(), steps.losses());
    line.pale = true;
    loss.lines.push_back(line);
    line.points = PointsOf(evaluations.steps(), evaluations.losses());
    line.pale = false;
    line.dots = true;
    loss.lines.push_back(line);
    line.dots = false;
    line.points = PointsOf(steps.steps(), steps.learning_rates());
    rate.lines.push_back(std::move(line));
    legends.push_back({colour, runs[i].run});
  }
  const std::string title =
      runs.size() == 1 ? runs[0].run : absl::StrCat("History of ", runs.size(), " runs");
  return DrawSvg(title, {loss, rate}, legends);
}

std::string HistoryInTerminal(const std::vector<NamedHistory>& runs, int width) {
  Chart chart;
  chart.x_label = "step";
  chart.y_label = "smoothed loss";
  chart.log_y = LossesArePositive(runs);
  for (const NamedHistory& run : runs) {
    const v1::StepPoints& steps = run.history.steps();
    chart.curves.push_back({run.run, PointsOf(steps.steps(), steps.smoothed_losses())});
  }
  std::string text = DrawInTerminal(chart, width == 0 ? kColumns : width, kRows);
  for (size_t i = 0; i < runs.size() && runs.size() > 1; ++i) {
    absl::StrAppend(&text, "  ", std::string(1, CurveSymbol(i)), " ", runs[i].run, "\n");
  }
  return text;
}

}  // namespace gradd::ctl
