#include "ctl/gradctl.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "core/base/error.h"
#include "core/base/utf8.h"
#include "core/run/spec_difference.h"
#include "ctl/checkpoints.h"
#include "ctl/cleared.h"
#include "ctl/client.h"
#include "ctl/command_line.h"
#include "ctl/compare.h"
#include "ctl/fields.h"
#include "ctl/history.h"
#include "ctl/landscape.h"
#include "ctl/lr_find.h"
#include "ctl/pull.h"
#include "ctl/race.h"
#include "ctl/report.h"
#include "ctl/requests.h"
#include "ctl/run_name.h"
#include "ctl/status.h"
#include "ctl/transfer.h"
#include "ctl/verify.h"
#include "ctl/watch.h"
#include "nlohmann/json.hpp"

namespace gradd::ctl {
namespace {

absl::StatusOr<std::string> ReadInput(const std::string& path, std::istream& standard_input) {
  std::ifstream file;
  if (path != "-") {
    file.open(path, std::ios::binary);
    if (!file) return UsageError(absl::StrCat("cannot read ", path, ": ", std::strerror(errno)));
  }
  std::istream& in = path == "-" ? standard_input : file;
  // read() turns the exceptions that a directory's buffer throws into a state.
  std::string text;
  char part[1 << 16];
  while (in.read(part, sizeof(part)) || in.gcount() > 0) {
    text.append(part, static_cast<size_t>(in.gcount()));
  }
  if (in.bad()) return UsageError(absl::StrCat("cannot read ", path, ": ", std::strerror(errno)));
  return text;
}

absl::StatusOr<v1::CreateRunRequest> CreateRequest(const CommandLine& line, Console* console) {
  const bool whole = !line.spec.empty();
  if (!whole && line.layout.empty()) {  // It is that of a file of weights.
    absl::StatusOr<v1::CreateRunRequest> request = MakeCreateRequest(line.new_run, v1::Layout());
    if (!request.ok()) return request.status();
    request->mutable_run()->clear_layout();
    request->set_request_id(NewRequestId());
    return request;
  }
  const std::string& path = whole ? line.spec : line.layout;
  absl::StatusOr<std::string> json = ReadInput(path, console->in);
  if (!json.ok()) return json.status();
  const std::string source = path == "-" ? "standard input" : path;
  absl::StatusOr<v1::CreateRunRequest> request;
  if (whole) {
    absl::StatusOr<v1::Run> run = ParseRun(source, *json);
    if (!run.ok()) return run.status();
    request.emplace();
    request->set_run_id(RunId(line.run));
    request->mutable_run()->Swap(&*run);
  } else {
    absl::StatusOr<v1::Layout> layout = ParseLayout(source, *json);
    if (!layout.ok()) return layout.status();
    request = MakeCreateRequest(line.new_run, *layout);
    if (!request.ok()) return request.status();
  }
  request->set_request_id(NewRequestId());
  return request;
}

// Prints what a command that returns a run has done.
absl::Status Print(const absl::StatusOr<v1::Run>& run, const CommandLine& line,
                   absl::string_view done, Console* console) {
  if (!run.ok()) return run.status();
  if (line.json) {
    console->out << JsonLine(*run) << "\n";
  } else {
    console->out << absl::StrCat(RunId(run->name()), ": ", done, "\n");
  }
  return absl::OkStatus();
}

// For create --if-absent: the run is there.
absl::Status PrintExisting(const v1::CreateRunRequest& request, const CommandLine& line,
                           Client* client, Console* console) {
  const absl::StatusOr<v1::Run> run = client->Get(RunName(line.run));
  if (!run.ok()) return run.status();
  const std::vector<std::string> unmet = UnmetFields(request.run(), *run);
  if (!unmet.empty()) {
    console->err << ForTerminal(
        absl::StrCat("gradctl: ", RunId(line.run), " is another run than was asked for: its ",
                     absl::StrJoin(unmet, ", "), unmet.size() == 1 ? " differs" : " differ", "\n"));
  }
  return Print(run, line, absl::StrCat("is there already, at step ", run->progress().step()),
               console);
}

absl::Status Create(const CommandLine& line, Client* client, Console* console) {
  const absl::StatusOr<v1::CreateRunRequest> request = CreateRequest(line, console);
  if (!request.ok()) return request.status();
  const bool from_file = !line.from.empty();
  const absl::StatusOr<v1::Run> run =
      from_file ? CreateFromFile(line, *request, client, console) : client->Create(*request);
  if (line.if_absent && ReasonOf(run.status()) == "RUN_EXISTS") {
    return PrintExisting(*request, line, client, console);
  }
  return Print(run, line,
               absl::StrCat("created", from_file ? " from " : "", line.from, ", ",
                            run.ok() ? SizeText(*run) : ""),
               console);
}

absl::Status Import(const CommandLine& line, Client* client, Console* console) {
  v1::CreateRunRequest request;
  request.set_run_id(RunId(line.run));
  request.set_request_id(NewRequestId());
  const absl::StatusOr<v1::Run> run = CreateFromFile(line, request, client, console);
  return Print(
      run, line,
      absl::StrCat(
          "created from ", line.from, ", ",
          run.ok() ? absl::StrCat(SizeText(*run), ", at step ", run->progress().step()) : ""),
      console);
}

absl::Status List(const CommandLine& line, Client* client, Console* console) {
  const absl::StatusOr<v1::ListRunsResponse> runs = client->List(line.labels);
  if (!runs.ok()) return runs.status();
  if (line.json) {
    console->out << JsonLine(*runs) << "\n";
  } else if (!line.labels.empty()) {
    console->out << GroupText(LabelsText(line.labels), *runs);
  } else if (runs->runs().empty()) {
    console->out << NoRunsText(*runs, console->clock.WallTime());
  } else {
    console->out << RunTable(*runs, console->width());
    console->err << MemoryOnlyText(*runs);
  }
  return absl::OkStatus();
}

absl::Status Show(const CommandLine& line, Client* client, Console* console) {
  const absl::StatusOr<v1::Run> run = client->Get(RunName(line.run));
  if (!run.ok()) return run.status();
  if (line.json) {
    console->out << JsonLine(*run) << "\n";
    return absl::OkStatus();
  }
  std::string newest;
  if (run->kept()) {
    const auto checkpoints = client->ListCheckpoints(run->name());
    if (checkpoints.ok()) newest = NewestCheckpointText(*checkpoints, console->clock.WallTime());
  }
  console->out << RunPage(*run, console->clock.WallTime(), newest);
  return absl::OkStatus();
}

// Whether a shape or a warm-up is set, which by itself begins anew.
bool ChangesCurve(const v1::UpdateRunRequest& request) {
  const auto& paths = request.update_mask().paths();
  return std::any_of(paths.begin(), paths.end(), [](const std::string& path) {
    return path == "schedule" ||
           (absl::StartsWith(path, "schedule.") && path != "schedule.learning_rate" &&
            path != kScheduleBegin && !absl::StartsWith(path, "schedule.reduce_on_plateau"));
  });
}

absl::Status Set(const CommandLine& line, Client* client, Console* console) {
  v1::Run current;
  current.set_name(RunName(line.run));
  // `momentum` means another field in every optimizer.
  const bool depends =
      std::any_of(line.changes.begin(), line.changes.end(), [](const Assignment& change) {
        // What a message that is replaced whole loses is told.
        return DependsOnKind(change.first) || IsLabel(change.first) || NamesPolicy(change) ||
               absl::StartsWith(change.second, "{");
      });
  if (depends) {
    absl::StatusOr<v1::Run> found = client->Get(current.name());
    if (!found.ok()) return found.status();
    current.Swap(&*found);
  }
  absl::StatusOr<v1::UpdateRunRequest> request = MakeUpdateRequest(current, line.changes);
  if (!request.ok()) return request.status();
  request->set_author(line.author);
  std::string done;
  for (const Assignment& change : line.changes) {
    const bool is_gone = IsLabel(change.first) && change.second.empty();
    absl::StrAppend(&done, done.empty() ? "" : ", ", change.first,
                    is_gone ? " is taken away" : absl::StrCat(" is now ", change.second));
  }
  const absl::StatusOr<v1::Run> updated = client->Update(*request);
  std::vector<std::string> cleared;
  for (const std::string& path : request->update_mask().paths()) {
    if (!updated.ok()) break;
    for (std::string& field : ClearedFields(current, *updated, path)) {
      cleared.push_back(std::move(field));
    }
  }
  if (!cleared.empty()) absl::StrAppend(&done, "; cleared: ", absl::StrJoin(cleared, ", "));
  if (updated.ok() && ChangesCurve(*request) && updated->schedule().has_begins_at()) {
    absl::StrAppend(&done, "; the schedule counts from step ", updated->schedule().begins_at());
  }
  return Print(updated, line, done, console);
}

absl::Status Pause(const CommandLine& line, Client* client, Console* console) {
  v1::PauseRunRequest request;
  request.set_name(RunName(line.run));
  request.set_author(line.author);
  return Print(client->Pause(request), line, "paused", console);
}

absl::Status Resume(const CommandLine& line, Client* client, Console* console) {
  v1::ResumeRunRequest request;
  request.set_name(RunName(line.run));
  request.set_author(line.author);
  return Print(client->Resume(request), line, "resumed", console);
}

absl::Status Finish(const CommandLine& line, Client* client, Console* console) {
  v1::FinishRunRequest request;
  request.set_name(RunName(line.run));
  request.set_author(line.author);
  request.set_reason(line.reason);
  const absl::StatusOr<v1::Run> run = client->Finish(request);
  std::string done = "finished";
  if (run.ok() && run->progress().has_best_smoothed_loss()) {
    absl::StrAppend(
        &done, absl::StrFormat("; its best smoothed loss was %.4g, at step %d",
                               run->progress().best_smoothed_loss(), run->progress().best_step()));
  }
  return Print(run, line, done, console);
}

absl::Status Delete(const CommandLine& line, Client* client, Console* console) {
  GRADD_RETURN_IF_ERROR(client->Delete(RunName(line.run)));
  if (line.json) {
    console->out << nlohmann::json{{"name", RunName(line.run)}}.dump() << "\n";
  } else {
    console->out << RunId(line.run) << ": deleted\n";
  }
  return absl::OkStatus();
}

// What is done with one run.
absl::Status Run(const CommandLine& line, Client* client, Console* console) {
  switch (line.command) {
    case Command::kText:
      console->out << line.text;
      return absl::OkStatus();
    case Command::kCreate:
      return Create(line, client, console);
    case Command::kList:
      return List(line, client, console);
    case Command::kShow:
      return Show(line, client, console);
    case Command::kWatch:
      return Watch(line, client, console);
    case Command::kSet:
      return Set(line, client, console);
    case Command::kPause:
      return Pause(line, client, console);
    case Command::kResume:
      return Resume(line, client, console);
    case Command::kFinish:
      return Finish(line, client, console);
    case Command::kDelete:
      return Delete(line, client, console);
    case Command::kCheckpoint:
      return MakeCheckpoint(line, client, console);
    case Command::kCheckpoints:
      return ListCheckpoints(line, client, console);
    case Command::kRestore:
      return Restore(line, client, console);
    case Command::kFork:
      return Fork(line, client, console);
    case Command::kDiff:
      return Diff(line, client, console);
    case Command::kVerify:
      return Verify(line, FileSystem::Real(), console);
    case Command::kPull:
      return Pull(line, client, console);
    case Command::kExport:
      return Export(line, client, console);
    case Command::kImport:
      return Import(line, client, console);
    case Command::kLrFind:
      return FindRate(line, client, console);
    case Command::kRace:
      return Race(line, client, console);
    case Command::kLandscape:
      return DrawLandscape(line, client, console);
    case Command::kHistory:
      return ShowHistory(line, client, console);
    case Command::kCompare:
      return Compare(line, client, console);
  }
  return absl::OkStatus();
}

// Commands that have an eye on one run only.
bool TakesOneRun(Command command) {
  return command == Command::kWatch || command == Command::kPull || command == Command::kExport ||
         command == Command::kLrFind || command == Command::kRace;
}

// The same with each run that has the labels. What fails for one is done for the others; the first
// error is told.
absl::Status RunForLabels(CommandLine line, Client* client, Console* console) {
  const std::string labels = LabelsText(line.labels);
  const absl::StatusOr<v1::ListRunsResponse> runs = client->List(line.labels);
  if (!runs.ok()) return runs.status();
  if (runs->runs().empty()) {
    return Error(absl::StatusCode::kNotFound, "RUN_NOT_FOUND",
                 absl::StrCat("no run has the label ", labels));
  }
  if (TakesOneRun(line.command) && runs->runs_size() > 1) {
    return UsageError(absl::StrCat("--label ", labels, ": ", runs->runs_size(),
                                   " runs have it, and this is for one"));
  }
  absl::Status first;
  for (const v1::Run& run : runs->runs()) {
    line.run = RunId(run.name());
    first.Update(Run(line, client, console));
  }
  return first;
}

absl::Status Run(const CommandLine& line, Console* console) {
  Client client(line.server, line.timeout, console);
  // Those that work on many runs at a time look for them themselves.
  const bool for_labels = !line.labels.empty() && line.command != Command::kCreate &&
                          line.command != Command::kList && line.command != Command::kHistory &&
                          line.command != Command::kCompare;
  return for_labels ? RunForLabels(line, &client, console) : Run(line, &client, console);
}

}  // namespace

int Gradctl(const std::vector<std::string>& args, Console* console) {
  const absl::StatusOr<CommandLine> line = ParseCommandLine(args, console->user);
  absl::Status status = line.ok() ? Run(*line, console) : line.status();
  errno = 0;  // Stays so if the stream failed before, when nobody asked why.
  if (status.ok() && !console->out.flush()) {
    status = FileError(absl::StrCat("cannot write to standard output", errno == 0 ? "" : ": ",
                                    errno == 0 ? "" : std::strerror(errno)));
  }
  if (!status.ok()) console->err << ErrorText(status, WantsJson(args)) << std::endl;
  return ExitCodeOf(status);
}

}  // namespace gradd::ctl
