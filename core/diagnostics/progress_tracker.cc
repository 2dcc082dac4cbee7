#include "core/diagnostics/progress_tracker.h"

#include <numeric>

namespace gradd {
namespace {

constexpr absl::Duration kRateWindow = absl::Seconds(10);

}  // namespace

void ProgressTracker::AddStep(const StepStatistics& step) {
  last_ = step;
  ++steps_;
  examples_ += step.examples;
  loss_.Add(step.loss);
  divergence_.Add(steps_, step.loss);
  apply_seconds_.Add(absl::ToDoubleSeconds(step.apply_time));
  profile_.Add(StepProfile::kApply, step.apply_time);
  if (steps_ == 1 || !(loss_.value() >= best_loss_)) {
    best_loss_ = loss_.value();
    best_step_ = steps_;
  }
}

void ProgressTracker::Sample(absl::Duration now) {
  samples_.push_back({now, steps_, examples_});
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
  progress->set_examples(examples_);
  const int64_t applied =
      outcomes_[v1::PUSH_OUTCOME_APPLIED] + outcomes_[v1::PUSH_OUTCOME_ACCUMULATED];
  progress->set_applied_pushes(applied);
  progress->set_rejected_pushes(std::accumulate(outcomes_.begin(), outcomes_.end(), int64_t{0}) -
                                applied - outcomes_[v1::PUSH_OUTCOME_DUPLICATE] -
                                outcomes_[v1::PUSH_OUTCOME_RESEND] -
                                outcomes_[v1::PUSH_OUTCOME_ABORTED]);
  progress->set_steps_per_second(StepsPerSecond());
  progress->set_examples_per_second(Rate(&Counts::examples));
  if (steps_ == 0) return;
  progress->set_loss(last_.loss);
  progress->set_smoothed_loss(loss_.value());
  progress->set_best_smoothed_loss(best_loss_);
  progress->set_best_step(best_step_);
  progress->set_gradient_norm(last_.gradient_norm);
  progress->set_update_norm(last_.update_norm);
  progress->set_parameter_norm(last_.parameter_norm);
  progress->set_staleness(last_.staleness);
  profile_.Fill(progress->mutable_profile());
}

}  // namespace gradd
