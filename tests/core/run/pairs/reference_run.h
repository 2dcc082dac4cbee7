#ifndef GRADD_TESTS_CORE_RUN_PAIRS_REFERENCE_RUN_H_
#define GRADD_TESTS_CORE_RUN_PAIRS_REFERENCE_RUN_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "gradd/v1/training_service.pb.h"
#include "tests/core/run/pairs/pushed_gradient.h"
#include "tests/core/run/pairs/reference_data.h"
#include "tests/core/run/pairs/reference_optimizer.h"
#include "tests/core/run/pairs/training.h"

namespace gradd {

// The rate of the schedules that the cases have, at a step of the run; with its warm-up or without.
double ReferenceRate(const v1::Schedule& schedule, int64_t step, bool warms_up);

// What must become of the pushes of two workers: which steps they make, and what they are answered.
// Written from the protos, in double.
class ReferenceRun {
 public:
  ReferenceRun(const Training& training, const std::vector<float>& parameters);

  struct Push {
    size_t worker = 0;
    int64_t sequence = 0;
    int64_t base_step = 0;
    int64_t examples = 1;
    double loss = 0;
    std::shared_ptr<const PushedGradient> gradient;
  };
  struct Answer {
    size_t worker = 0;
    int64_t sequence = 0;
    v1::PushOutcome outcome = v1::PUSH_OUTCOME_UNSPECIFIED;
    int64_t step = 0;
  };
  // The answers since the last time, in the order in which they are given.
  std::vector<Answer> TakeAnswers();

  // A push is complete.
  void Add(const Push& push);
  // From parameters that are older than the policy takes.
  bool IsTooOld(const Push& push) const;
  void Join(size_t worker) { live_[worker] = true; }
  // It left, or its lease ended.
  void Leave(size_t worker);
  // The step is made of what there is.
  void PassDeadline();
  void Pause() { paused_ = true; }
  void Resume();
  // The run is finished: what waits is refused.
  void Finish();
  // A change is in effect. Where it gives another curve, `training` has when it begins.
  void Train(const Training& training);
  void ReduceRate(double factor) { plateau_ *= factor; }

  // Whether the worker has nothing to push before the next step.
  bool Waits(size_t worker) const;
  int64_t step() const { return step_; }
  // Of the next step.
  double rate() const;
  // Of the last step; unset before the first.
  std::optional<double> loss() const { return loss_; }
  int64_t examples() const { return examples_; }
  double gradient_norm() const { return gradient_norm_; }
  bool synchronous() const { return training_.policy.has_synchronous(); }
  // Exact, and with mean gradients that are summed in float32 and parameters that are rounded to
  // it.
  const ReferenceOptimizer& optimizer() const { return exact_; }
  const ReferenceOptimizer& rounded() const { return rounded_; }

 private:
  struct Folded {
    Push push;
    int64_t staleness = 0;
    double factor = 1;  // What its gradient is multiplied with.
    // The gradient as it is corrected; one for each of the two optimizers.
    std::vector<double> exact;
    std::vector<double> rounded;
  };
  void Advance();
  bool FoldOne();
  bool IsDue() const;
  int64_t PushesOf(size_t worker) const;
  // The mean weighted by examples; each push is wrong by that part of it.
  static ReferenceOptimizer::Gradient MeanOf(const std::vector<Folded>& pushes,
                                             std::vector<double> Folded::*values,
                                             bool rows_may_be_missing, double rounding);
  // A step of the window and these pushes.
  void MakeStep(std::vector<Folded> pushes);
  void AnswerPush(const Push& push, v1::PushOutcome outcome);
  Folded TakeWaiting(size_t index);
  // Where workers trained at, by step; for each of the two.
  struct Points {
    std::vector<double> exact;
    std::vector<double> rounded;
  };
  std::vector<Points> points_;

  Training training_;
  ReferenceOptimizer exact_;
  ReferenceOptimizer rounded_;
  std::deque<Push> waiting_;
  std::vector<Folded> window_;
  std::array<bool, kPairWorkers> live_ = {true, true};
  std::vector<Answer> answers_;
  bool paused_ = false;
  int64_t step_ = 0;
  int64_t examples_ = 0;
  double plateau_ = 1;
  double gradient_norm_ = 0;
  std::optional<double> loss_;
};

}  // namespace gradd

#endif  // GRADD_TESTS_CORE_RUN_PAIRS_REFERENCE_RUN_H_
