#include "worker/training_loop.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "core/base/error.h"

namespace gradd {
namespace {

constexpr int64_t kPartExamples = 1024;
// How often a wait looks whether to stop. One that is shorter costs less than a pull may.
constexpr absl::Duration kStopInterval = absl::Milliseconds(50);

// Elements of the vectors that the loop has to provide.
size_t OwnSize(const Model<float>& model, const TrainingSession& session) {
  return session.gradient().empty() ? static_cast<size_t>(model.parameter_count()) : 0;
}

// Why a push is refused, with what may help.
absl::Status Explained(const absl::Status& refusal) {
  const std::string reason = ReasonOf(refusal);
  if (reason != "NON_FINITE" && reason != "GRADIENT_TOO_LARGE") return refusal;
  return Error(
      refusal.code(), reason,
      absl::StrCat(refusal.message(), ": training diverges; a smaller learning rate may help"));
}

}  // namespace

TrainingLoop::TrainingLoop(TrainingLoopOptions options, Model<float>* model, const Dataset* train,
                           const Dataset* test, BatchSampler sampler,
                           std::unique_ptr<TrainingSession> session, EvaluationChannel* evaluation)
    : options_(std::move(options)),
      model_(model),
      train_(train),
      test_(test),
      evaluation_(test->examples() > 0 ? evaluation : nullptr),
      sampler_(std::move(sampler)),
      own_parameters_(OwnSize(*model, *session)),
      own_gradient_(own_parameters_.size()),
      session_(std::move(session)),
      gradient_(own_gradient_.empty() ? session_->gradient() : absl::MakeSpan(own_gradient_)),
      parameters_(own_parameters_.empty() ? session_->parameters()
                                          : absl::MakeConstSpan(own_parameters_)),
      data_(session_->data_set() == nullptr ? std::nullopt
                                            : std::optional<DataSet>(*session_->data_set())) {
  if (evaluation_ != nullptr) test_parameters_.resize(parameters_.size());
  if (options_.prefetch) {
    held_parameters_.resize(parameters_.size());
    next_gradient_.resize(parameters_.size());
  }
}

void TrainingLoop::Log(const std::string& line) const {
  if (options_.log) options_.log(line);
}

absl::StatusOr<bool> TrainingLoop::HasBatch(bool waits) {
  while (data_.has_value() && !leased_.has_value()) {
    const absl::StatusOr<std::vector<int64_t>> batches =
        session_->NextBatches(1, waits ? kStopInterval : absl::ZeroDuration());
    if (batches.ok() && batches->empty()) return false;
    if (batches.ok()) {
      leased_ = batches->front();
      gathered_ = 0;
    } else if (!absl::IsDeadlineExceeded(batches.status())) {
      if (session_->finished()) return false;
      return batches.status();
    } else if (!waits || stopping() || session_->finished()) {
      return false;
    } else {
      waited_ = true;
    }
  }
  return true;
}

absl::Status TrainingLoop::Refresh(int64_t* base_step) {
  if (!std::exchange(waited_, false)) return absl::OkStatus();
  const absl::StatusOr<int64_t> step = session_->Pull(absl::MakeSpan(own_parameters_));
  if (!step.ok()) return step.status();
  *base_step = *step;
  summary_.step = *step;
  // The run may have gone back behind its last evaluation.
  evaluated_step_ = std::min(evaluated_step_, *step);
  return absl::OkStatus();
}

void TrainingLoop::Prefetch(int64_t sequence) {
  if (gathered_ == sequence) return;
  if (data_.has_value()) {
    const std::vector<int64_t> examples = data_->ExamplesOf(*leased_);
    leased_indices_.assign(examples.begin(), examples.end());
    indices_ = leased_indices_;
  } else {
    indices_ = sampler_.Batch(sequence);
  }
  train_->Gather(indices_.subspan(0, kPartExamples), &batch_);
  gathered_ = sequence;
}

double TrainingLoop::Gradient(int64_t sequence, absl::Span<const float> parameters,
                              absl::Span<float> gradient) {
  Prefetch(sequence);
  const double examples = static_cast<double>(indices_.size());
  const float scale = static_cast<float>(1 / examples);
  std::fill(gradient.begin(), gradient.end(), 0.0F);
  double loss = model_->AddGradient(parameters, batch_.View(), scale, gradient);
  for (size_t begin = kPartExamples; begin < indices_.size(); begin += kPartExamples) {
    gathered_ = 0;
    train_->Gather(indices_.subspan(begin, kPartExamples), &batch_);
    loss += model_->AddGradient(parameters, batch_.View(), scale, gradient);
  }
  return loss / examples;
}

void TrainingLoop::Delay() const {
  for (absl::Duration left = options_.delay; left > absl::ZeroDuration() && !stopping();
       left -= kStopInterval) {
    absl::SleepFor(std::min(left, kStopInterval));
  }
}

std::optional<absl::StatusOr<PushReport>> TrainingLoop::Wait(
    std::future<absl::StatusOr<PushReport>> report) const {
  absl::Duration grace = options_.leave_grace;
  while (report.wait_for(absl::ToChronoMilliseconds(kStopInterval)) != std::future_status::ready) {
    if (!stopping()) continue;
    if (grace <= absl::ZeroDuration()) return std::nullopt;
    grace -= kStopInterval;
  }
  return report.get();
}

bool TrainingLoop::SequenceIsDue(int64_t sequence) const {
  return !stopping() && !session_->finished() &&
         (options_.steps == 0 || sequence <= options_.steps);
}

absl::StatusOr<bool> TrainingLoop::Answered(const absl::StatusOr<PushReport>& report,
                                            int64_t* base_step) {
  if (!report.ok()) {
    // Another worker's push may have been the run's last while this one was on its way.
    if (session_->finished()) return false;
    const std::string reason = ReasonOf(report.status());
    if (reason == "BATCH_NOT_LEASED" || reason == "BATCH_LEASE_ENDED") {
      // The server was not to be reached for so long that others have it. There are more.
      Log(std::string(report.status().message()));
      return true;
    }
    return Explained(report.status());
  }
  ++summary_.pushes;
  const bool accumulated = report->outcome == v1::PUSH_OUTCOME_ACCUMULATED;
  if (accumulated || report->outcome == v1::PUSH_OUTCOME_APPLIED) ++summary_.applied;
  if (options_.prefetch && report->outcome == v1::PUSH_OUTCOME_SUPERSEDED) {
    return absl::FailedPreconditionError(
        absl::StrCat("push ", report->sequence,
                     " came too late for its step: prefetch needs an "
                     "asynchronous run"));
  }
  summary_.step = std::max(report->step, report->parameters_step);
  // The run may have gone back behind its last evaluation.
  evaluated_step_ = std::min(evaluated_step_, summary_.step);
  if (report->parameters_step >= 0) {
    *base_step = report->parameters_step;
  } else if (!accumulated && !session_->finished()) {
    const absl::StatusOr<int64_t> step = session_->Pull(absl::MakeSpan(own_parameters_));
    if (!step.ok()) return step.status();
    *base_step = *step;
  }
  return true;
}

absl::Status TrainingLoop::Train() {
  absl::StatusOr<int64_t> pulled = session_->Pull(absl::MakeSpan(own_parameters_));
  if (!pulled.ok()) return pulled.status();
  int64_t base_step = *pulled;
  uint64_t timeline = session_->timeline();  // That it is a step of.
  summary_.step = base_step;
  // Only what is passed from here on: a worker that joins at step 950 does not owe the
  // evaluation of step 900.
  evaluated_step_ = base_step;
  double loss = 0;
  int64_t computed = 0;  // The sequence whose gradient and loss are there.
  while (SequenceIsDue(session_->next_sequence())) {
    const int64_t sequence = session_->next_sequence();
    int64_t gradient_step = held_step_;
    uint64_t gradient_timeline = held_timeline_;
    if (computed == sequence) {
      std::copy(next_gradient_.begin(), next_gradient_.end(), gradient_.begin());
    } else {
      const absl::StatusOr<bool> has = HasBatch(/*waits=*/true);
      if (!has.ok()) return has.status();
      if (!*has) break;
      absl::Status fresh = Refresh(&base_step);
      if (!fresh.ok()) return fresh;
      gradient_step = base_step;
      gradient_timeline = timeline = session_->timeline();
      loss = Gradient(sequence, parameters_, gradient_);
    }
    Delay();
    if (stopping()) break;
    if (options_.prefetch) {
      std::copy(parameters_.begin(), parameters_.end(), held_parameters_.begin());
      held_step_ = base_step;
      held_timeline_ = timeline;
    }
    Session::PushInfo info{
        gradient_step, static_cast<int64_t>(indices_.size()), loss, gradient_timeline, {}};
    if (leased_.has_value()) info.batches = {*std::exchange(leased_, std::nullopt)};
    std::future<absl::StatusOr<PushReport>> push =
        session_->Push(info, gradient_, absl::MakeSpan(own_parameters_));
    const absl::StatusOr<bool> has_next = HasBatch(/*waits=*/false);
    if (!has_next.ok() || !*has_next) {
      // If the session has failed, so has the push.
    } else if (options_.prefetch && SequenceIsDue(sequence + 1)) {
      loss = Gradient(sequence + 1, held_parameters_, absl::MakeSpan(next_gradient_));
      computed = sequence + 1;
    } else {
      Prefetch(sequence + 1);
    }
    const std::optional<absl::StatusOr<PushReport>> report = Wait(std::move(push));
    if (!report.has_value()) break;
    const absl::StatusOr<bool> goes_on = Answered(*report, &base_step);
    if (!goes_on.ok()) return goes_on.status();
    if (!*goes_on) break;
    timeline = session_->timeline();
    // What was computed ahead is of a past that was given up, too.
    const bool rolled_back = report->ok() && (*report)->outcome == v1::PUSH_OUTCOME_ROLLED_BACK;
    if (rolled_back || timeline != held_timeline_) computed = 0;
    if (rolled_back) leased_.reset();  // So is the lease of what comes next.
    if (EvaluationIsDue()) {
      const absl::Status evaluated = Evaluate();
      if (!evaluated.ok()) {
        Log(absl::StrCat("evaluation failed, training goes on: ", evaluated.message()));
      }
    }
  }
  return absl::OkStatus();
}

bool TrainingLoop::EvaluationIsDue() const {
  return evaluation_ != nullptr && options_.eval_every > 0 && !stopping() &&
         summary_.step / options_.eval_every > evaluated_step_ / options_.eval_every;
}

absl::Status TrainingLoop::Evaluate() {
  // Whatever comes of it, the next one is due an interval later.
  evaluated_step_ = summary_.step;
  const absl::StatusOr<int64_t> step = evaluation_->Pull(absl::MakeSpan(test_parameters_));
  if (!step.ok()) return step.status();
  EvaluationSums sums;
  for (int64_t begin = 0; begin < test_->examples(); begin += kPartExamples) {
    test_->GatherRange(begin, std::min(kPartExamples, test_->examples() - begin), &test_batch_);
    const EvaluationSums part = model_->Evaluate(test_parameters_, test_batch_.View());
    sums.examples += part.examples;
    sums.loss += part.loss;
    sums.correct += part.correct;
  }
  v1::Evaluation evaluation;
  evaluation.set_step(*step);
  evaluation.set_examples(sums.examples);
  evaluation.set_loss(sums.loss / static_cast<double>(sums.examples));
  std::string line = absl::StrFormat("step %d loss %.4f", *step, evaluation.loss());
  if (test_->classes() > 0) {
    evaluation.set_accuracy(static_cast<double>(sums.correct) / static_cast<double>(sums.examples));
    absl::StrAppendFormat(&line, " test accuracy %.4f", evaluation.accuracy());
  }
  Log(line);
  if (!std::isfinite(evaluation.loss())) {
    return absl::FailedPreconditionError(
        absl::StrCat("the test loss at step ", *step, " is ", evaluation.loss()));
  }
  evaluated_step_ = *step;
  return evaluation_->Report(evaluation);
}

absl::StatusOr<TrainingSummary> TrainingLoop::Run() {
  absl::Status status = Train();
  if (status.ok() && !stopping() && evaluation_ != nullptr &&
      (summary_.pushes == 0 || evaluated_step_ != summary_.step)) {
    status = Evaluate();
  }
  summary_.stopped = stopping();
  // Also after an error: the run need not wait for the end of the lease.
  const absl::Status left = session_->Leave();
  if (!status.ok()) return status;
  if (!left.ok())
    Log(absl::StrCat("could not tell the server that this worker leaves: ", left.message()));
  return summary_;
}

}  // namespace gradd
