#include "tests/core/run/pairs/reference_run.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "tests/core/run/pairs/tiny_model.h"

namespace gradd {
namespace {

constexpr double kFloatRounding = 0x1p-24;  // At most, of a number.

// The factor of the shape `s` steps after its begin: schedule.proto has the formulas.
double ShapeFactor(const v1::Schedule& schedule, int64_t s) {
  const auto steps = static_cast<double>(s);
  if (schedule.has_exponential_decay()) {
    return std::pow(schedule.exponential_decay().decay_rate(), steps);
  }
  const v1::CosineDecaySchedule& cosine = schedule.cosine_decay();
  const double way = std::min(steps / static_cast<double>(cosine.decay_steps()), 1.0);
  return cosine.end_factor() + (1 - cosine.end_factor()) * (1 + std::cos(M_PI * way)) / 2;
}

}  // namespace

double ReferenceRate(const v1::Schedule& schedule, int64_t step, bool warms_up) {
  int64_t s = std::max<int64_t>(step - schedule.begins_at(), 0);
  const int64_t warm_up = schedule.warm_up().steps();
  double factor = 1;
  if (s < warm_up) {
    const double start = schedule.warm_up().start_factor();
    const double way = static_cast<double>(s) / static_cast<double>(warm_up);
    if (warms_up) factor = start + (1 - start) * way;
    s = warm_up;
  }
  return schedule.learning_rate() * factor * ShapeFactor(schedule, s - warm_up);
}

ReferenceRun::ReferenceRun(const Training& training, const std::vector<float>& parameters)
    : training_(training),
      exact_(parameters, /*rounds=*/false),
      rounded_(parameters, /*rounds=*/true) {
  exact_.Train(GroupsOf(training));
  rounded_.Train(GroupsOf(training));
  points_.push_back({exact_.TrainingPoint(), rounded_.TrainingPoint()});
}

std::vector<ReferenceRun::Answer> ReferenceRun::TakeAnswers() {
  return std::exchange(answers_, {});
}

double ReferenceRun::rate() const {
  const bool own = HasOwnRate(OptimizerOf(*training_.row).kind_case());
  return plateau_ * ReferenceRate(training_.schedule, step_, !own);
}

void ReferenceRun::Add(const Push& push) {
  if (IsTooOld(push)) {
    return AnswerPush(push, v1::PUSH_OUTCOME_SUPERSEDED);
  }
  waiting_.push_back(push);
  Advance();
}

bool ReferenceRun::IsTooOld(const Push& push) const {
  const bool carried = training_.policy.synchronous().late_pushes() == v1::LATE_PUSHES_CARRIED;
  return synchronous() && push.base_step < step_ - (carried ? 1 : 0);
}

void ReferenceRun::Leave(size_t worker) {
  live_[worker] = false;
  Advance();
}

void ReferenceRun::PassDeadline() {
  if (waiting_.empty() && window_.empty()) return;
  std::vector<Folded> pushes;
  while (!waiting_.empty()) pushes.push_back(TakeWaiting(0));
  MakeStep(std::move(pushes));
}

void ReferenceRun::Resume() {
  paused_ = false;
  Advance();
}

void ReferenceRun::Finish() {
  for (const Push& push : waiting_) AnswerPush(push, v1::PUSH_OUTCOME_REJECTED);
  waiting_.clear();
}

void ReferenceRun::Train(const Training& training) {
  training_ = training;
  exact_.Train(GroupsOf(training));
  rounded_.Train(GroupsOf(training));
  // What waits from older parameters can be part of no synchronous step.
  std::deque<Push> waiting;
  waiting.swap(waiting_);
  for (const Push& push : waiting) {
    if (IsTooOld(push)) {
      AnswerPush(push, v1::PUSH_OUTCOME_SUPERSEDED);
    } else {
      waiting_.push_back(push);
    }
  }
  Advance();
}

int64_t ReferenceRun::PushesOf(size_t worker) const {
  const auto of_worker = [worker](const Push& push) { return push.worker == worker; };
  return std::count_if(waiting_.begin(), waiting_.end(), of_worker) +
         std::count_if(window_.begin(), window_.end(),
                       [&](const Folded& folded) { return of_worker(folded.push); });
}

bool ReferenceRun::Waits(size_t worker) const {
  const bool waits = std::any_of(waiting_.begin(), waiting_.end(),
                                 [worker](const Push& push) { return push.worker == worker; });
  return waits || (synchronous() && PushesOf(worker) >= training_.window);
}

bool ReferenceRun::IsDue() const {
  const auto lies_there = static_cast<int64_t>(window_.size());
  if (!synchronous()) {
    return lies_there >= training_.window ||
           (!waiting_.empty() && lies_there + 1 >= training_.window);
  }
  if (waiting_.empty() && window_.empty()) return false;
  int64_t live = 0;
  int64_t complete = 0;
  for (size_t worker = 0; worker < kPairWorkers; ++worker) {
    if (!live_[worker]) continue;
    ++live;
    if (PushesOf(worker) >= training_.window) ++complete;
  }
  const int64_t quorum = training_.policy.synchronous().quorum();
  return complete >= (quorum == 0 ? live : std::min(quorum, live));
}

// Pushes before the last one that a step needs, of each worker or of all, go into the window.
bool ReferenceRun::FoldOne() {
  for (size_t i = 0; i < waiting_.size(); ++i) {
    const int64_t there =
        synchronous() ? PushesOf(waiting_[i].worker) - 1 : static_cast<int64_t>(window_.size());
    if (there + 1 >= training_.window) continue;
    window_.push_back(TakeWaiting(i));
    AnswerPush(window_.back().push, v1::PUSH_OUTCOME_ACCUMULATED);
    return true;
  }
  return false;
}

void ReferenceRun::Advance() {
  while (!paused_) {
    if (FoldOne()) continue;
    if (!IsDue()) return;
    std::vector<Folded> pushes;
    if (synchronous()) {
      while (!waiting_.empty()) pushes.push_back(TakeWaiting(0));
    } else if (static_cast<int64_t>(window_.size()) < training_.window) {
      pushes.push_back(TakeWaiting(0));
    }
    MakeStep(std::move(pushes));
  }
}

ReferenceRun::Folded ReferenceRun::TakeWaiting(size_t index) {
  const auto at = waiting_.begin() + static_cast<int64_t>(index);
  Folded taken;
  taken.push = *at;
  taken.staleness = step_ - at->base_step;
  waiting_.erase(at);
  taken.exact = taken.rounded = taken.push.gradient->values;
  const v1::Asynchronous& policy = training_.policy.asynchronous();
  const auto age = static_cast<double>(taken.staleness);
  if (policy.has_age_decay()) {
    const double way = age / static_cast<double>(policy.age_decay().cutoff());
    taken.factor = std::exp(-policy.age_decay().alpha() * age) * (1 + std::cos(M_PI * way)) / 2;
  }
  if (!policy.has_delay_compensation()) return taken;
  const Points& base = points_[static_cast<size_t>(taken.push.base_step)];
  const double strength = policy.delay_compensation().strength();
  const std::vector<double> now = exact_.TrainingPoint();
  const std::vector<double> rounded_now = rounded_.TrainingPoint();
  for (size_t i = 0; i < taken.exact.size() && taken.staleness > 0; ++i) {
    const double g = taken.exact[i];
    taken.exact[i] += strength * g * g * (now[i] - base.exact[i]);
    taken.rounded[i] +=
        strength * g * g * (rounded_now[i] - base.rounded[i]) * (1 + 4 * kFloatRounding);
  }
  return taken;
}

ReferenceOptimizer::Gradient ReferenceRun::MeanOf(const std::vector<Folded>& pushes,
                                                  std::vector<double> Folded::*values,
                                                  bool rows_may_be_missing, double rounding) {
  double examples = 0;
  bool rows = false;
  for (const Folded& folded : pushes) {
    examples += static_cast<double>(folded.push.examples);
    rows = rows || !folded.push.gradient->has_value.empty();
  }
  ReferenceOptimizer::Gradient mean;
  mean.values.assign(kTinyElements, 0);
  if (rows && rows_may_be_missing) mean.has_value.assign(kTinyElements, 0);
  for (const Folded& folded : pushes) {
    const PushedGradient& gradient = *folded.push.gradient;
    const double share =
        folded.factor * static_cast<double>(folded.push.examples) / examples * (1 + rounding);
    for (size_t i = 0; i < kTinyElements; ++i) mean.values[i] += share * (folded.*values)[i];
    for (size_t i = 0; i < mean.has_value.size(); ++i) {
      if (gradient.has_value.empty() || gradient.has_value[i] != 0) mean.has_value[i] = 1;
    }
    rounding = -rounding;  // Where pushes nearly cancel each other, this is the worst.
  }
  return mean;
}

void ReferenceRun::MakeStep(std::vector<Folded> pushes) {
  // With a window, rows that are missing are zeros.
  const bool rows_may_be_missing = training_.window == 1 && window_.empty();
  std::vector<Folded> all = std::exchange(window_, {});
  all.insert(all.end(), pushes.begin(), pushes.end());
  int64_t examples = 0;
  int64_t staleness = 0;
  double loss = 0;
  for (const Folded& folded : all) {
    examples += folded.push.examples;
    staleness = std::max(staleness, folded.staleness);
    loss += static_cast<double>(folded.push.examples) * folded.push.loss;
  }
  loss /= static_cast<double>(examples);
  const bool slower =
      training_.policy.asynchronous().correction() == v1::STALENESS_CORRECTION_LEARNING_RATE;
  const double factor = plateau_ / (slower ? 1 + static_cast<double>(staleness) : 1);
  const double rate = factor * ReferenceRate(training_.schedule, step_, /*warms_up=*/true);
  const double without = factor * ReferenceRate(training_.schedule, step_, /*warms_up=*/false);
  const ReferenceOptimizer::Gradient mean =
      MeanOf(all, &Folded::exact, rows_may_be_missing, /*rounding=*/0);
  exact_.Step(mean, rate, without, loss);
  rounded_.Step(MeanOf(all, &Folded::rounded, rows_may_be_missing, kFloatRounding), rate, without,
                loss);
  ++step_;
  points_.push_back({exact_.TrainingPoint(), rounded_.TrainingPoint()});
  loss_ = loss;
  examples_ += examples;
  gradient_norm_ = exact_.NormOfTrained(mean.values);
  for (const Folded& folded : pushes) AnswerPush(folded.push, v1::PUSH_OUTCOME_APPLIED);
}

void ReferenceRun::AnswerPush(const Push& push, v1::PushOutcome outcome) {
  answers_.push_back({push.worker, push.sequence, outcome, step_});
}

}  // namespace gradd
