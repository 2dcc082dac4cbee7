#include "tests/core/run/schedules/random_spec.h"

#include <cstddef>

#include "absl/time/time.h"
#include "core/base/duration.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

constexpr int64_t kLarge = 64 * 1024 + 100;  // Its steps are made on the pool.

// In [0, count).
size_t Draw(std::mt19937_64* random, size_t count) {
  return std::uniform_int_distribution<size_t>(0, count - 1)(*random);
}

}  // namespace

v1::SynchronizationPolicy RandomPolicy(int64_t workers, std::mt19937_64* random) {
  v1::SynchronizationPolicy policy;
  const size_t kind = Draw(random, 7);
  if (kind < 2) {
    policy.mutable_bounded_staleness()->set_bound(static_cast<int64_t>(Draw(random, 4)));
  } else if (kind < 5) {
    v1::Synchronous& synchronous = *policy.mutable_synchronous();
    synchronous.set_workers(static_cast<int32_t>(workers));
    *synchronous.mutable_deadline() =
        ToProto(absl::Milliseconds(100 * (1 + static_cast<int64_t>(Draw(random, 20)))));
    if (Draw(random, 2) == 0)
      synchronous.set_missed_deadlines(static_cast<int32_t>(Draw(random, 4)));
    if (Draw(random, 2) == 0) {
      synchronous.set_quorum(1 + static_cast<int32_t>(Draw(random, static_cast<size_t>(workers))));
      const size_t grace = Draw(random, 4);
      if (grace == 0) synchronous.set_adaptive_grace(true);
      if (grace > 1)
        *synchronous.mutable_grace() =
            ToProto(absl::Milliseconds(50 * static_cast<int64_t>(Draw(random, 10))));
    }
    if (Draw(random, 3) == 0) synchronous.set_late_pushes(v1::LATE_PUSHES_CARRIED);
  } else {
    v1::Asynchronous& asynchronous = *policy.mutable_asynchronous();
    if (Draw(random, 2) == 0) asynchronous.set_max_staleness(static_cast<int64_t>(Draw(random, 4)));
    switch (Draw(random, 6)) {
      case 0:
        asynchronous.set_correction(v1::STALENESS_CORRECTION_LEARNING_RATE);
        break;
      case 1: {
        v1::DelayCompensation& compensation = *asynchronous.mutable_delay_compensation();
        compensation.set_strength(0.25 * static_cast<double>(1 + Draw(random, 4)));
        if (Draw(random, 2) == 0)
          compensation.set_kept_steps(1 + static_cast<int>(Draw(random, 3)));
        if (Draw(random, 2) == 0) compensation.set_old_bases(v1::OLD_BASES_UNCORRECTED);
        break;
      }
      case 2:
        asynchronous.mutable_age_decay()->set_alpha(0.25 * static_cast<double>(Draw(random, 4)));
        if (Draw(random, 2) == 0)
          asynchronous.mutable_age_decay()->set_cutoff(1 + static_cast<int64_t>(Draw(random, 4)));
        break;
      default:
        break;
    }
  }
  return policy;
}

v1::Optimizer RandomOptimizer(std::mt19937_64* random) {
  v1::Optimizer optimizer;
  switch (Draw(random, 6)) {
    case 0:
      optimizer.mutable_adam();
      break;
    case 1:
      optimizer.mutable_momentum();
      break;
    default:
      optimizer.mutable_sgd();
      break;
  }
  if (Draw(random, 2) == 0)
    optimizer.set_accumulation_steps(1 + static_cast<int32_t>(Draw(random, 3)));
  if (Draw(random, 4) == 0)
    optimizer.mutable_skip_non_finite()->set_max_in_a_row(
        static_cast<int32_t>(1 + Draw(random, 3)));
  return optimizer;
}

SpecChange RandomChange(int64_t workers, std::mt19937_64* random) {
  SpecChange change;
  switch (Draw(random, 4)) {
    case 0:
      change.values.mutable_schedule()->set_learning_rate(
          0.01 * static_cast<double>(1 + Draw(random, 20)));
      change.mask.add_paths("schedule");
      break;
    case 1:
      change.values.mutable_optimizer()->set_accumulation_steps(
          1 + static_cast<int32_t>(Draw(random, 3)));
      change.mask.add_paths("optimizer.accumulation_steps");
      break;
    case 2:
      *change.values.mutable_optimizer() = RandomOptimizer(random);
      change.mask.add_paths("optimizer");
      break;
    default:
      *change.values.mutable_policy() = RandomPolicy(workers, random);
      change.mask.add_paths("policy");
      break;
  }
  return change;
}

v1::Run RandomSpec(int64_t workers, std::mt19937_64* random) {
  v1::Run spec = AsynchronousSpec(
      Draw(random, 12) == 0
          ? kLarge
          : 1 + static_cast<int64_t>(Draw(random, Draw(random, 4) == 0 ? 3000 : 60)));
  *spec.mutable_optimizer() = RandomOptimizer(random);
  *spec.mutable_policy() = RandomPolicy(workers, random);
  spec.mutable_schedule()->set_learning_rate(0.01 * static_cast<double>(1 + Draw(random, 20)));
  if (Draw(random, 4) == 0) spec.set_max_steps(1 + static_cast<int64_t>(Draw(random, 30)));
  if (Draw(random, 3) == 0) {
    v1::DataSet& data = *spec.mutable_data();
    data.set_batch_size(1 + static_cast<int64_t>(Draw(random, 4)));
    data.set_examples(data.batch_size() + static_cast<int64_t>(Draw(random, 80)));
    data.set_epochs(1 + static_cast<int64_t>(Draw(random, 3)));
    data.set_most_skips(1 + static_cast<int64_t>(Draw(random, 3)));
  }
  *spec.mutable_lease_duration() =
      ToProto(absl::Milliseconds(1000 + 500 * static_cast<int64_t>(Draw(random, 5))));
  return spec;
}

}  // namespace gradd
