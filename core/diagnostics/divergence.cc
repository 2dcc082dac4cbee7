#include "core/diagnostics/divergence.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/error.h"
#include "core/base/number_text.h"

namespace gradd {
namespace {

constexpr int kInARow = 2;
// What a block may be above the best, in multiples of it, and above the median, in deviations: with
// enough blocks to compare with, and before.
constexpr double kAboveBest = 2;
constexpr double kAboveBestEarly = 50;
constexpr double kDeviations = 24;
constexpr double kDeviationsEarly = 48;
// What a block may be above the best, as a part of how far the loss has come down in all.
constexpr double kOfProgress = 1e-3;
constexpr double kDeviationPerMad = 1.4826;

double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

std::string Divergence::Text() const {
  const std::string since = absl::StrCat(" since step ", GroupedText(since_step));
  if (!std::isfinite(loss)) return absl::StrCat("loss is not finite", since);
  if (!std::isfinite(best))
    return absl::StrCat("loss was not finite", since, ", it is ", absl::StrFormat("%.4g", loss));
  if (best > 0) return absl::StrFormat("loss is %.3gx its best", loss / best) + since;
  return absl::StrFormat("loss is %.4g", loss) + since +
         absl::StrFormat(", its best was %.4g", best);
}

double DivergenceDetector::Limit() const {
  if (history_.size() < kLeastBlocks) return std::numeric_limits<double>::infinity();
  const std::vector<double> blocks(history_.begin(), history_.end());
  const double median = Median(blocks);
  std::vector<double> deviations;
  deviations.reserve(blocks.size());
  for (const double block : blocks) deviations.push_back(std::abs(block - median));
  const double mad = kDeviationPerMad * Median(std::move(deviations));
  const bool enough = blocks.size() >= kEnoughBlocks;
  return std::max({best_ + (enough ? kAboveBest : kAboveBestEarly) * std::abs(best_),
                   median + (enough ? kDeviations : kDeviationsEarly) * mad,
                   best_ + kOfProgress * std::abs(start_ - best_)});
}

std::optional<int64_t> DivergenceDetector::HighSince() const {
  if (divergence_.has_value()) return divergence_->since_step;
  if (against_ > 0) return since_step_;
  if (steps_ > 0 && sum_ / steps_ > Limit()) return first_step_;
  return std::nullopt;
}

std::optional<double> DivergenceDetector::Add(int64_t step, double loss) {
  if (!std::isfinite(loss)) {
    if (!divergence_.has_value()) {
      limit_ = Limit();
      divergence_ = Divergence{step, loss, best_};
    }
    divergence_->loss = loss;
    steps_ = 0;
    sum_ = 0;
    against_ = 0;
    return std::nullopt;
  }
  if (steps_ == 0) first_step_ = step;
  sum_ += loss;
  if (++steps_ < kBlockSteps) return std::nullopt;
  const double mean = sum_ / kBlockSteps;
  AddBlock(first_step_, mean);
  steps_ = 0;
  sum_ = 0;
  return mean;
}

void DivergenceDetector::AddBlock(int64_t first_step, double mean) {
  if (divergence_.has_value()) {
    divergence_->loss = mean;
    against_ = mean <= limit_ ? against_ + 1 : 0;
    if (against_ < kInARow) return;
    divergence_.reset();
    against_ = 0;
  } else {
    if (against_ == 0) limit_ = Limit();
    if (mean > limit_) {
      if (++against_ == 1) {
        since_step_ = first_step;
        first_high_ = mean;
        return;  // It is judged together with the next one.
      }
      divergence_ = Divergence{since_step_, mean, best_};
      against_ = 0;
      return;
    }
    // What was high once is part of the noise.
    if (std::exchange(against_, 0) > 0) history_.push_back(first_high_);
  }
  if (history_.empty()) start_ = mean;
  best_ = std::min(best_, mean);
  history_.push_back(mean);
  while (history_.size() > kHistory) history_.pop_front();
}

void DivergenceDetector::Write(state::v1::DivergenceState* state) const {
  state->set_sum(sum_);
  state->set_steps(steps_);
  state->set_first_step(first_step_);
  state->set_best(best_);
  state->set_start(start_);
  state->clear_history();
  for (const double mean : history_) state->add_history(mean);
  state->set_against(against_);
  state->set_since_step(since_step_);
  state->set_first_high(first_high_);
  state->set_limit(limit_);
  state->set_diverged(divergence_.has_value());
  if (!divergence_.has_value()) return;
  state->set_diverged_since_step(divergence_->since_step);
  state->set_diverged_loss(divergence_->loss);
  state->set_diverged_best(divergence_->best);
}

absl::Status DivergenceDetector::Read(const state::v1::DivergenceState& state) {
  if (state.steps() < 0 || state.steps() >= kBlockSteps) {
    return InvalidArgument("STATE_INVALID", absl::StrCat("divergence.steps: ", state.steps(),
                                                         " is outside [0, ", kBlockSteps, ")"));
  }
  if (state.history_size() > static_cast<int>(kHistory)) {
    return InvalidArgument("STATE_INVALID",
                           absl::StrCat("divergence.history: ", state.history_size(),
                                        " means, at most ", kHistory, " expected"));
  }
  if (state.against() < 0 || state.against() >= kInARow) {
    return InvalidArgument("STATE_INVALID", absl::StrCat("divergence.against: ", state.against(),
                                                         " is outside [0, ", kInARow, ")"));
  }
  sum_ = state.sum();
  steps_ = state.steps();
  first_step_ = state.first_step();
  best_ = state.best();
  start_ = state.start();
  history_.assign(state.history().begin(), state.history().end());
  against_ = state.against();
  since_step_ = state.since_step();
  first_high_ = state.first_high();
  limit_ = state.limit();
  divergence_.reset();
  if (state.diverged()) {
    divergence_ =
        Divergence{state.diverged_since_step(), state.diverged_loss(), state.diverged_best()};
  }
  return absl::OkStatus();
}

}  // namespace gradd
