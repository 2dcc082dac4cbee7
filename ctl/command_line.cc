#include "ctl/command_line.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <utility>

#include "CLI/App.hpp"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "cli/program_options.h"
#include "core/base/error.h"
#include "core/base/utf8.h"
#include "core/base/version.h"
#include "core/optim/own_rate.h"
#include "ctl/fields.h"
#include "ctl/landscape.h"
#include "ctl/run_name.h"
#include "ctl/status.h"
#include "ctl/weight_decay_text.h"

namespace gradd::ctl {
namespace {

constexpr char kFooter[] = R"(RUN is a run's id, such as fashion, or its name, runs/fashion.
--server, --json, --timeout and --author can also be given as environment variables,
--server as GRADD_SERVER.
With --json, results are protobuf JSON on standard output, one object per line, fields
named as in the API (learning_rate), 64-bit numbers as strings; errors are one object on
standard error with code, reason and message.

Exit status:
    0  done
    1  the server refused (no such run, invalid value, ...), or a file cannot be written
    2  the command line is wrong
    3  the server cannot be reached or does not answer in time
  130  interrupted)";

// A flag that is short for a field and its value.
constexpr char kDecoupled[] = "decoupled-weight-decay";
constexpr char kAsync[] = "async";
constexpr char kDecayMode[] = "weight-decay-mode";

// Durations as they are written; parsed when the command line is complete.
struct Texts {
  std::string timeout;  // Empty: as long as the command may take.
  std::string interval = "1s";
  std::string reconnect = "60s";
  std::string idle_timeout = "1m";
};

bool NamesRuns(Command command) {
  return command == Command::kHistory || command == Command::kCompare;
}

bool NamesRun(Command command) {
  return command != Command::kList && command != Command::kLandscape &&
         command != Command::kVerify && !NamesRuns(command);
}

// What is done with one run, by its name.
bool NeedsName(Command command) {
  return command == Command::kCreate || command == Command::kRestore || command == Command::kFork ||
         command == Command::kDiff;
}

CLI::App* AddCommand(CLI::App* app, Command command, const char* name, const char* help,
                     CommandLine* line) {
  CLI::App* added = app->add_subcommand(name, help);
  added->preparse_callback([command, line](size_t) { line->command = command; });
  const bool creates = command == Command::kCreate;
  if (NamesRun(command)) {
    added->add_option("RUN", line->run, NeedsName(command) ? "The run" : "The run; or --label")
        ->required(NeedsName(command));
  }
  if (NamesRuns(command)) {
    added->add_option("RUN", line->runs, "The runs; or --label")->type_name("");
  }
  if (command == Command::kLandscape || command == Command::kVerify) return added;
  if (NeedsName(command) && !creates) return added;
  const char* const meaning = creates ? "A label of the run; one option for each"
                              : command == Command::kList
                                  ? "Only runs with this label, and with all where there are more: "
                                    "as one line"
                                  : "Instead of RUN: all runs with this label, and with all where "
                                    "there are more";
  added->add_option("--label", line->label_texts, meaning)
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  return added;
}

CLI::Option* AddAuthor(CLI::App* app, CommandLine* line) {
  return app->add_option("--author", line->author, "Who makes the change, for the run's history")
      ->envname(VariableOf("author"))
      ->type_name("NAME")
      ->capture_default_str();
}

void AddFiles(CLI::App* app, CommandLine* line) {
  app->add_option("--svg", line->svg, "Write the picture there; needs gnuplot")->type_name("FILE");
  app->add_option("--csv", line->csv, "Write the data there")->type_name("FILE");
}

template <typename T>
void AddNumber(CLI::App* app, const char* name, T* value, const char* type, const char* help) {
  CLI::Option* const option =
      app->add_option(name, *value, help)->type_name(type)->capture_default_str();
  if constexpr (std::is_integral_v<T>) option->check(CheckWhole<T>);
  if constexpr (std::is_floating_point_v<T>) option->check(CheckNumber);
}

void AddSweep(CLI::App* app, const char* steps, CommandLine* line, Texts* texts) {
  AddNumber(app, "--from", &line->sweep.from, "RATE", "Where a sweep begins, 1e-12 to 1e6");
  AddNumber(app, "--to", &line->sweep.to, "RATE", "Where it ends, unless training diverges before");
  AddNumber(app, steps, &line->sweep.steps, "N", "Steps of a sweep, 20 to 1000");
  AddNumber(app, "--idle-timeout", &texts->idle_timeout, "DURATION",
            "Give up when no step happens for so long");
}

void AddStep(CLI::App* app, CommandLine* line) {
  AddNumber(app, "--step", &line->step, "N", "Step of the checkpoint");
  app->get_option("--step")->required()->default_str("");
  AddNumber(app, "--timeline", &line->timeline, "N",
            "Timeline that it was made on [0: one that the run has come by]");
  app->get_option("--timeline")->default_str("");
}

// What lies on the server's disk.
void AddCheckpoints(CLI::App* app, CommandLine* line, std::vector<std::string>* assignments,
                    std::vector<std::string>* places) {
  AddCommand(app, Command::kCheckpoint, "checkpoint", "Write a run down, now", line);
  AddCommand(app, Command::kCheckpoints, "checkpoints", "List the checkpoints of a run", line);
  CLI::App* restore = AddCommand(app, Command::kRestore, "restore",
                                 "Let a run go back to one of its checkpoints", line);
  AddStep(restore, line);
  AddAuthor(restore, line);
  CLI::App* fork = AddCommand(app, Command::kFork, "fork",
                              "Create a run that begins at a checkpoint of another one", line);
  fork->add_option("NEW", line->new_run_id, "The new run")->required();
  AddStep(fork, line);
  fork->add_option("FIELD=VALUE", *assignments, "What it does otherwise, as for set")
      ->type_name("");
  AddAuthor(fork, line);
  CLI::App* diff = AddCommand(app, Command::kDiff, "diff",
                              "Say how far the tensors of two checkpoints are apart", line);
  diff->add_option("STEP", *places, "Two of them: steps, or TIMELINE/STEP")
      ->required()
      ->expected(2)
      ->type_name("");
  CLI::App* verify = AddCommand(app, Command::kVerify, "verify",
                                "Check all files of a state directory, without a server", line);
  verify->add_option("DIR", line->directory, "See gradd --state-dir")->required();
}

void AddLrFind(CLI::App* app, CommandLine* line, Texts* texts) {
  CLI::App* find = AddCommand(
      app, Command::kLrFind, "lr-find",
      "Find a learning rate: sweep over it on a copy of the run, which stands still", line);
  AddSweep(find, "--steps", line, texts);
  AddFiles(find, line);
}

void AddRace(CLI::App* app, CommandLine* line, Texts* texts) {
  CLI::App* race =
      AddCommand(app, Command::kRace, "race",
                 "Compare optimizers on copies of the run, which stands still meanwhile", line);
  race->add_option(
          "ENTRY", line->entries,
          "2 to 32 of them: adam, adam:0.001 or adam:learning-rate=0.001,beta1=0.95; without a "
          "rate, a sweep finds one, except for methods that find their step sizes themselves")
      ->type_name("");
  AddNumber(race, "--steps", &line->race_steps, "N", "Steps of the race, up to 20000");
  AddSweep(race, "--sweep-steps", line, texts);
  AddFiles(race, line);
}

void AddLandscape(CLI::App* app, CommandLine* line) {
  CLI::App* landscape =
      AddCommand(app, Command::kLandscape, "landscape",
                 "Draw the paths of optimizers over a function of two parameters", line);
  landscape->add_option("LANDSCAPE", line->landscape, LandscapeNames())->required();
  landscape
      ->add_option(
          "ENTRY", line->entries,
          "As for race [all optimizers]; where race would find a rate, the best of 1e-4 to 10")
      ->type_name("");
  landscape->add_option("--start", line->start, "Where paths begin [the landscape's own start]")
      ->type_name("X,Y");
  AddNumber(landscape, "--steps", &line->walk_steps, "N", "Steps of each path, up to 20000");
  AddNumber(landscape, "--gradient-noise", &line->gradient_noise, "DEVIATION",
            "Of each gradient, as a mini-batch would have it");
  AddNumber(landscape, "--seed", &line->seed, "N", "Of the noise");
  AddFiles(landscape, line);
}

void AddHistory(CLI::App* app, CommandLine* line) {
  CLI::App* history = AddCommand(app, Command::kHistory, "history",
                                 "Show how runs went: losses, rates and norms by step", line);
  history
      ->add_option("--csv", line->csv, "Write every step and evaluation there as a row; -: stdout")
      ->type_name("FILE");
  history->add_option("--svg", line->svg, "Write a picture of loss and rate there")
      ->type_name("FILE");
  AddNumber(history, "--max-points", &line->max_points, "N",
            "So many steps of a run at most, up to 4096; 0: all that are kept");
  AddNumber(history, "--timeline", &line->timeline, "N", "Only of this timeline; 0: of all");
  AddNumber(history, "--first-step", &line->first_step, "N", "Only from this step on");
  AddCommand(app, Command::kCompare, "compare",
             "Show runs beside each other, the one with the lowest smoothed loss first", line);
}

// How `--dtype` calls them.
const std::map<std::string, v1::Encoding>& Types() {
  static const auto* const types =
      new std::map<std::string, v1::Encoding>{{"f32", v1::ENCODING_FLOAT32},
                                              {"bf16", v1::ENCODING_BFLOAT16},
                                              {"f16", v1::ENCODING_FLOAT16}};
  return *types;
}

void AddTransfers(CLI::App* app, CommandLine* line, std::string* type) {
  CLI::App* exports = AddCommand(app, Command::kExport, "export",
                                 "Write a checkpoint of a run to a safetensors file", line);
  exports->add_option("FILE", line->file, "The file")->type_name("");
  exports->add_flag(
      "--parameters-only", line->parameters_only,
      "Nothing but the parameters; of the present step, this needs no state directory");
  exports
      ->add_option("--step", line->export_step,
                   "The checkpoint of that step, which the run still has [one made now]")
      ->type_name("N")
      ->check(CheckWhole<int64_t>);
  AddNumber(exports, "--timeline", &line->timeline, "N",
            "With --step: on that timeline; 0: the run's own past");
  exports->add_option("--dtype", *type, "Parameters only, in this type [f32]")
      ->check(CLI::IsMember(Types()).description(""))
      ->type_name("f32|bf16|f16");

  CLI::App* imports = app->add_subcommand(
      "import", "Create a run from a checkpoint of gradd, which says how it trains");
  imports->preparse_callback([line](size_t) { line->command = Command::kImport; });
  imports->add_option("RUN", line->run, "The run")->required();
  imports->add_option("FILE", line->from, "The checkpoint; other files of weights: create --from")
      ->type_name("")
      ->required();
  imports->add_flag("--with-state", line->with_state,
                    "Go on as the run did that it is of: optimizer, step, window and data, too");
}

const char* GroupOf(const ShortName& name) {
  const std::string path = name.path;
  if (path.rfind("optimizer.", 0) == 0) return "Optimizer";
  if (path.rfind("schedule.", 0) == 0) return "Schedule";
  if (path.rfind("policy.", 0) == 0) return "Synchronization";
  if (path.rfind("data.", 0) == 0) return "Data";
  return "Options";
}

// The kinds that `name` belongs to, for the help text: `rmsprop, adam`; "" if to any.
std::string KindsOf(const std::string& name) {
  std::string kinds;
  if (!DependsOnKind(name)) return kinds;
  for (const ShortName& entry : ShortNames()) {
    if (entry.name != name) continue;
    const std::string path = entry.path;
    const size_t first = path.find('.');
    const size_t second = path.find('.', first + 1);
    absl::StrAppend(&kinds, kinds.empty() ? "" : ", ",
                    KindName(path.substr(first + 1, second - first - 1)));
  }
  return kinds;
}

CLI::Validator IsKind(const google::protobuf::Descriptor& type) {
  const auto check = [&type](const std::string& text) {
    return std::string(FindKind(type, text).status().message());
  };
  return CLI::Validator(check, "");
}

std::string HelpOf(const ShortName& entry) {
  const std::string path = entry.path;
  if (path == "optimizer.weight_decay") return WeightDecayHelp();
  if (path == "optimizer.weight_decay_mode") return WeightDecayModeHelp();
  const std::string kinds = KindsOf(entry.name);
  const char* const between = kinds.empty() || *entry.help == '\0' ? "" : ": ";
  return absl::StrCat(kinds, between, entry.help);
}

void AddCreate(CLI::App* app, CommandLine* line, std::map<std::string, std::string>* fields) {
  CLI::App* create =
      AddCommand(app, Command::kCreate, "create",
                 "Create a run from a layout, a file of weights or a whole spec", line);
  NewRun& run = line->new_run;
  create->add_flag("--if-absent", line->if_absent,
                   "Done, too, where the run is there already; what it has otherwise is said");
  create->add_option("--layout", line->layout, "The tensors, a Layout as protobuf JSON; -: stdin")
      ->type_name("FILE");
  create
      ->add_option("--from", line->from,
                   "Begin with the parameters in a safetensors file (F32, F16 or BF16), which then "
                   "says what the tensors are")
      ->type_name("FILE");
  create->add_option("--spec", line->spec, "A whole Run as protobuf JSON, alone; -: stdin")
      ->type_name("FILE");
  const std::vector<std::string> optimizers = KindNames(*v1::Optimizer::descriptor());
  create
      ->add_option(
          "--optimizer", run.optimizer,
          absl::StrCat("How a gradient changes the parameters: ", absl::StrJoin(optimizers, ", ")))
      ->check(IsKind(*v1::Optimizer::descriptor()))
      ->type_name("KIND")
      ->group("Optimizer");
  const std::vector<std::string> schedules = KindNames(*v1::Schedule::descriptor());
  create
      ->add_option("--schedule", run.schedule,
                   absl::StrCat("How the learning rate changes: ", absl::StrJoin(schedules, ", ")))
      ->check(IsKind(*v1::Schedule::descriptor()))
      ->type_name("KIND")
      ->group("Schedule");
  const std::vector<std::string> policies = KindNames(*v1::SynchronizationPolicy::descriptor());
  create
      ->add_option("--policy", run.policy,
                   absl::StrCat("How pushes become steps: ", absl::StrJoin(policies, ", "),
                                " [synchronous]"))
      ->check(IsKind(*v1::SynchronizationPolicy::descriptor()))
      ->type_name("KIND")
      ->group("Synchronization");
  create->add_flag(absl::StrCat("--", kAsync), (*fields)[kAsync], "Short for --policy asynchronous")
      ->group("Synchronization");
  for (const ShortName& entry : ShortNames()) {
    if (fields->count(entry.name) > 0 || std::string(entry.path) == kScheduleBegin) continue;
    std::string& value = (*fields)[entry.name];
    std::string flags = absl::StrCat("--", entry.name);
    if (*entry.alias != '\0') absl::StrAppend(&flags, ",--", entry.alias);
    const std::string help = HelpOf(entry);
    CLI::Option* option = *entry.value == '\0'
                              ? create->add_flag(flags, value, help)
                              : create->add_option(flags, value, help)->type_name(entry.value);
    option->group(GroupOf(entry));
  }
  create
      ->add_flag(absl::StrCat("--", kDecoupled), (*fields)[kDecoupled],
                 "Short for --weight-decay-mode decoupled")
      ->group("Optimizer");
}

absl::Status ParseText(const char* flag, const std::string& text, absl::Duration* duration) {
  absl::StatusOr<absl::Duration> parsed = ParseDurationText(text);
  if (!parsed.ok()) return UsageError(absl::StrCat(flag, ": ", parsed.status().message()));
  if (*parsed <= absl::ZeroDuration()) {
    return UsageError(absl::StrCat(flag, ": ", Quoted(text), " is not greater than 0"));
  }
  *duration = *parsed;
  return absl::OkStatus();
}

absl::Status CheckPrintable(const char* what, const std::string& text) {
  if (IsPrintableUtf8(text)) return absl::OkStatus();
  return UsageError(
      absl::StrCat(what, ": ", Quoted(text), " is not UTF-8 of characters that are seen"));
}

// What CLI11 cannot check by itself.
absl::Status CompleteCreate(std::map<std::string, std::string> fields, CommandLine* line) {
  NewRun& run = line->new_run;
  run.run = line->run;
  run.labels = line->labels;
  if (fields[kDecoupled] == "true") {
    std::string& mode = fields[kDecayMode];
    if (!mode.empty() && mode != "decoupled") {
      return UsageError(absl::StrCat("--", kDecoupled, " and --", kDecayMode, " ", Quoted(mode),
                                     " contradict each other"));
    }
    mode = "decoupled";
  }
  if (fields[kAsync] == "true") {
    if (!run.policy.empty() && run.policy != "asynchronous") {
      return UsageError(absl::StrCat("--", kAsync, " and --policy ", Quoted(run.policy),
                                     " contradict each other"));
    }
    run.policy = "asynchronous";
  }
  // In the order of the table, so that errors do not depend on the map's.
  for (const ShortName& entry : ShortNames()) {
    const auto field = fields.find(entry.name);
    const bool seen = !run.fields.empty() && run.fields.back().first == entry.name;
    if (!seen && field != fields.end() && !field->second.empty()) run.fields.emplace_back(*field);
  }
  if (!line->spec.empty()) {
    if (!line->layout.empty() || !run.fields.empty() || !run.optimizer.empty() ||
        !run.schedule.empty() || !run.policy.empty()) {
      return UsageError(
          "--spec describes the whole run; no other option but --from can go with it");
    }
    return absl::OkStatus();
  }
  if (line->layout.empty() && line->from.empty()) {
    return UsageError("create needs --layout, --from or --spec");
  }
  if (run.optimizer.empty()) run.optimizer = "sgd";
  if (run.schedule.empty()) run.schedule = "constant";
  const auto kind = FindKind(*v1::Optimizer::descriptor(), run.optimizer);
  GRADD_RETURN_IF_ERROR(kind.status());
  const auto number = static_cast<v1::Optimizer::KindCase>((*kind)->number());
  if (fields.at("learning-rate").empty() && !OwnRate(number).has_value()) {
    return UsageError("create needs --learning-rate");
  }
  return absl::OkStatus();
}

// Which runs are meant.
absl::Status CompleteRuns(std::vector<std::string>* assignments, CommandLine* line) {
  for (const std::string& text : line->label_texts) {
    const absl::StatusOr<Assignment> label = ParseAssignment(text);
    if (!label.ok()) {
      return UsageError(absl::StrCat("--label: ", Quoted(text), " is not KEY=VALUE"));
    }
    GRADD_RETURN_IF_ERROR(CheckPrintable("--label", text));
    line->labels[label->first] = label->second;
  }
  if (line->command == Command::kFork && RunId(line->new_run_id).empty()) {
    return UsageError("NEW is empty; expected a run's id, such as fashion-2");
  }
  GRADD_RETURN_IF_ERROR(CheckPrintable("NEW", line->new_run_id));
  if (NamesRuns(line->command)) {
    if (!line->labels.empty() && !line->runs.empty()) {
      return UsageError("RUN and --label are given; one of them says which runs are meant");
    }
    if (line->labels.empty() && line->runs.empty()) {
      return UsageError(
          "RUN is missing; expected runs' ids, such as fashion, or --label KEY=VALUE");
    }
    for (const std::string& run : line->runs) {
      if (RunId(run).empty()) {
        return UsageError("RUN is empty; expected a run's id, such as fashion");
      }
      GRADD_RETURN_IF_ERROR(CheckPrintable("RUN", run));
    }
  }
  if (line->command == Command::kCreate || !NamesRun(line->command)) return absl::OkStatus();
  if (!line->labels.empty() && !line->run.empty()) {
    // What stands where RUN would is the first of what comes after it.
    if (line->command == Command::kSet) {
      assignments->insert(assignments->begin(), std::exchange(line->run, ""));
    } else if (line->command == Command::kExport && line->file.empty()) {
      line->file = std::exchange(line->run, "");
    } else if (line->command == Command::kRace) {
      line->entries.insert(line->entries.begin(), std::exchange(line->run, ""));
    } else {
      return UsageError("RUN and --label are given; one of them says which runs are meant");
    }
  }
  if (line->labels.empty() && RunId(line->run).empty()) {
    return UsageError("RUN is empty; expected a run's id, such as fashion, or --label KEY=VALUE");
  }
  if (line->command == Command::kSet && assignments->empty()) {
    return UsageError("set needs FIELD=VALUE, such as learning-rate=0.01");
  }
  if (line->export_step.value_or(0) < 0) {
    return UsageError(absl::StrCat("--step: ", *line->export_step, ", a step from 0 on expected"));
  }
  if (line->command == Command::kExport && line->file.empty()) {
    return UsageError("export needs FILE, such as fashion.safetensors");
  }
  if (line->command == Command::kRace && line->entries.empty()) {
    return UsageError("race needs entries, such as adam sgd:0.1");
  }
  return absl::OkStatus();
}

// `100`, or `2/100` on timeline 2.
absl::Status ParsePlace(const std::string& text, int64_t* step, uint64_t* timeline) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits('/', 1));
  const bool has_timeline = absl::StrContains(text, '/');
  const absl::string_view number = has_timeline ? parts.second : parts.first;
  const bool valid = absl::SimpleAtoi(number, step) && *step >= 0 &&
                     (!has_timeline || (absl::SimpleAtoi(parts.first, timeline) && *timeline > 0));
  if (valid) return absl::OkStatus();
  return UsageError(absl::StrCat("STEP: ", Quoted(text),
                                 " is neither a step, such as 100, nor TIMELINE/STEP, such as "
                                 "2/100"));
}

