#include "tests/core/run/pairs/live_change.h"

#include "tests/core/run/pairs/reference_run.h"

namespace gradd {
namespace {

v1::SynchronizationPolicy PolicySpec(Policy policy) {
  v1::SynchronizationPolicy spec;
  switch (policy) {
    case Policy::kSynchronous:
    case Policy::kSynchronousWindow:
    case Policy::kSynchronousDeadline:
      spec.mutable_synchronous()->set_workers(kPairWorkers);
      if (policy == Policy::kSynchronousDeadline) {
        spec.mutable_synchronous()->mutable_deadline()->set_seconds(1);
      }
      break;
    case Policy::kQuorumCarried:
      spec.mutable_synchronous()->set_workers(kPairWorkers);
      spec.mutable_synchronous()->set_quorum(1);
      spec.mutable_synchronous()->set_late_pushes(v1::LATE_PUSHES_CARRIED);
      break;
    case Policy::kAsynchronous:
    case Policy::kAsynchronousWindow:
      spec.mutable_asynchronous();
      break;
    case Policy::kAsynchronousSlower:
      spec.mutable_asynchronous()->set_correction(v1::STALENESS_CORRECTION_LEARNING_RATE);
      break;
    case Policy::kDelayCompensation:
      spec.mutable_asynchronous()->mutable_delay_compensation()->set_strength(0.25);
      break;
    case Policy::kAgeDecay:
      spec.mutable_asynchronous()->mutable_age_decay()->set_alpha(0.5);
      spec.mutable_asynchronous()->mutable_age_decay()->set_cutoff(7);
      break;
    case Policy::kBoundedStaleness:
      spec.mutable_bounded_staleness()->set_bound(2);
      break;
  }
  return spec;
}

}  // namespace

Training FirstTraining(const PairCase& pair) {
  Training training;
  training.row = pair.row;
  training.stage = pair.stage;
  training.schedule.set_learning_rate(pair.row->learning_rate);
  training.schedule.mutable_exponential_decay()->set_decay_rate(0.97);
  training.policy = PolicySpec(pair.policy);
  if (pair.policy == Policy::kSynchronousWindow) training.window = 2;
  if (pair.policy == Policy::kAsynchronousWindow) training.window = 3;
  return training;
}

ChangedTraining ChangeOf(const Training& training, LiveChange change, int64_t step) {
  ChangedTraining changed{training, {}};
  Training& next = changed.training;
  std::vector<std::string>& paths = changed.paths;
  v1::Schedule& schedule = next.schedule;
  switch (change) {
    case LiveChange::kRate:
      paths = {"schedule.learning_rate"};
      schedule.set_learning_rate(schedule.learning_rate() / 2);
      break;
    case LiveChange::kSchedule:
      paths = {"schedule.cosine_decay", "schedule.warm_up"};
      schedule.mutable_cosine_decay()->set_decay_steps(20);
      schedule.mutable_cosine_decay()->set_end_factor(0.1);
      schedule.mutable_warm_up()->set_steps(3);
      schedule.mutable_warm_up()->set_start_factor(0.25);
      schedule.set_begins_at(step);
      break;
    case LiveChange::kPlateau:
      paths = {"schedule.reduce_on_plateau"};
      schedule.mutable_reduce_on_plateau()->set_patience(0);
      schedule.mutable_reduce_on_plateau()->set_factor(kPlateauFactor);
      break;
    case LiveChange::kHyperParameters:
      paths = {"optimizer"};
      next.row = NextRowOfKind(*next.row, next.stage);
      break;
    case LiveChange::kKind:
      paths = {"optimizer", "schedule.learning_rate"};
      next.row = &RowOfOtherKind(*next.row);
      schedule.set_learning_rate(next.row->learning_rate);
      break;
    case LiveChange::kGroups:
      paths = {"groups"};
      next.right = Training::Right::kApart;
      break;
    case LiveChange::kFreeze:
      paths = {"groups"};
      next.right = Training::Right::kFrozen;
      break;
    case LiveChange::kPolicy:
      paths = {"policy"};
      next.policy =
          PolicySpec(next.policy.has_synchronous() ? Policy::kAsynchronous : Policy::kSynchronous);
      break;
    case LiveChange::kWindow:
      paths = {"optimizer.accumulation_steps"};
      next.window = next.window == 1 ? 2 : 1;
      break;
    case LiveChange::kClip:
      paths = {"optimizer.clip_by_global_norm"};
      next.clip_by_global_norm = 2;
      break;
    case LiveChange::kJoin:
      paths = {"optimizer.look_ahead", "optimizer.parameter_average"};
      next.joined = true;
      break;
    case LiveChange::kDecay:
      paths = {"optimizer.weight_decay", "optimizer.weight_decay_mode"};
      next.decay = 0.1;
      break;
    case LiveChange::kNone:
    case LiveChange::kMaxSteps:
    case LiveChange::kPause:
      break;
  }
  return changed;
}

}  // namespace gradd
