#include "ctl/standings.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "ctl/text.h"
#include "nlohmann/json.hpp"

namespace gradd::ctl {
namespace {

// Times the first loss: who ends above has diverged, and charts end there.
constexpr double kDivergedRise = 10;

int64_t StepsOf(const Racer& racer) { return static_cast<int64_t>(racer.record.steps.size()); }

double LossOf(const Racer& racer) { return racer.record.steps.back().smoothed_loss(); }

// The server ends what is not finite; far above where it began is as good as that.
v1::TrialState StateOf(const Racer& racer) {
  const v1::TrialState state = racer.record.state;
  if (state != v1::TRIAL_STATE_FINISHED || StepsOf(racer) == 0) return state;
  const double first = racer.record.steps.front().smoothed_loss();
  return first > 0 && LossOf(racer) > kDivergedRise * first ? v1::TRIAL_STATE_DIVERGED : state;
}

bool Fell(const Racer& racer) {
  const v1::TrialState state = StateOf(racer);
  return state == v1::TRIAL_STATE_DIVERGED || state == v1::TRIAL_STATE_FAILED;
}

// `diverged`, `running`, ...
std::string StateText(const Racer& racer) {
  return absl::AsciiStrToLower(
      absl::StripPrefix(v1::TrialState_Name(StateOf(racer)), "TRIAL_STATE_"));
}

const char* OriginText(const Racer& racer) {
  if (racer.rate_is_a_guess) return " guess";
  if (racer.rate_is_own) return " own";
  return racer.rate_was_found ? " found" : "";
}

Chart RaceChart(const std::string& run, const std::vector<Racer>& racers, const char* by,
                const char* unit, double (*x)(const v1::TrialStep&)) {
  Chart chart;
  chart.title = absl::StrCat("Loss by ", by, ", ", run);
  chart.x_label = unit;
  chart.log_y = true;
  chart.y_label = "smoothed loss";
  for (const Racer& racer : racers) {
    Chart::Curve curve;
    curve.name =
        racer.rate_was_found ? absl::StrFormat("%s (%.2g)", racer.name, racer.rate) : racer.name;
    for (const v1::TrialStep& step : racer.record.steps) {
      curve.points.emplace_back(x(step), step.smoothed_loss());
      if (!chart.y_limit.has_value()) chart.y_limit = kDivergedRise * step.smoothed_loss();
    }
    chart.curves.push_back(std::move(curve));
  }
  return chart;
}

}  // namespace

std::vector<const Racer*> Standings(const std::vector<Racer>& racers) {
  std::vector<const Racer*> order;
  order.reserve(racers.size());
  for (const Racer& racer : racers) order.push_back(&racer);
  std::stable_sort(order.begin(), order.end(), [](const Racer* a, const Racer* b) {
    if (Fell(*a) != Fell(*b)) return Fell(*b);
    if ((Fell(*a) && StepsOf(*a) != StepsOf(*b)) || StepsOf(*a) == 0 || StepsOf(*b) == 0) {
      return StepsOf(*a) > StepsOf(*b);
    }
    return LossOf(*a) < LossOf(*b);
  });
  return order;
}

std::string StandingsTable(const std::vector<Racer>& racers) {
  std::vector<std::vector<std::string>> rows;
  for (const Racer* racer : Standings(racers)) {
    const bool any = StepsOf(*racer) > 0;
    rows.push_back(
        {racer->name, absl::StrCat(rows.size() + 1), any ? LossText(LossOf(*racer)) : "-",
         absl::StrFormat("%.2g%s", racer->rate, OriginText(*racer)), absl::StrCat(StepsOf(*racer)),
         any ? absl::StrFormat("%.2f s", racer->record.steps.back().seconds()) : "-",
         StateText(*racer)});
  }
  return Table({"OPTIMIZER", "PLACE", "LOSS", "LR", "STEP", "TIME", "STATE"}, rows);
}

std::string StandingsLine(const std::vector<Racer>& racers) {
  return absl::StrJoin(Standings(racers), ", ", [](std::string* out, const Racer* racer) {
    absl::StrAppend(out, racer->name, " ",
                    Fell(*racer)           ? StateText(*racer)
                    : StepsOf(*racer) == 0 ? "-"
                                           : LossText(LossOf(*racer)));
  });
}

std::string StandingsCsv(const std::vector<Racer>& racers) {
  std::string text = "optimizer,learning_rate,step,loss,smoothed_loss,seconds\n";
  for (const Racer& racer : racers) {
    // An entry may have commas, and no quotation marks.
    for (const v1::TrialStep& step : racer.record.steps) {
      absl::StrAppendFormat(&text, "\"%s\",%.9g,%d,%.17g,%.17g,%.6f\n", racer.name, racer.rate,
                            step.step(), step.loss(), step.smoothed_loss(), step.seconds());
    }
  }
  return text;
}

std::string StandingsJson(const std::string& run_name, const std::vector<Racer>& racers) {
  nlohmann::ordered_json json = {{"run", run_name}, {"standings", nlohmann::ordered_json::array()}};
  for (const Racer* racer : Standings(racers)) {
    nlohmann::ordered_json steps = nlohmann::ordered_json::array();
    for (const v1::TrialStep& step : racer->record.steps) {
      steps.push_back({{"step", step.step()},
                       {"loss", step.loss()},
                       {"smoothed_loss", step.smoothed_loss()},
                       {"seconds", step.seconds()}});
    }
    json["standings"].push_back({{"optimizer", racer->name},
                                 {"learning_rate", racer->rate},
                                 {"learning_rate_was_found", racer->rate_was_found},
                                 {"learning_rate_is_a_guess", racer->rate_is_a_guess},
                                 {"learning_rate_is_own", racer->rate_is_own},
                                 {"state", StateText(*racer)},
                                 {"steps", std::move(steps)}});
  }
  return json.dump() + "\n";
}

std::vector<Chart> RaceCharts(const std::string& run, const std::vector<Racer>& racers) {
  return {RaceChart(run, racers, "step", "step",
                    [](const v1::TrialStep& step) { return static_cast<double>(step.step()); }),
          RaceChart(run, racers, "time", "seconds",
                    [](const v1::TrialStep& step) { return step.seconds(); })};
}

}  // namespace gradd::ctl
