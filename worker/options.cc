#include "worker/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <limits>
#include <map>
#include <type_traits>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "cli/program_options.h"
#include "core/base/mix.h"
#include "core/base/utf8.h"
#include "core/base/version.h"

namespace gradd {
namespace {

constexpr char kFooter[] =
    "Every option can also be given as an environment variable (GRADD_EVAL_EVERY for\n"
    "--eval-every) or in a file of lines like eval-every=100 (--config,\n"
    "GRADWORKER_CONFIG).\n"
    "\n"
    "All workers of a run are started with the same model, data, --batch, --seed and\n"
    "--workers, and ranks from 0 to workers - 1. A worker that is started again under its\n"
    "id goes on with its next mini-batch. Beside its run, a worker trains the copies that\n"
    "`gradctl lr-find` and `gradctl race` make of it.\n"
    "\n"
    "Where the run has a data set (gradctl create --examples), the server hands out its\n"
    "batches: any number of workers come and go, without --rank, --workers and\n"
    "--batch. Trials of such a run have batches as large.\n"
    "\n"
    "  gradworker --model mlp --hidden 256 --data fashion-mnist --print-layout |\n"
    "    gradctl create demo --layout - --optimizer adam --learning-rate 0.001 --workers 1\n"
    "  gradworker --model mlp --hidden 256 --data fashion-mnist --run demo\n"
    "\n"
    "SIGINT and SIGTERM: leave the run and exit with 0; a second one ends the program at\n"
    "once with 130. Exit codes: 0 the run is finished, --steps are done or stopped; 1 bad\n"
    "data, a refused push, or no server for --give-up-seconds; 2 wrong usage.";

constexpr char kModelGroup[] = "Model";
constexpr char kDataGroup[] = "Data";
constexpr char kTrainingGroup[] = "Training";
constexpr char kNetworkGroup[] = "Network";

template <typename T>
CLI::Option* AddOption(CLI::App* app, const char* group, const std::string& name, T* value,
                       const std::string& help) {
  CLI::Option* const option = app->add_option("--" + name, *value, help)
                                  ->envname(VariableOf(name))
                                  ->group(group)
                                  ->capture_default_str();
  if constexpr (std::is_integral_v<T>) option->check(CheckWhole<T>);
  if constexpr (std::is_floating_point_v<T>) option->check(CheckNumber);
  if constexpr (std::is_same_v<T, std::vector<int64_t>>) option->check(CheckWhole<int64_t>);
  if constexpr (std::is_same_v<T, std::vector<double>>) option->check(CheckNumber);
  return option;
}

// An option whose value is one of some words.
template <typename T>
void AddChoice(CLI::App* app, const char* group, const std::string& name, T* value,
               const std::map<std::string, T>& choices, const std::string& fallback,
               const std::string& help) {
  std::string words;
  for (const auto& choice : choices) words += (words.empty() ? "" : ", ") + choice.first;
  app->add_option_function<std::string>(
         "--" + name,
         [=](const std::string& word) {
           const auto choice = choices.find(word);
           if (choice == choices.end()) {
             throw CLI::ValidationError("--" + name, Quoted(word) + " is none of " + words);
           }
           *value = choice->second;
         },
         help)
      ->envname(VariableOf(name))
      ->group(group)
      ->type_name("{" + words + "}")
      ->default_str(fallback);
}

const std::map<std::string, DataKind>& DataKinds() {
  static const auto* const kinds =
      new std::map<std::string, DataKind>{{"idx", DataKind::kIdx},
                                          {"fashion-mnist", DataKind::kFashionMnist},
                                          {"csv", DataKind::kCsv},
                                          {"synthetic", DataKind::kSynthetic}};
  return *kinds;
}

// Options that only one kind of data reads.
struct DataOption {
  const char* name;
  DataKind kind;
  bool required = false;
};

constexpr DataOption kDataOptions[] = {
    {"--data-dir", DataKind::kFashionMnist},
    {"--train-images", DataKind::kIdx, true},
    {"--train-labels", DataKind::kIdx, true},
    {"--test-images", DataKind::kIdx},
    {"--test-labels", DataKind::kIdx},
    {"--train-csv", DataKind::kCsv, true},
    {"--test-csv", DataKind::kCsv},
    {"--label-column", DataKind::kCsv},
    {"--csv-header", DataKind::kCsv},
    {"--examples", DataKind::kSynthetic},
    {"--test-examples", DataKind::kSynthetic},
    {"--features", DataKind::kSynthetic},
    {"--noise", DataKind::kSynthetic},
};

// Whether the options that were given fit the kind of data; empty if they do.
std::string CheckData(const CLI::App& app, DataKind kind) {
  const auto name_of = [](DataKind wanted) {
    const auto found = std::find_if(DataKinds().begin(), DataKinds().end(),
                                    [wanted](const auto& entry) { return entry.second == wanted; });
    return found->first;
  };
  for (const DataOption& option : kDataOptions) {
    const bool given = app.count(option.name) > 0;
    if (given && kind == DataKind::kGradientNoise) {
      return absl::StrCat(option.name, " belongs to --data ", name_of(option.kind),
                          ", and a landscape has no data");
    }
    if (given && option.kind != kind) {
      return absl::StrCat(option.name, " belongs to --data ", name_of(option.kind),
                          ", and this is --data ", name_of(kind));
    }
    if (!given && option.kind == kind && option.required) {
      return absl::StrCat("--data ", name_of(kind), " needs ", option.name);
    }
  }
  if (app.count("--test-images") != app.count("--test-labels")) {
    return "--test-images and --test-labels: one found, both or none expected";
  }
  return "";
}

// What the parser cannot see in a single option; empty if all is well.
std::string Check(const CLI::App& app, const WorkerOptions& options) {
  if (!options.print_layout && options.run.empty()) return "--run is required";
  if (options.workers < 1) return "--workers: at least 1 expected";
  if (options.rank < 0 || options.rank >= options.workers) {
    return "--rank: " + std::to_string(options.rank) +
           ", between 0 and workers - 1 = " + std::to_string(options.workers - 1) + " expected";
  }
  if (!(options.push_encoding.fraction > 0 && options.push_encoding.fraction <= 1)) {
    return "--fraction: " + absl::StrCat(options.push_encoding.fraction) +
           ", above 0 and up to 1 expected";
  }
  if (options.data.classes < 0) {
    return absl::StrCat("--classes: ", options.data.classes, " found, at least 0 expected");
  }
  const bool mlp = options.model.kind == ModelKind::kMlp;
  if (mlp && options.model.hidden.empty()) return "--model mlp needs --hidden";
  if (!mlp && !options.model.hidden.empty()) {
    return "--hidden belongs to --model mlp, and this is another model";
  }
  for (const int64_t width : options.model.hidden) {
    if (width < 1) return absl::StrCat("--hidden: width ", width, " found, at least 1 expected");
  }
  const bool landscape = options.model.kind == ModelKind::kLandscape;
  for (const char* const name : {"--landscape", "--start", "--gradient-noise"}) {
    if (!landscape && app.count(name) > 0) {
      return absl::StrCat(name, " belongs to --model landscape, and this is another model");
    }
  }
  if (landscape && app.count("--data") > 0) return "--data: found, none expected for a landscape";
  return CheckData(app, options.data.kind);
}

}  // namespace

std::optional<int> ParseWorkerOptions(int argc, const char* const* argv, WorkerOptions* options) {
  CLI::App app(
      "gradworker, gradd's reference worker: computes mini-batch gradients of a model and\n"
      "pushes them to a run on a gradd server.",
      "gradworker");
  int64_t delay_ms = 0;
  int64_t give_up_seconds = absl::ToInt64Seconds(options->give_up_after);
  std::string batch = std::to_string(options->batch);
  SyntheticOptions* synthetic = &options->data.synthetic;
  const char* group = "Run";
  AddOption(&app, group, "server", &options->server,
            "Address of the server, HOST:PORT or unix:PATH");
  AddOption(&app, group, "run", &options->run, "Run to take part in");
  AddOption(&app, group, "worker", &options->worker,
            "This worker's stable id, unique in the run; default: w and the rank, or where the run "
            "has a data set, the host and the process");
  AddOption(&app, group, "rank", &options->rank,
            "Which share of the data this worker has, from 0; not where the run has a data set");
  AddOption(&app, group, "workers", &options->workers,
            "Workers that share the data; not where the run has a data set");
  AddOption(&app, group, "give-up-seconds", &give_up_seconds,
            "Longest time to look for a lost server before giving up")
      ->check(Between<int64_t>(0, int64_t{1} << 31));

  AddChoice<ModelKind>(
      &app, kModelGroup, "model", &options->model.kind,
      {{"softmax", ModelKind::kSoftmax},
       {"mlp", ModelKind::kMlp},
       {"linear", ModelKind::kLinear},
       {"landscape", ModelKind::kLandscape}},
      "softmax",
      "Softmax regression, multi-layer perceptron, linear regression, or a function of two "
      "parameters, which has no data");
  std::map<std::string, Landscape> landscapes;
  for (const LandscapeInfo& info : Landscapes()) landscapes[info.name] = info.landscape;
  AddChoice<Landscape>(&app, kModelGroup, "landscape", &options->model.landscape, landscapes,
                       "bowl", "landscape: which function");
  std::vector<double> start;
  AddOption(&app, kModelGroup, "start", &start,
            "landscape: where its path begins, as X,Y; default: where it shows most")
      ->delimiter(',');
  AddOption(&app, kModelGroup, "gradient-noise", &options->data.gradient_noise,
            "landscape: deviation of the noise in the gradient of each example");
  AddOption(&app, kModelGroup, "hidden", &options->model.hidden,
            "Widths of the hidden layers of mlp, such as 256,128")
      ->delimiter(',');
  app.add_flag(
         "--print-layout", options->print_layout,
         "Do not train: print the model's layout as JSON, as gradctl create --layout reads it")
      ->group(kModelGroup);

  AddChoice<DataKind>(&app, kDataGroup, "data", &options->data.kind, DataKinds(), "fashion-mnist",
                      "Where examples come from; files may be gzip");
  AddOption(&app, kDataGroup, "data-dir", &options->data.data_dir,
            "fashion-mnist: directory of its four files");
  AddOption(&app, kDataGroup, "train-images", &options->data.train_images, "idx: training images");
  AddOption(&app, kDataGroup, "train-labels", &options->data.train_labels, "idx: their labels");
  AddOption(&app, kDataGroup, "test-images", &options->data.test_images, "idx: held-out images");
  AddOption(&app, kDataGroup, "test-labels", &options->data.test_labels, "idx: their labels");
  AddOption(&app, kDataGroup, "train-csv", &options->data.train_csv, "csv: training examples");
  AddOption(&app, kDataGroup, "test-csv", &options->data.test_csv,
            "csv: held-out examples; with a header, columns are matched by name");
  AddOption(&app, kDataGroup, "label-column", &options->data.label_column,
            "csv: the column to predict, by name or number from 0; default: the last");
  AddChoice<CsvOptions::Header>(&app, kDataGroup, "csv-header", &options->data.csv_header,
                                {{"auto", CsvOptions::Header::kAuto},
                                 {"yes", CsvOptions::Header::kYes},
                                 {"no", CsvOptions::Header::kNo}},
                                "auto",
                                "csv: whether the first line has names; auto: if it has no number");
  AddOption(&app, kDataGroup, "examples", &synthetic->examples, "synthetic: training examples");
  AddOption(&app, kDataGroup, "test-examples", &synthetic->test_examples,
            "synthetic: held-out examples");
  AddOption(&app, kDataGroup, "features", &synthetic->features, "synthetic: numbers per example");
  AddOption(&app, kDataGroup, "noise", &synthetic->noise,
            "synthetic: deviation around a class's centre or the linear function");
  AddOption(&app, kDataGroup, "classes", &options->data.classes,
            "Number of classes; 0: as the training labels show (synthetic: 10)");
  AddChoice<std::optional<Standardization>>(
      &app, kDataGroup, "standardize", &options->data.standardization,
      {{"auto", std::nullopt},
       {"none", Standardization::kNone},
       {"global", Standardization::kGlobal},
       {"feature", Standardization::kFeature}},
      "auto",
      "Take the training set's mean and deviation out of the "
      "features, over all numbers or feature by feature; auto: "
      "global for images, feature for csv");

  app.add_flag("--shared-memory,!--no-shared-memory", options->shared_memory,
               "Exchange gradients and parameters in shared memory where the server is on this "
               "host and has room (the default)")
      ->envname("GRADD_SHARED_MEMORY")
      ->group("Run");
  AddOption(
      &app, kTrainingGroup, "batch", &batch,
      "Examples per worker and step: a number, or full for all of the worker's share. Not used "
      "where the run has a data set, but by its trials");
  AddOption(&app, kTrainingGroup, "steps", &options->steps,
            "Stop after this many pushes of this worker, restarts included; 0: when the run "
            "is finished")
      ->check(Between<int64_t>(0, int64_t{1} << 53));
  AddOption(&app, kTrainingGroup, "seed", &options->seed,
            "Seed of the shuffles and of synthetic data");
  AddOption(&app, kTrainingGroup, "threads", &options->threads,
            "Threads that compute gradients; 0: one per core. The results are the same")
      ->check(Between(0, 1024));
  AddOption(&app, kTrainingGroup, "eval-every", &options->eval_every,
            "Steps between two evaluations of the held-out set; 0: only at the end")
      ->check(Between<int64_t>(0, int64_t{1} << 53));
  AddChoice<WorkerOptions::Evaluate>(&app, kTrainingGroup, "evaluate", &options->evaluate,
                                     {{"rank-zero", WorkerOptions::Evaluate::kRankZero},
                                      {"yes", WorkerOptions::Evaluate::kYes},
                                      {"no", WorkerOptions::Evaluate::kNo}},
                                     "rank-zero", "Whether this worker evaluates the held-out set");
  app.add_flag("--prefetch,!--no-prefetch", options->prefetch,
               "Compute the next gradient while a push is on its way, at parameters that are "
               "then one step old; for asynchronous runs")
      ->envname("GRADD_PREFETCH")
      ->group(kTrainingGroup);
  AddChoice<PushEncoding::Kind>(
      &app, kNetworkGroup, "push-encoding", &options->push_encoding.kind,
      {{"float32", PushEncoding::Kind::kFloat32},
       {"bfloat16", PushEncoding::Kind::kBfloat16},
       {"float16", PushEncoding::Kind::kFloat16},
       {"int8", PushEncoding::Kind::kInt8},
       {"top-k", PushEncoding::Kind::kTopK},
       {"random-k", PushEncoding::Kind::kRandomK},
       {"rows", PushEncoding::Kind::kRows}},
      "float32",
      "How gradients are sent: 4, 2, 2 or 1 bytes per element, a few elements while the others "
      "wait for the next push, or only rows of tensors that are not all zeros");
  AddOption(&app, kNetworkGroup, "fraction", &options->push_encoding.fraction,
            "top-k, random-k: which part of the elements a push sends, above 0 and up to 1");
  AddChoice<v1::Encoding>(&app, kNetworkGroup, "parameter-encoding", &options->parameter_encoding,
                          {{"float32", v1::ENCODING_FLOAT32},
                           {"bfloat16", v1::ENCODING_BFLOAT16},
                           {"float16", v1::ENCODING_FLOAT16}},
                          "float32", "How parameters come back: 4 or 2 bytes per element");
  AddOption(&app, kTrainingGroup, "delay", &delay_ms,
            "Milliseconds to wait before each push, to play a slow machine")
      ->check(Between<int64_t>(0, int64_t{1} << 31));

  AddConfigOption(&app, "GRADWORKER_CONFIG");
  app.set_version_flag("--version", std::string("gradworker ") + kVersion);
  app.footer(kFooter);
  RefuseEmptyValues(&app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return ExitAfterParsing(app, error);
  }
  const bool landscape = options->model.kind == ModelKind::kLandscape;
  if (landscape) options->data.kind = DataKind::kGradientNoise;
  if (start.size() == 2) options->model.start = {start[0], start[1]};
  std::string wrong = Check(app, *options);
  if (!start.empty() && start.size() != 2) {
    wrong = absl::StrCat("--start: ", start.size(), " numbers found, X,Y expected");
  }
  if (batch == "full") {
    options->batch = 0;
  } else if (!absl::SimpleAtoi(batch, &options->batch) || options->batch < 1) {
    wrong = "--batch: " + Quoted(batch) + " found, full or a whole number from 1 to " +
            std::to_string(std::numeric_limits<int64_t>::max()) + " expected";
  }
  if (!wrong.empty()) {
    std::fprintf(stderr, "gradworker: %s\nRun with --help for more information.\n", wrong.c_str());
    return 2;
  }
  options->has_rank = app.count("--rank") + app.count("--workers") > 0;
  options->has_worker = !options->worker.empty();
  options->has_batch = app.count("--batch") > 0;
  if (options->worker.empty()) options->worker = "w" + std::to_string(options->rank);
  options->data.regression = options->model.kind == ModelKind::kLinear;
  options->data.seed = options->seed;
  options->push_encoding.seed = MixKey(options->seed, static_cast<uint64_t>(options->rank));
  options->delay = absl::Milliseconds(delay_ms);
  options->give_up_after = absl::Seconds(give_up_seconds);
  return std::nullopt;
}

}  // namespace gradd
