#include "ctl/lr_find.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/duration.h"
#include "core/base/error.h"
#include "core/optim/own_rate.h"
#include "ctl/chart.h"
#include "ctl/fields.h"
#include "ctl/outputs.h"
#include "ctl/run_name.h"
#include "ctl/status.h"
#include "ctl/status_line.h"
#include "ctl/sweep.h"
#include "ctl/trials.h"
#include "nlohmann/json.hpp"

namespace gradd::ctl {
namespace {

constexpr int kChartRows = 16;
constexpr int kUsualWidth = 80;

Chart CurveOf(const std::string& run, const std::vector<SweepPoint>& points,
              const absl::StatusOr<RateSuggestion>& suggestion) {
  Chart chart;
  chart.title = absl::StrCat("Loss against the learning rate, ", run);
  chart.x_label = "learning rate";
  chart.y_label = "loss";
  chart.log_x = true;
  Chart::Curve raw = {"mini-batches", {}, /*pale=*/true};
  Chart::Curve smoothed = {"smoothed", {}, false};
  for (const SweepPoint& point : points) {
    raw.points.emplace_back(point.rate, point.loss);
    smoothed.points.emplace_back(point.rate, point.smoothed_loss);
  }
  // What lies far above the begin only says that training diverged.
  if (!points.empty()) chart.y_limit = 1.5 * points.front().smoothed_loss;
  chart.curves = {std::move(raw), std::move(smoothed)};
  if (suggestion.ok()) {
    chart.mark = {suggestion->rate, absl::StrFormat("suggested: %.2g", suggestion->rate)};
  }
  return chart;
}

std::string Csv(const std::vector<SweepPoint>& points) {
  std::string text = "learning_rate,loss,smoothed_loss\n";
  for (const SweepPoint& point : points) {
    absl::StrAppendFormat(&text, "%.9g,%.9g,%.9g\n", point.rate, point.loss, point.smoothed_loss);
  }
  return text;
}

std::string Json(const std::string& run, const std::vector<SweepPoint>& points,
                 const RateSuggestion& suggestion) {
  nlohmann::ordered_json json = {{"run", RunName(run)},
                                 {"learning_rate", suggestion.rate},
                                 {"is_guess", suggestion.is_guess},
                                 {"reason", suggestion.reason},
                                 {"points", nlohmann::ordered_json::array()}};
  for (const SweepPoint& point : points) {
    json["points"].push_back({{"learning_rate", point.rate},
                              {"loss", point.loss},
                              {"smoothed_loss", point.smoothed_loss}});
  }
  return json.dump() + "\n";
}

// The rate to train with where the run's methods, those of its groups included, find their step
// sizes themselves.
std::optional<double> OwnRateOf(const v1::Run& run) {
  for (const v1::ParameterGroup& group : run.groups()) {
    if (group.has_optimizer() && !OwnRate(group.optimizer().kind_case()).has_value()) {
      return std::nullopt;
    }
  }
  return OwnRate(run.optimizer().kind_case());
}

// What a sweep would say of such a run means nothing.
void SayOwnRate(const CommandLine& line, const v1::Run& run, double rate, Console* console) {
  RateSuggestion own;
  own.rate = rate;
  own.reason = absl::StrCat(
      KindName(run.optimizer()), " finds its step sizes itself, so there is nothing to sweep: ",
      run.optimizer().has_rprop()
          ? "its rate is the step size that it starts with, 0.01 where nothing else is known"
          : "its rate multiplies what it finds, and 1 is right");
  if (line.json) {
    console->out << Json(line.run, {}, own);
    return;
  }
  console->out << own.reason << "\n";
  const double now = run.schedule().learning_rate();
  if (now == rate) return;
  console->out << absl::StrFormat("%s has %.4g\n  gradctl set %s learning-rate=%.2g\n",
                                  RunId(line.run), now, RunId(line.run), rate);
}

}  // namespace

absl::Status FindRate(const CommandLine& line, Client* client, Console* console) {
  GRADD_RETURN_IF_ERROR(CheckSweepRange(line.sweep, "--steps"));
  absl::StatusOr<Outputs> outputs = Outputs::Open(line.svg, line.csv);
  GRADD_RETURN_IF_ERROR(outputs.status());
  const absl::StatusOr<v1::Run> run = client->Get(RunName(line.run));
  GRADD_RETURN_IF_ERROR(run.status());
  if (const std::optional<double> own = OwnRateOf(*run); own.has_value()) {
    if (!line.svg.empty() || !line.csv.empty()) {
      return UsageError(absl::StrCat(line.svg.empty() ? "--csv" : "--svg",
                                     ": there is no sweep of ", KindName(run->optimizer()),
                                     ", which finds its step sizes itself"));
    }
    SayOwnRate(line, *run, *own, console);
    return absl::OkStatus();
  }

  v1::RunTrialsRequest request;
  request.set_name(RunName(line.run));
  *request.mutable_idle_timeout() = ToProto(line.idle_timeout);
  v1::Trial& trial = *request.add_trials();
  *trial.mutable_schedule() = SweepSchedule(line.sweep);
  trial.set_max_steps(line.sweep.steps);
  std::vector<TrialRecord> records;
  {
    StatusLine progress(line.json, console);
    GRADD_RETURN_IF_ERROR(RecordTrials(client, request, &records, [&] {
      const std::vector<v1::TrialStep>& steps = records[0].steps;
      if (steps.empty()) return true;
      progress.Show(absl::StrFormat("%s: step %d/%d, rate %.2g, loss %.4g", RunId(line.run),
                                    steps.back().step(), line.sweep.steps,
                                    steps.back().learning_rate(), steps.back().smoothed_loss()));
      return !HasDiverged(steps);
    }));
  }
  if (records[0].state == v1::TRIAL_STATE_FAILED) {
    return Error(absl::StatusCode::kAborted, "TRIAL_FAILED", records[0].message);
  }
  const std::vector<SweepPoint> points = SweepPoints(records[0].steps);
  const absl::StatusOr<RateSuggestion> suggestion = SuggestRate(points);
  const Chart chart = CurveOf(RunId(line.run), points, suggestion);
  GRADD_RETURN_IF_ERROR(outputs->WriteSvg([&chart] { return DrawCharts({chart}); }));
  GRADD_RETURN_IF_ERROR(outputs->WriteCsv([&points] { return Csv(points); }));
  if (!line.json) {
    const int width = console->width();
    console->out << DrawInTerminal(chart, width > 0 ? width - 1 : kUsualWidth, kChartRows);
  }
  GRADD_RETURN_IF_ERROR(suggestion.status());
  if (line.json) {
    console->out << Json(line.run, points, *suggestion);
  } else {
    console->out << absl::StrFormat(
        "\nsuggested learning rate: %.2g\n  %s\n  gradctl set %s learning-rate=%.2g\n",
        suggestion->rate, suggestion->reason, RunId(line.run), suggestion->rate);
  }
  return absl::OkStatus();
}

}  // namespace gradd::ctl
