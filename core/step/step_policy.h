#ifndef GRADD_CORE_STEP_STEP_POLICY_H_
#define GRADD_CORE_STEP_STEP_POLICY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "gradd/v1/policy.pb.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// A complete push that waits, as policies see it.
struct WaitingPush {
  std::string worker;
  int64_t sequence = 0;
  int64_t base_step = 0;
  int64_t examples = 1;  // At least 1.
  double loss = 0;       // Finite.
  // Pushes of the same worker that lie in the window already.
  int64_t in_window = 0;
  // When it was complete, on the clock of PolicyState::now.
  absl::Duration complete_at = absl::ZeroDuration();
  bool cannot_be_corrected = false;  // There is no memory for it; see Verdict::compensation.
};

// A member that takes part, for those who ask whom a step waits for.
struct PolicyMember {
  std::string worker;
  bool expected = true;   // Whether steps wait for it.
  bool complete = false;  // All its pushes for the next step are in.
  int64_t ahead = 0;      // See StepPolicy::Releases().
};

// What a policy decides from: a plain value. All times are durations, so that a decision depends on
// no clock.
struct PolicyState {
  // Steps applied, with the one on its way: the step that pushes computed from the newest
  // parameters will be part of comes after so many.
  int64_t open_step = 0;
  // All workers that the run starts with have been there.
  bool formed = false;
  // Live members that steps wait for, and those of them whose pushes for the next step are all in.
  int64_t expected = 0;
  int64_t complete = 0;
  // Pushes that make a step: `window` of each worker, or in all; at least 1. See
  // Optimizer.accumulation_steps.
  int64_t window = 1;
  // Of those, how many lie in the window already, with so many examples and that mean loss.
  int64_t window_pushes = 0;
  int64_t window_examples = 0;
  double window_loss = 0;
  int64_t window_staleness = 0;  // Greatest among them, in steps.
  // In the order they came.
  absl::Span<const WaitingPush> waiting;
  // Since the first push for the next step was complete.
  absl::Duration waited;
  // The present, on a clock that began at any time.
  absl::Duration now;
  // The smoothed time from the push that makes a quorum to the last one for its step.
  absl::Duration quorum_lag;
  // The parameters of the steps from this one on are at hand, see StepPolicy::kept_steps().
  int64_t oldest_kept_step = 0;
  // The run ends with its server: nobody is waited for who need not be.
  bool ends = false;
  // All live members in the order of their ids. For Explain(); Decide() must not look at it.
  absl::Span<const PolicyMember> members;
};

// What is to be done with pushes that wait. Indices are those of PolicyState::waiting.
struct Verdict {
  enum class What {
    kWait,  // Nothing; only `dropped` is to be answered.
    kFold,  // `used` become part of the window, one after the other.
    kStep,  // The window, if there is anything in it, and `used` make a step, in that order.
  };
  struct Dropped {
    size_t index = 0;
    v1::PushOutcome outcome = v1::PUSH_OUTCOME_UNSPECIFIED;
  };

  What what = What::kWait;
  std::vector<size_t> used;
  std::vector<Dropped> dropped;
  double rate_factor = 1;  // What the schedule's rate is multiplied with.
  // Where one push is used: its gradient is corrected for its delay with this strength, 0: it is
  // not; and is then multiplied with that factor. See v1::DelayCompensation and v1::AgeDecay.
  double compensation = 0;
  double gradient_factor = 1;
  // kWait: something is to be done after so long, whether anything comes or not.
  absl::Duration wait_left = absl::InfiniteDuration();
  // kStep: when the quorum was complete, if there is one, on the clock of PolicyState::now.
  std::optional<absl::Duration> quorum_at;
  bool at_deadline = false;  // kStep: whoever is expected and not complete has missed it.
};

// Why no step happens, for people.
struct Explanation {
  std::vector<std::string> waits_for;  // Workers, in the order of their ids.
  int64_t enough = 0;                  // So many of them make the step; 0: all are needed.
  // When the step happens without them; infinite where it does not.
  absl::Duration until = absl::InfiniteDuration();
};

// How pushes become steps. Pure: the same state gives the same verdict. Immutable, so safe from any
// thread. A new one is a class in a file of its own and a row in MakeStepPolicy().
class StepPolicy {
 public:
  virtual ~StepPolicy() = default;

  // Whether a push of that base step, which begins now, can become part of a step; otherwise
  // what it is answered.
  virtual bool Admits(int64_t base_step, const PolicyState& state) const = 0;

  // Whether a worker may have fresh parameters and begin its next push, `ahead` of whose pushes
  // became part of steps beyond those of the slowest live worker. Called again when that changes.
  virtual bool Releases(int64_t /*ahead*/) const { return true; }
  // Whether it ever may not.
  virtual bool holds_back() const { return false; }

  // Whether something is to be done with what waits. Called after every change of the state.
  virtual Verdict Decide(const PolicyState& state) const = 0;

  // Whom the next step waits for. Called for people, with `state.members`.
  virtual Explanation Explain(const PolicyState& state) const = 0;

  // Whether a step is made of the pushes of several workers, of all that are expected or a quorum
  // of them: one push in flight then needs those of others. Otherwise each push is a step of its
  // own.
  virtual bool needs_others() const = 0;

  // Whether no step is made, before its deadline, without a worker that is expected.
  virtual bool needs_all() const { return needs_others(); }

  // How many complete pushes make a quorum of `expected` workers; 0: the policy has none.
  virtual int64_t QuorumOf(int64_t /*expected*/) const { return 0; }

  // How many workers the run waits for before its first step; 0: for none.
  virtual int64_t starts_with() const { return 0; }

  // How many missed steps in a row make a worker one that steps do not wait for; 0: none do.
  virtual int64_t forgives() const { return 0; }

  // The parameters of how many earlier steps it needs, to correct what was computed from them.
  virtual int64_t kept_steps() const { return 0; }

  // The most pushes that are staged at the same time for one step, if so many members are live.
  virtual int64_t PushesAStep(int64_t live) const = 0;
};

// The policy of a valid spec.
std::unique_ptr<const StepPolicy> MakeStepPolicy(const v1::SynchronizationPolicy& spec);

// OK, or INVALID_ARGUMENT naming field, value and range. `max_workers` is the server's limit of
// workers per run.
absl::Status ValidatePolicy(const v1::SynchronizationPolicy& spec, int64_t max_workers);

}  // namespace gradd

#endif  // GRADD_CORE_STEP_STEP_POLICY_H_
