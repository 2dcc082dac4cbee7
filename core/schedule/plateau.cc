#include "core/schedule/plateau.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "google/protobuf/util/message_differencer.h"

namespace gradd {

void Plateau::Configure(const v1::Schedule& schedule) {
  const bool same = schedule.has_reduce_on_plateau() == settings_.has_value() &&
                    (!settings_ || google::protobuf::util::MessageDifferencer::Equals(
                                       *settings_, schedule.reduce_on_plateau()));
  if (same) return;
  *this = Plateau();
  if (!schedule.has_reduce_on_plateau()) return;
  settings_ = schedule.reduce_on_plateau();
  metric_ = settings_->metric() == v1::PLATEAU_METRIC_UNSPECIFIED
                ? v1::PLATEAU_METRIC_EVALUATION_LOSS
                : settings_->metric();
  if (MoreIsBetter()) best_ = -best_;
}

bool Plateau::ObserveTrainingLoss(int64_t step, double smoothed_loss) {
  if (metric_ != v1::PLATEAU_METRIC_TRAINING_LOSS) return false;
  const int64_t interval = settings_->has_interval() ? settings_->interval() : 1;
  return step % interval == 0 && Observe(smoothed_loss);
}

bool Plateau::ObserveEvaluation(const v1::Evaluation& evaluation) {
  const bool accuracy = metric_ == v1::PLATEAU_METRIC_EVALUATION_ACCURACY;
  if (!accuracy && metric_ != v1::PLATEAU_METRIC_EVALUATION_LOSS) return false;
  if (accuracy && !evaluation.has_accuracy()) return false;
  if (evaluation.step() <= last_evaluation_step_) return false;
  last_evaluation_step_ = evaluation.step();
  return Observe(accuracy ? evaluation.accuracy() : evaluation.loss());
}

bool Plateau::Observe(double metric) {
  if (Better(metric)) {
    best_ = metric;
    bad_observations_ = 0;
  } else {
    ++bad_observations_;
  }
  if (cooldown_left_ > 0) {
    --cooldown_left_;
    bad_observations_ = 0;
  }
  constexpr int64_t kDefaultPatience = 10;
  const int64_t patience = settings_->has_patience() ? settings_->patience() : kDefaultPatience;
  if (bad_observations_ <= patience) return false;
  cooldown_left_ = settings_->cooldown();
  bad_observations_ = 0;
  return Reduce();
}

bool Plateau::Better(double metric) const {
  const double threshold = settings_->has_threshold() ? settings_->threshold() : 1e-4;
  if (settings_->threshold_mode() == v1::PLATEAU_THRESHOLD_MODE_ABSOLUTE) {
    return MoreIsBetter() ? metric > best_ + threshold : metric < best_ - threshold;
  }
  // By that fraction of its magnitude: below 0, torch's best * (1 - threshold) is above the best
  // loss, so that what is a little worse is better too and nothing is ever reduced.
  if (MoreIsBetter()) return metric > best_ * (best_ > 0 ? 1 + threshold : 1 - threshold);
  return metric < best_ * (best_ > 0 ? 1 - threshold : 1 + threshold);
}

bool Plateau::MoreIsBetter() const {
  if (settings_->mode() != v1::PLATEAU_MODE_UNSPECIFIED) {
    return settings_->mode() == v1::PLATEAU_MODE_MAX;
  }
  return metric_ == v1::PLATEAU_METRIC_EVALUATION_ACCURACY;
}

bool Plateau::Reduce() {
  const double reduction = settings_->has_factor() ? settings_->factor() : 0.1;
  const double epsilon = settings_->has_epsilon() ? settings_->epsilon() : 1e-8;
  const double reduced = std::max(factor_ * reduction, settings_->min_factor());
  if (factor_ - reduced <= epsilon) return false;
  factor_ = reduced;
  return true;
}

void Plateau::Write(state::v1::PlateauState* state) const {
  state->set_factor(factor_);
  state->set_best(best_);
  state->set_bad_observations(bad_observations_);
  state->set_cooldown_left(cooldown_left_);
  state->set_last_evaluation_step(last_evaluation_step_);
}

absl::Status Plateau::Read(const state::v1::PlateauState& state) {
  if (!(state.factor() >= 0 && state.factor() <= 1)) {
    return InvalidArgument("STATE_INVALID",
                           absl::StrCat("plateau.factor: ", state.factor(), " is outside [0, 1]"));
  }
  if (state.bad_observations() < 0 || state.cooldown_left() < 0) {
    return InvalidArgument(
        "STATE_INVALID",
        absl::StrCat("plateau: ", state.bad_observations(), " bad observations and a cooldown of ",
                     state.cooldown_left(), ", neither may be negative"));
  }
  factor_ = state.factor();
  best_ = state.best();
  bad_observations_ = state.bad_observations();
  cooldown_left_ = state.cooldown_left();
  last_evaluation_step_ = state.last_evaluation_step();
  return absl::OkStatus();
}

}  // namespace gradd
