#include "ctl/race.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "core/base/duration.h"
#include "core/base/error.h"
#include "core/base/number_text.h"
#include "core/base/utf8.h"
#include "ctl/entry.h"
#include "ctl/outputs.h"
#include "ctl/run_name.h"
#include "ctl/standings.h"
#include "ctl/status.h"
#include "ctl/status_line.h"
#include "ctl/sweep.h"
#include "ctl/trials.h"

namespace gradd::ctl {
namespace {

// The standings while the race goes on: a table that is drawn again and again on a terminal, a line
// for each tenth of the race in a log, nothing where JSON is wanted.
class LiveStandings {
 public:
  LiveStandings(bool json, int64_t steps, Console* console)
      : silent_(json), steps_(steps), console_(console) {}

  void Show(const std::vector<Racer>& racers) {
    if (silent_) return;
    if (console_->width() <= 1) return Log(racers);
    Clear();
    // What a terminal would wrap or scroll away could not be cleared.
    const std::string table = StandingsTable(racers);
    for (const absl::string_view row : absl::StrSplit(absl::StripSuffix(table, "\n"), '\n')) {
      if (lines_ == kMostLines) break;
      console_->out << std::string(row.substr(0, static_cast<size_t>(console_->width() - 1)))
                    << '\n';
      ++lines_;
    }
    console_->out << std::flush;
  }
  void Clear() {
    if (lines_ > 0) console_->out << absl::StrFormat("\x1b[%dA\x1b[J", lines_) << std::flush;
    lines_ = 0;
  }

 private:
  static constexpr int kMostLines = 20;

  void Log(const std::vector<Racer>& racers) {
    constexpr int64_t kLines = 10;
    size_t step = 0;
    for (const Racer& racer : racers) step = std::max(step, racer.record.steps.size());
    const int64_t part = static_cast<int64_t>(step) * kLines / steps_;
    if (part == logged_) return;
    logged_ = part;
    console_->out << absl::StrCat("step ", step, ": ", StandingsLine(racers), "\n") << std::flush;
  }

  const bool silent_;
  const int64_t steps_;
  Console* const console_;
  int lines_ = 0;
  int64_t logged_ = 0;
};

v1::RunTrialsRequest RequestFor(const CommandLine& line) {
  v1::RunTrialsRequest request;
  request.set_name(RunName(line.run));
  *request.mutable_idle_timeout() = ToProto(line.idle_timeout);
  return request;
}

// Sweeps for the entries that have no rate, side by side.
absl::Status FindRates(const CommandLine& line, Client* client, Console* console,
                       const std::vector<Entry>& entries, std::vector<Racer>* racers) {
  v1::RunTrialsRequest request = RequestFor(line);
  std::vector<Racer*> open;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].rate.has_value()) continue;
    v1::Trial& trial = *request.add_trials();
    *trial.mutable_optimizer() = entries[i].optimizer;
    *trial.mutable_schedule() = SweepSchedule(line.sweep);
    trial.set_max_steps(line.sweep.steps);
    open.push_back(&(*racers)[i]);
  }
  if (open.empty()) return absl::OkStatus();
  std::vector<TrialRecord> records;
  StatusLine status(line.json, console);
  GRADD_RETURN_IF_ERROR(RecordTrials(client, request, &records, [&] {
    size_t steps = 0;
    for (const TrialRecord& record : records) steps = std::max(steps, record.steps.size());
    status.Show(absl::StrCat("finding rates for ", open.size(), " optimizers: step ", steps, "/",
                             line.sweep.steps));
    return true;
  }));
  for (size_t i = 0; i < open.size(); ++i) {
    const absl::StatusOr<RateSuggestion> suggestion = SuggestRate(SweepPoints(records[i].steps));
    if (!suggestion.ok()) {
      return Error(suggestion.status().code(), ReasonOf(suggestion.status()),
                   absl::StrCat(Quoted(open[i]->name), ": ", suggestion.status().message(),
                                "; or give it one: ", open[i]->name, ":0.01"));
    }
    // Two digits, as people would write it down.
    open[i]->rate = std::stod(absl::StrFormat("%.1e", suggestion->rate));
    open[i]->rate_was_found = true;
    open[i]->rate_is_a_guess = suggestion->is_guess;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Race(const CommandLine& line, Client* client, Console* console) {
  absl::StatusOr<std::vector<Entry>> entries = ParseEntries(line.entries);
  GRADD_RETURN_IF_ERROR(entries.status());
  if (entries->size() < 2) {
    return UsageError(absl::StrCat(
        "a race of ", CountText(static_cast<int64_t>(entries->size()), "entry", "entries"),
        "; at least 2 expected"));
  }
  if (line.race_steps < 1)
    return UsageError(absl::StrCat("--steps: ", line.race_steps, " is below 1"));
  GRADD_RETURN_IF_ERROR(CheckSweepRange(line.sweep, "--sweep-steps"));
  absl::StatusOr<Outputs> outputs = Outputs::Open(line.svg, line.csv);
  GRADD_RETURN_IF_ERROR(outputs.status());

  std::vector<Racer> racers;
  for (const Entry& entry : *entries) {
    Racer racer;
    racer.name = entry.name;
    racer.rate = entry.rate.value_or(0);
    racer.rate_is_own = entry.rate_is_own;
    racers.push_back(std::move(racer));
  }
  GRADD_RETURN_IF_ERROR(FindRates(line, client, console, *entries, &racers));
  v1::RunTrialsRequest request = RequestFor(line);
  for (size_t i = 0; i < racers.size(); ++i) {
    v1::Trial& trial = *request.add_trials();
    *trial.mutable_optimizer() = (*entries)[i].optimizer;
    trial.mutable_schedule()->set_learning_rate(racers[i].rate);
    trial.set_max_steps(line.race_steps);
  }
  std::vector<TrialRecord> records;
  LiveStandings live(line.json, line.race_steps, console);
  const absl::Status raced = RecordTrials(client, request, &records, [&] {
    for (size_t i = 0; i < racers.size(); ++i) racers[i].record = records[i];
    live.Show(racers);
    return true;
  });
  live.Clear();
  GRADD_RETURN_IF_ERROR(raced);
  GRADD_RETURN_IF_ERROR(
      outputs->WriteSvg([&] { return DrawCharts(RaceCharts(RunId(line.run), racers)); }));
  GRADD_RETURN_IF_ERROR(outputs->WriteCsv([&racers] { return StandingsCsv(racers); }));
  console->out << (line.json ? StandingsJson(RunName(line.run), racers) : StandingsTable(racers));
  for (const Racer& racer : racers) {
    if (racer.record.state == v1::TRIAL_STATE_FAILED) {
      return Error(absl::StatusCode::kAborted, "TRIAL_FAILED",
                   absl::StrCat(Quoted(racer.name), ": ", racer.record.message));
    }
  }
  return absl::OkStatus();
}

}  // namespace gradd::ctl
