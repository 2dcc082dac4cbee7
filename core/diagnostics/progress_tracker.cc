#include "core/diagnostics/progress_tracker.h"

#include "core/base/error.h"

namespace gradd {
namespace {

constexpr absl::Duration kRateWindow = absl::Seconds(10);

}  // namespace

void ProgressTracker::AddStep(const StepStatistics& step, const LossSummary& losses) {
  lowest_agreement_ = LowestAgreementOf(step.pushes);
  noise_scale_.AddStep(step.pushes);
  last_ = {step.gradient_norm, step.update_norm, step.parameter_norm, step.apply_time};
  losses_ = losses;
  apply_seconds_.Add(absl::ToDoubleSeconds(step.apply_time));
  profile_.Add(StepProfile::kApply, step.apply_time);
}

void ProgressTracker::AddToHistory(uint64_t timeline, int64_t step, double learning_rate,
                                   absl::Time time) {
  history_.Add({timeline, step, absl::ToDoubleSeconds(time - absl::UnixEpoch()), losses_.loss,
                losses_.smoothed, learning_rate, last_.gradient_norm, last_.update_norm,
                last_.parameter_norm, Rate(&Counts::examples), losses_.phase});
}

void ProgressTracker::Sample(absl::Duration now) {
  samples_.push_back({now, losses_.steps, losses_.examples});
  while (samples_.size() > 2 && now - samples_[1].at >= kRateWindow) samples_.pop_front();
}

double ProgressTracker::Rate(int64_t Counts::*count) const {
  if (samples_.size() < 2) return 0;
  const Counts& first = samples_.front();
  const Counts& last = samples_.back();
  const double seconds = absl::ToDoubleSeconds(last.at - first.at);
  return seconds > 0 ? static_cast<double>(last.*count - first.*count) / seconds : 0;
}

double ProgressTracker::StepsPerSecond() const { return Rate(&Counts::steps); }

void ProgressTracker::Fill(v1::RunProgress* progress) const {
  progress->set_examples(losses_.examples);
  progress->set_steps_per_second(StepsPerSecond());
  progress->set_examples_per_second(Rate(&Counts::examples));
  if (losses_.steps == 0) return;
  progress->set_loss(losses_.loss);
  progress->set_smoothed_loss(losses_.smoothed);
  progress->set_best_smoothed_loss(losses_.best_smoothed);
  progress->set_best_step(losses_.best_step);
  progress->set_gradient_norm(last_.gradient_norm);
  progress->set_update_norm(last_.update_norm);
  progress->set_parameter_norm(last_.parameter_norm);
  progress->set_staleness(losses_.staleness);
  if (const auto scale = noise_scale_.value(); scale.has_value()) {
    progress->set_noise_scale(*scale);
  }
  if (lowest_agreement_.has_value()) {
    progress->set_lowest_agreement(lowest_agreement_->cosine);
    progress->set_lowest_agreement_worker(lowest_agreement_->worker);
  }
  profile_.Fill(progress->mutable_profile());
}

void ProgressTracker::Write(state::v1::StepResult* result) const {
  result->set_gradient_norm(last_.gradient_norm);
  result->set_update_norm(last_.update_norm);
  result->set_parameter_norm(last_.parameter_norm);
  noise_scale_.Write(result->mutable_noise_scale());
  history_.Write(result->mutable_history());
}

absl::Status ProgressTracker::Read(const state::v1::StepResult& result, const LossSummary& losses) {
  history_ = StepHistory();
  if (result.has_history()) GRADD_RETURN_IF_ERROR(history_.Read(result.history()));
  return GoBack(result, losses);
}

absl::Status ProgressTracker::GoBack(const state::v1::StepResult& result,
                                     const LossSummary& losses) {
  last_ = {result.gradient_norm(), result.update_norm(), result.parameter_norm(),
           absl::ZeroDuration()};
  losses_ = losses;
  samples_.clear();
  lowest_agreement_.reset();
  return noise_scale_.Read(result.noise_scale());
}

}  // namespace gradd
