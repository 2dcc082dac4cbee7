#include "worker/run_trainer.h"

#include <unistd.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/session.h"
#include "core/base/error.h"
#include "core/base/mix.h"
#include "worker/blas.h"
#include "worker/client_session.h"
#include "worker/data/batch_sampler.h"
#include "worker/evaluation_client.h"
#include "worker/models/model_factory.h"

namespace gradd {

namespace {

// `1970 left of epoch 2, `; empty where the run has no data set.
std::string EpochText(const Session& session) {
  if (!session.data().has_value()) return "";
  const v1::WelcomeData& data = *session.data();
  return absl::StrCat(data.epoch_examples_left(), " left of epoch ", data.epoch() + 1, ", ");
}

// An address that can be none is the command line's.
absl::Status AddressIsUsage(const absl::Status& status) {
  return ReasonOf(status) == "ADDRESS_INVALID" ? UsageError(status) : status;
}

}  // namespace

absl::Status UsageError(const absl::Status& status) {
  return Error(status.code(), kUsageReason, status.message());
}

absl::Status RunTrainer::CheckDataSet(const v1::DataSet& data_set, const WorkerOptions& options,
                                      int64_t examples) {
  if (options.has_rank) {
    return UsageError(absl::FailedPreconditionError(
        absl::StrCat("--rank and --workers: given, and the run has a data set whose batches the "
                     "server hands out; leave them away")));
  }
  if (data_set.examples() == examples) return absl::OkStatus();
  return UsageError(absl::FailedPreconditionError(absl::StrCat(
      "--data: it has ", examples, " examples, and the run's data set ", data_set.examples())));
}

std::string RunTrainer::WorkerId() const {
  if (options_.has_worker) return options_.worker;
  char host[64] = {};
  if (gethostname(host, sizeof(host) - 1) != 0) return absl::StrCat("worker-", getpid());
  return absl::StrCat(host, "-", getpid());
}

absl::StatusOr<TrainingSummary> RunTrainer::Train(const Job& job) const {
  const Dataset& train = data_.train;
  const absl::StatusOr<std::unique_ptr<Model<float>>> model =
      CreateModel(options_.model, train.features(), train.classes(), pool_);
  if (!model.ok()) return UsageError(model.status());
  BatchSampler::Options shares{train.examples(), options_.workers, options_.rank, options_.batch,
                               options_.seed};
  if (options_.has_rank || options_.has_batch) {
    // Wrong, whatever the run is.
    const absl::Status fits = BatchSampler::Create(shares).status();
    if (!fits.ok()) return UsageError(fits);
  }
  EvaluationClientOptions evaluation_options;
  evaluation_options.server = options_.server;
  evaluation_options.run = job.run;
  evaluation_options.give_up_after = options_.give_up_after;
  evaluation_options.stop = job.stop;
  EvaluationClient evaluation(std::move(evaluation_options));
  // Before it joins: what does not suit it would hold up the others.
  const absl::StatusOr<v1::Run> run = evaluation.GetRun();
  if (!run.ok()) return AddressIsUsage(run.status());
  if (options_.prefetch && run->policy().has_synchronous()) {
    return UsageError(absl::FailedPreconditionError(
        absl::StrCat("--prefetch needs an asynchronous run, and ", job.run, " is synchronous")));
  }
  std::string worker = options_.worker;
  if (run->has_data()) {
    GRADD_RETURN_IF_ERROR(CheckDataSet(run->data(), options_, train.examples()));
    elastic_batch_ = run->data().batch_size();
    shares.batch = 1;  // Not used.
    if (options_.has_batch) {
      log_(absl::StrCat("--batch: not used, since ", job.run, " hands out batches of ",
                        run->data().batch_size(), " examples"));
    }
  } else if (elastic_batch_ > 0) {
    // A trial, which has no data set: each worker draws its own batches, as large as those.
    shares.batch = elastic_batch_;
    for (const char letter : WorkerId()) {
      shares.seed = MixKey(shares.seed, static_cast<uint64_t>(letter));
    }
  }
  if (elastic_batch_ > 0) worker = WorkerId();
  absl::StatusOr<BatchSampler> sampler = BatchSampler::Create(shares);
  if (!sampler.ok()) return UsageError(sampler.status());

  SessionOptions session_options;
  session_options.server = options_.server;
  session_options.run = job.run;
  session_options.worker = worker;
  session_options.layout = (*model)->layout();
  session_options.shared_memory = options_.shared_memory;
  session_options.push_encoding = options_.push_encoding;
  session_options.parameter_encodings = {options_.parameter_encoding};
  session_options.give_up_after = options_.give_up_after;
  session_options.log = log_;
  session_options.on_trial = job.on_trial;
  absl::StatusOr<std::unique_ptr<Session>> session = Session::Open(std::move(session_options));
  if (!session.ok()) return AddressIsUsage(session.status());
  if (job.on_join) job.on_join();
  log_(absl::StrCat("worker ", worker, " joins ", job.run, " at sequence ",
                    (*session)->next_sequence(), ": ", (*model)->parameter_count(), " parameters, ",
                    train.examples(), " examples, ",
                    run->has_data() ? run->data().batch_size() : sampler->batch_examples(),
                    run->has_data() ? " per batch that the server hands out, " : " per step, ",
                    EpochText(**session), BlasKernels(), " kernels"));

  TrainingLoopOptions loop_options;
  loop_options.steps = job.steps;
  loop_options.eval_every = options_.eval_every;
  loop_options.delay = options_.delay;
  loop_options.prefetch = options_.prefetch;
  loop_options.stop = job.stop;
  loop_options.log = log_;
  TrainingLoop loop(std::move(loop_options), model->get(), &train, &data_.test, *std::move(sampler),
                    std::make_unique<ClientSession>(*std::move(session)),
                    job.evaluates ? &evaluation : nullptr);
  absl::StatusOr<TrainingSummary> summary = loop.Run();
  if (summary.ok()) summary->worker = worker;
  return summary;
}

}  // namespace gradd