absl::Status Complete(const Texts& texts, std::vector<std::string> assignments,
                      const std::map<std::string, std::string>& fields, CommandLine* line) {
  // The server sets, reads or writes billions of parameters before it answers.
  const bool takes_long = line->command == Command::kCreate || line->command == Command::kImport ||
                          line->command == Command::kCheckpoint ||
                          line->command == Command::kRestore || line->command == Command::kFork ||
                          line->command == Command::kDiff;
  const char* const timeout = takes_long ? "10m" : "10s";
  GRADD_RETURN_IF_ERROR(
      ParseText("--timeout", texts.timeout.empty() ? timeout : texts.timeout, &line->timeout));
  GRADD_RETURN_IF_ERROR(ParseText("--interval", texts.interval, &line->interval));
  GRADD_RETURN_IF_ERROR(ParseText("--reconnect", texts.reconnect, &line->reconnect));
  GRADD_RETURN_IF_ERROR(ParseText("--idle-timeout", texts.idle_timeout, &line->idle_timeout));
  GRADD_RETURN_IF_ERROR(CompleteRuns(&assignments, line));
  if (line->command == Command::kCreate && RunId(line->run).empty()) {
    return UsageError("RUN is empty; expected a run's id, such as fashion");
  }
  // gRPC would report other bytes as an error of the server.
  GRADD_RETURN_IF_ERROR(CheckPrintable("RUN", line->run));
  const bool sends_author = line->command == Command::kSet || line->command == Command::kPause ||
                            line->command == Command::kResume ||
                            line->command == Command::kFinish ||
                            line->command == Command::kRestore || line->command == Command::kFork;
  if (sends_author) GRADD_RETURN_IF_ERROR(CheckPrintable("--author", line->author));
  GRADD_RETURN_IF_ERROR(CheckPrintable("--reason", line->reason));
  for (const std::string& text : assignments) {
    absl::StatusOr<Assignment> assignment = ParseAssignment(text);
    if (!assignment.ok()) return assignment.status();
    line->changes.push_back(*std::move(assignment));
  }
  if (line->command == Command::kCreate) return CompleteCreate(fields, line);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CommandLine> ParseCommandLine(std::vector<std::string> args,
                                             const std::string& user) {
  CommandLine line;
  line.server = "127.0.0.1:50051";
  line.author = user;
  Texts texts;
  std::vector<std::string> assignments;
  std::vector<std::string> places;
  std::map<std::string, std::string> fields;
  std::string view = "evaluation";

  CLI::App app("Creates, watches and changes the training runs of a gradd server.", "gradctl");
  app.footer(kFooter);
  app.require_subcommand(1);
  app.fallthrough();
  app.set_version_flag("--version", absl::StrCat("gradctl ", kVersion));
  AddConfigOption(&app, "GRADCTL_CONFIG");
  app.add_option("--server", line.server, "Where gradd listens")
      ->type_name("HOST:PORT")
      ->envname(VariableOf("server"))
      ->capture_default_str();
  app.add_flag("--json", line.json, "For scripts: print JSON")->envname(VariableOf("json"));
  app.add_option(
         "--timeout", texts.timeout,
         "Longest wait for an answer [10s; create, import, checkpoint, restore, fork, diff: 10m]")
      ->type_name("DURATION")
      ->envname(VariableOf("timeout"));

  AddCreate(&app, &line, &fields);
  AddCommand(&app, Command::kList, "list", "List the runs", &line);
  AddCommand(&app, Command::kShow, "show", "Show a run: tensors, settings, progress, workers",
             &line);

  CLI::App* watch =
      AddCommand(&app, Command::kWatch, "watch",
                 "Follow a run until it is finished, or has diverged and has no workers", &line);
  watch->add_option("--interval", texts.interval, "Shortest time between two updates")
      ->type_name("DURATION")
      ->capture_default_str();
  watch->add_option("--reconnect", texts.reconnect, "How long to try to reach a lost server again")
      ->type_name("DURATION")
      ->capture_default_str();

  CLI::App* set = AddCommand(&app, Command::kSet, "set", "Change a run while it trains", &line);
  set->add_option("FIELD=VALUE", assignments,
                  "learning-rate=0.01, or a field path: optimizer.adam.beta1=0.95; "
                  "VALUE `default` clears the field, where it has one. Another schedule or warm-up "
                  "counts from the change; begins-at=0 counts from the run's first step instead; "
                  "policy=bounded-staleness staleness-bound=3, or another --policy of create with "
                  "its options, replaces the policy; "
                  "labels.KEY=VALUE, without VALUE to take the label away")
      ->type_name("");
  AddAuthor(set, &line);

  AddAuthor(AddCommand(&app, Command::kPause, "pause", "Hold all steps of a run", &line), &line);
  AddAuthor(AddCommand(&app, Command::kResume, "resume", "Let a paused run go on", &line), &line);
  CLI::App* finish = AddCommand(&app, Command::kFinish, "finish",
                                "End a run early; a larger max-steps lets it go on", &line);
  AddAuthor(finish, &line);
  finish->add_option("--reason", line.reason, "What for, for people")->type_name("TEXT");
  AddCommand(&app, Command::kDelete, "delete", "Delete a run and its state", &line);

  CLI::App* pull =
      AddCommand(&app, Command::kPull, "pull", "Write a run's parameters to a file", &line);
  pull->add_option("--output", line.output,
                   "NAME.safetensors, or NAME.f32 for bare little-endian float32")
      ->required()
      ->type_name("FILE");
  pull->add_option("--view", view, "Which parameters; they differ for nesterov look-ahead")
      ->check(CLI::IsMember({"evaluation", "training", "average"}).description(""))
      ->type_name("evaluation|training|average")
      ->capture_default_str();

  AddCheckpoints(&app, &line, &assignments, &places);
  std::string type;
  AddTransfers(&app, &line, &type);
  AddHistory(&app, &line);
  AddLrFind(&app, &line, &texts);
  AddRace(&app, &line, &texts);
  AddLandscape(&app, &line);

  RefuseEmptyValues(&app);
  // CLI11 takes them from the back.
  std::reverse(args.begin(), args.end());
  try {
    app.parse(std::move(args));
  } catch (const CLI::CallForHelp&) {
    line.command = Command::kText;
    line.text = app.help();
    return line;
  } catch (const CLI::CallForVersion& version) {
    line.command = Command::kText;
    line.text = absl::StrCat(version.what(), "\n");
    return line;
  } catch (const CLI::ParseError& error) {
    const std::vector<std::string> unknown = app.remaining();
    const bool no_command = app.get_subcommands().empty() && !unknown.empty();
    return UsageError(
        absl::StrCat(no_command ? absl::StrCat("unknown command or option ", Quoted(unknown[0]))
                                : ParseErrorText(app, error),
                     "; see gradctl --help"));
  }
  line.view = view == "training"  ? v1::PARAMETER_VIEW_TRAINING
              : view == "average" ? v1::PARAMETER_VIEW_AVERAGE
                                  : v1::PARAMETER_VIEW_EVALUATION;
  if (line.command == Command::kDiff) {
    GRADD_RETURN_IF_ERROR(ParsePlace(places[0], &line.step, &line.timeline));
    GRADD_RETURN_IF_ERROR(ParsePlace(places[1], &line.other_step, &line.other_timeline));
  }
  if (!type.empty()) {
    line.encoding = Types().at(type);
    line.parameters_only = true;
  }
  GRADD_RETURN_IF_ERROR(Complete(texts, assignments, fields, &line));
  return line;
}

bool WantsJson(const std::vector<std::string>& args) {
  if (std::find(args.begin(), args.end(), "--json") != args.end()) return true;
  const char* variable = std::getenv("GRADD_JSON");
  bool json = false;
  return variable != nullptr && absl::SimpleAtob(variable, &json) && json;
}

}  // namespace gradd::ctl
