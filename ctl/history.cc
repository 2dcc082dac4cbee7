#include "ctl/history.h"

#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/base/new_file.h"
#include "ctl/history_picture.h"
#include "ctl/history_table.h"
#include "ctl/report.h"
#include "ctl/run_name.h"
#include "ctl/status.h"
#include "nlohmann/json.hpp"

namespace gradd::ctl {
namespace {

// That the columns of a table are as long as each other.
bool AreEven(std::initializer_list<int> sizes) {
  for (const int size : sizes) {
    if (size != *sizes.begin()) return false;
  }
  return true;
}

absl::Status CheckEven(const std::string& run, const v1::History& history) {
  const v1::StepPoints& steps = history.steps();
  const v1::EvaluationPoints& evaluations = history.evaluations();
  if (AreEven({steps.timelines_size(), steps.steps_size(), steps.times_size(), steps.losses_size(),
               steps.smoothed_losses_size(), steps.learning_rates_size(),
               steps.gradient_norms_size(), steps.update_norms_size(), steps.parameter_norms_size(),
               steps.examples_per_second_size()}) &&
      (steps.phases_size() == 0 || steps.phases_size() == steps.steps_size()) &&
      AreEven({evaluations.timelines_size(), evaluations.steps_size(), evaluations.times_size(),
               evaluations.losses_size(), evaluations.accuracies_size()})) {
    return absl::OkStatus();
  }
  return absl::InternalError(
      absl::StrCat("the server's history of ", run, " has columns of different lengths"));
}

absl::StatusOr<NamedHistory> Fetch(const std::string& run, const CommandLine& line,
                                   Client* client) {
  v1::GetHistoryRequest request;
  request.set_name(RunName(run));
  request.set_max_points(line.max_points);
  request.set_timeline(line.timeline);
  request.set_first_step(line.first_step);
  absl::StatusOr<v1::History> history = client->GetHistory(request);
  if (!history.ok()) return history.status();
  GRADD_RETURN_IF_ERROR(CheckEven(RunId(run), *history));
  return NamedHistory{RunId(run), *std::move(history)};
}

absl::Status WriteFile(NewFile* file, absl::string_view contents) {
  GRADD_RETURN_IF_ERROR(file->Write(contents));
  return file->Commit();
}

}  // namespace

absl::Status ShowHistory(const CommandLine& line, Client* client, Console* console) {
  const bool to_output = line.csv == "-";
  if (to_output && line.json) return UsageError("--csv - and --json both go to standard output");
  // Before any work, so that what cannot be written is known then.
  std::unique_ptr<NewFile> csv;
  std::unique_ptr<NewFile> svg;
  for (const auto& [path, file] : {std::pair(line.csv, &csv), std::pair(line.svg, &svg)}) {
    if (path.empty() || (to_output && file == &csv)) continue;
    absl::StatusOr<std::unique_ptr<NewFile>> created = NewFile::Create(path);
    if (!created.ok()) return created.status();
    *file = *std::move(created);
  }
  if (csv != nullptr && svg != nullptr && csv->target() == svg->target()) {
    return UsageError("--svg and --csv are the same file");
  }
  const absl::StatusOr<std::vector<std::string>> names = client->NamesOf(line.runs, line.labels);
  if (!names.ok()) return names.status();
  std::vector<NamedHistory> runs;
  for (const std::string& name : *names) {
    absl::StatusOr<NamedHistory> run = Fetch(name, line, client);
    if (!run.ok()) return run.status();
    runs.push_back(*std::move(run));
  }
  if (svg != nullptr) GRADD_RETURN_IF_ERROR(WriteFile(svg.get(), HistorySvg(runs)));
  if (csv != nullptr) GRADD_RETURN_IF_ERROR(WriteFile(csv.get(), HistoryTable(runs)));
  if (line.json) {
    for (const NamedHistory& run : runs) {
      const nlohmann::json object = {{"name", RunName(run.run)},
                                     {"history", nlohmann::json::parse(JsonLine(run.history))}};
      console->out << object.dump() << "\n";
    }
  } else if (to_output) {
    console->out << HistoryTable(runs);
  } else if (csv == nullptr && svg == nullptr) {
    console->out << HistoryInTerminal(runs, console->width());
  }
  return absl::OkStatus();
}

}  // namespace gradd::ctl
