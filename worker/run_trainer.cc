#include "worker/run_trainer.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/session.h"
#include "core/base/error.h"
#include "worker/blas.h"
#include "worker/client_session.h"
#include "worker/data/batch_sampler.h"
#include "worker/evaluation_client.h"
#include "worker/models/model_factory.h"

namespace gradd {

absl::Status UsageError(const absl::Status& status) {
  return Error(status.code(), kUsageReason, status.message());
}

absl::StatusOr<TrainingSummary> RunTrainer::Train(const Job& job) const {
  const Dataset& train = data_.train;
  const absl::StatusOr<std::unique_ptr<Model<float>>> model =
      CreateModel(options_.model, train.features(), train.classes(), pool_);
  if (!model.ok()) return UsageError(model.status());
  absl::StatusOr<BatchSampler> sampler = BatchSampler::Create(
      {train.examples(), options_.workers, options_.rank, options_.batch, options_.seed});
  if (!sampler.ok()) return UsageError(sampler.status());

  EvaluationClientOptions evaluation_options;
  evaluation_options.server = options_.server;
  evaluation_options.run = job.run;
  evaluation_options.give_up_after = options_.give_up_after;
  evaluation_options.stop = job.stop;
  EvaluationClient evaluation(std::move(evaluation_options));
  if (options_.prefetch) {
    // Before it joins: each of its pushes would come too late for its step, and hold up the others.
    const absl::StatusOr<v1::SynchronizationPolicy> policy = evaluation.Policy();
    GRADD_RETURN_IF_ERROR(policy.status());
    if (policy->has_synchronous()) {
      return UsageError(absl::FailedPreconditionError(
          absl::StrCat("--prefetch needs an asynchronous run, and ", job.run, " is synchronous")));
    }
  }

  SessionOptions session_options;
  session_options.server = options_.server;
  session_options.run = job.run;
  session_options.worker = options_.worker;
  session_options.layout = (*model)->layout();
  session_options.shared_memory = options_.shared_memory;
  session_options.push_encoding = options_.push_encoding;
  session_options.parameter_encodings = {options_.parameter_encoding};
  session_options.give_up_after = options_.give_up_after;
  session_options.log = log_;
  session_options.on_trial = job.on_trial;
  absl::StatusOr<std::unique_ptr<Session>> session = Session::Open(std::move(session_options));
  if (!session.ok()) {
    return ReasonOf(session.status()) == "ADDRESS_INVALID" ? UsageError(session.status())
                                                           : session.status();
  }
  if (job.on_join) job.on_join();
  log_(absl::StrCat("worker ", options_.worker, " joins ", job.run, " at sequence ",
                    (*session)->next_sequence(), ": ", (*model)->parameter_count(), " parameters, ",
                    train.examples(), " examples, ", sampler->batch_examples(), " per step, ",
                    BlasKernels(), " kernels"));

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
  return loop.Run();
}

}  // namespace gradd
