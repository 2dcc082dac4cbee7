#include "ctl/compare.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/duration.h"
#include "core/base/utf8.h"
#include "ctl/fields.h"
#include "ctl/report.h"
#include "ctl/run_name.h"
#include "ctl/text.h"

namespace gradd::ctl {
namespace {

constexpr char kNothingKnown[] = "-";

double LossOf(const v1::Run& run) {
  const v1::RunProgress& progress = run.progress();
  return progress.has_smoothed_loss() && !std::isnan(progress.smoothed_loss())
             ? progress.smoothed_loss()
             : std::numeric_limits<double>::infinity();
}

}  // namespace

void SortByLoss(std::vector<v1::Run>* runs) {
  std::stable_sort(runs->begin(), runs->end(), [](const v1::Run& a, const v1::Run& b) {
    return std::pair(LossOf(a), !a.progress().has_smoothed_loss()) <
           std::pair(LossOf(b), !b.progress().has_smoothed_loss());
  });
}

std::string ComparisonTable(const std::vector<v1::Run>& runs, int width) {
  std::vector<std::vector<std::string>> rows;
  for (const v1::Run& run : runs) {
    const v1::RunProgress& progress = run.progress();
    const bool evaluated = progress.has_evaluation();
    const std::string optimizer = KindName(run.optimizer());
    rows.push_back(
        {RunId(run.name()), optimizer.empty() ? kNothingKnown : optimizer,
         absl::StrFormat("%.4g", progress.learning_rate()), absl::StrCat(progress.step()),
         progress.has_smoothed_loss() ? LossText(progress.smoothed_loss()) : kNothingKnown,
         progress.has_best_smoothed_loss() ? LossText(progress.best_smoothed_loss())
                                           : kNothingKnown,
         progress.has_best_smoothed_loss() ? absl::StrCat(progress.best_step()) : kNothingKnown,
         evaluated ? LossText(progress.evaluation().loss()) : kNothingKnown,
         progress.evaluation().has_accuracy()
             ? absl::StrFormat("%.4f", progress.evaluation().accuracy())
             : kNothingKnown,
         progress.has_elapsed() ? ClockText(FromProto(progress.elapsed())) : kNothingKnown,
         RateText(progress.examples_per_second())});
  }
  return ForTerminal(FittedTable(
      {"RUN", "OPTIMIZER", "LR", "STEP", "LOSS", "BEST", "AT", "EVALUATION", "ACCURACY", "TIME",
       "EXAMPLES/S"},
      std::move(rows), width, {"EXAMPLES/S", "TIME", "LR", "AT", "ACCURACY", "OPTIMIZER", "BEST"}));
}

absl::Status Compare(const CommandLine& line, Client* client, Console* console) {
  const absl::StatusOr<std::vector<std::string>> names = client->NamesOf(line.runs, line.labels);
  if (!names.ok()) return names.status();
  std::vector<v1::Run> runs;
  for (const std::string& name : *names) {
    absl::StatusOr<v1::Run> run = client->Get(RunName(name));
    if (!run.ok()) return run.status();
    runs.push_back(*std::move(run));
  }
  SortByLoss(&runs);
  if (!line.json) {
    console->out << ComparisonTable(runs, console->width());
    return absl::OkStatus();
  }
  for (v1::Run& run : runs) {
    run.clear_layout();  // As in lists.
    run.clear_workers();
    run.clear_history();
    console->out << JsonLine(run) << "\n";
  }
  return absl::OkStatus();
}

}  // namespace gradd::ctl
