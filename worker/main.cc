// gradworker: one worker process. The training itself is worker/training_loop.h.

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
#include "client/session.h"
#include "core/base/error.h"
#include "core/base/thread_pool.h"
#include "worker/blas.h"
#include "worker/data/batch_sampler.h"
#include "worker/data/load.h"
#include "worker/evaluation_client.h"
#include "worker/models/model_factory.h"
#include "worker/options.h"
#include "worker/training_loop.h"

namespace gradd {
namespace {

constexpr int kInterrupted = 130;
// The reason of an error that is one of the command line.
constexpr char kUsage[] = "USAGE";

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

class ClientSession : public TrainingSession {
 public:
  explicit ClientSession(std::unique_ptr<Session> session) : session_(std::move(session)) {}

  std::future<absl::StatusOr<PushReport>> Push(const Session::PushInfo& info,
                                               absl::Span<const float> gradient,
                                               absl::Span<float> parameters) override {
    if (!session_->gradient().empty()) return session_->Push(info);
    return session_->Push(info, gradient, parameters);
  }
  absl::StatusOr<int64_t> Pull(absl::Span<float> parameters) override {
    return parameters.empty() ? session_->Pull() : session_->Pull(parameters);
  }
  absl::Span<float> gradient() const override { return session_->gradient(); }
  absl::Span<const float> parameters() const override { return session_->parameters(); }
  absl::Status Leave() override { return session_->Leave(); }
  int64_t next_sequence() const override { return session_->next_sequence(); }
  bool finished() const override { return session_->finished(); }

 private:
  std::unique_ptr<Session> session_;
};

absl::Status PrintLayout(const v1::Layout& layout) {
  std::string json;
  google::protobuf::util::JsonPrintOptions print;
  print.add_whitespace = true;
  const auto printed = google::protobuf::util::MessageToJsonString(layout, &json, print);
  if (!printed.ok()) return absl::InternalError(std::string(printed.message()));
  fputs(json.c_str(), stdout);
  return absl::OkStatus();
}

// An error of the command line that only shows once the data is there.
absl::Status UsageError(const absl::Status& status) {
  return Error(status.code(), kUsage, status.message());
}

absl::Status RunWorker(const WorkerOptions& options) {
  const absl::StatusOr<TrainAndTest> data = LoadData(options.data);
  if (!data.ok()) {
    return options.data.kind == DataKind::kSynthetic ? UsageError(data.status()) : data.status();
  }
  const Dataset& train = data->train;
  ThreadPool pool(options.threads > 0
                      ? options.threads
                      : static_cast<int>(std::max(1U, std::thread::hardware_concurrency())));
  const absl::StatusOr<std::unique_ptr<Model<float>>> model =
      CreateModel(options.model, train.features(), train.classes(), &pool);
  if (!model.ok()) return UsageError(model.status());
  if (options.print_layout) return PrintLayout((*model)->layout());
  absl::StatusOr<BatchSampler> sampler = BatchSampler::Create(
      {train.examples(), options.workers, options.rank, options.batch, options.seed});
  if (!sampler.ok()) return UsageError(sampler.status());

  SessionOptions session_options;
  session_options.server = options.server;
  session_options.run = options.run;
  session_options.worker = options.worker;
  session_options.layout = (*model)->layout();
  session_options.shared_memory = options.shared_memory;
  session_options.push_encoding = options.push_encoding;
  session_options.parameter_encodings = {options.parameter_encoding};
  session_options.give_up_after = options.give_up_after;
  session_options.log = PrintLine;
  absl::StatusOr<std::unique_ptr<Session>> session = Session::Open(std::move(session_options));
  if (!session.ok()) {
    return ReasonOf(session.status()) == "ADDRESS_INVALID" ? UsageError(session.status())
                                                           : session.status();
  }
  joined = true;
  PrintLine(absl::StrCat("worker ", options.worker, " joins ", options.run, " at sequence ",
                         (*session)->next_sequence(), ": ", (*model)->parameter_count(),
                         " parameters, ", train.examples(), " examples, ",
                         sampler->batch_examples(), " per step, ", BlasKernels(), " kernels"));

  std::optional<EvaluationClient> evaluation;
  if (options.evaluates()) {
    EvaluationClientOptions evaluation_options;
    evaluation_options.server = options.server;
    evaluation_options.run = options.run;
    evaluation_options.give_up_after = options.give_up_after;
    evaluation_options.stop = &stop_requested;
    evaluation.emplace(std::move(evaluation_options));
  }
  TrainingLoopOptions loop_options;
  loop_options.steps = options.steps;
  loop_options.eval_every = options.eval_every;
  loop_options.delay = options.delay;
  loop_options.prefetch = options.prefetch;
  loop_options.stop = &stop_requested;
  loop_options.log = PrintLine;
  TrainingLoop loop(std::move(loop_options), model->get(), &train, &data->test, *std::move(sampler),
                    std::make_unique<ClientSession>(*std::move(session)),
                    evaluation.has_value() ? &*evaluation : nullptr);
  const absl::StatusOr<TrainingSummary> summary = loop.Run();
  if (!summary.ok()) return summary.status();
  PrintLine(absl::StrCat("worker ", options.worker, summary->stopped ? " stopped" : " done", ": ",
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
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
  absl::Status status = gradd::RunWorker(options);
  status.Update(gradd::FlushStandardOutput());
  if (status.ok()) return 0;
  fprintf(stderr, "gradworker: %s\n", std::string(status.message()).c_str());
  return gradd::ReasonOf(status) == gradd::kUsage ? 2 : 1;
}
