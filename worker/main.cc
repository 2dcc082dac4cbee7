// gradworker: one worker process. The training itself is worker/run_trainer.h.

#include <google/protobuf/util/json_util.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cli/program_options.h"
#include "cli/signals.h"
#include "core/base/error.h"
#include "core/base/thread_pool.h"
#include "core/base/utf8.h"
#include "worker/blas.h"
#include "worker/data/load.h"
#include "worker/models/model_factory.h"
#include "worker/options.h"
#include "worker/run_trainer.h"
#include "worker/trial_crew.h"

namespace gradd {
namespace {

constexpr int kInterrupted = 130;
std::atomic<bool> stop_requested{false};
std::atomic<bool> joined{false};
static_assert(std::atomic<bool>::is_always_lock_free, "used in a signal handler");

// The first signal lets the loop end in its own time. Before the run is joined there is
// nothing to leave, and at the second one the user means it.
void OnSignal(int /*number*/) {
  const bool second = stop_requested.exchange(true);
  if (second) _exit(kInterrupted);
  if (!joined.load()) _exit(0);
}

// One line, at once: people watch, and other programs read along.
void PrintLine(const std::string& line) {
  printf("%s\n", line.c_str());
  fflush(stdout);
}

absl::Status PrintLayout(const v1::Layout& layout) {
  std::string json;
  google::protobuf::util::JsonPrintOptions print;
  print.add_whitespace = true;
  const auto printed = google::protobuf::util::MessageToJsonString(layout, &json, print);
  if (!printed.ok()) return absl::InternalError(std::string(printed.message()));
  fputs(json.c_str(), stdout);
  return absl::OkStatus();
}

// Trains a trial of the run, whose end is nothing to fail for.
void TrainTrial(const RunTrainer& trainer, const std::string& run, const std::atomic<bool>* stop) {
  RunTrainer::Job job;
  job.run = run;
  job.stop = stop;
  const absl::StatusOr<TrainingSummary> summary = trainer.Train(job);
  PrintLine(summary.ok() ? absl::StrCat("trial ", run, " done: step ", summary->step)
                         : absl::StrCat("trial ", run, " over: ", summary.status().message()));
}

absl::Status RunWorker(const WorkerOptions& options) {
  const absl::StatusOr<TrainAndTest> data = LoadData(options.data);
  if (!data.ok()) {
    return options.data.kind == DataKind::kSynthetic ? UsageError(data.status()) : data.status();
  }
  ThreadPool pool(options.threads > 0
                      ? options.threads
                      : static_cast<int>(std::max(1U, std::thread::hardware_concurrency())));
  if (options.print_layout) {
    const absl::StatusOr<std::unique_ptr<Model<float>>> model =
        CreateModel(options.model, data->train.features(), data->train.classes(), &pool);
    return model.ok() ? PrintLayout((*model)->layout()) : UsageError(model.status());
  }
  const RunTrainer trainer(&options, &*data, &pool, PrintLine);
  TrialCrew crew([&trainer](const std::string& run, const std::atomic<bool>* stop) {
    TrainTrial(trainer, run, stop);
  });
  RunTrainer::Job job;
  job.run = options.run;
  job.steps = options.steps;
  job.evaluates = options.evaluates();
  job.stop = &stop_requested;
  job.on_join = [] { joined = true; };
  job.on_trial = [&crew](const std::string& run) { crew.Begin(run); };
  const absl::StatusOr<TrainingSummary> summary = trainer.Train(job);
  if (!summary.ok()) return summary.status();
  PrintLine(absl::StrCat("worker ", summary->worker, summary->stopped ? " stopped" : " done", ": ",
                         summary->applied, " of ", summary->pushes, " pushes applied, step ",
                         summary->step));
  return absl::OkStatus();
}

}  // namespace
}  // namespace gradd

int main(int argc, char** argv) {
  gradd::RestartWithBetterBlasKernels(argv);
  gradd::WorkerOptions options;
  const std::optional<int> exit_code = gradd::ParseWorkerOptions(argc, argv, &options);
  if (exit_code.has_value()) return *exit_code;
  struct sigaction action = {};
  action.sa_handler = gradd::OnSignal;
  const sigset_t stop = gradd::StopSignals();
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    if (sigismember(&stop, number) == 1) sigaction(number, &action, nullptr);
  }
  signal(SIGPIPE, SIG_IGN);
  gradd::IgnoreStraySignals();
  absl::Status status = gradd::RunWorker(options);
  status.Update(gradd::FlushStandardOutput());
  if (status.ok()) return 0;
  fprintf(stderr, "gradworker: %s\n", gradd::ForTerminal(status.message()).c_str());
  return gradd::ReasonOf(status) == gradd::kUsageReason ? 2 : 1;
}
