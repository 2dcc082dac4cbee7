#ifndef GRADD_CORE_STEP_STEP_GUARD_H_
#define GRADD_CORE_STEP_STEP_GUARD_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/base/executor.h"
#include "core/base/memory_budget.h"
#include "core/optim/update_plan.h"
#include "core/store/parameter_store.h"
#include "core/store/snapshot.h"

namespace gradd {

// A gradient whose elements are no larger than this is never refused: 1.1e12.
inline constexpr float kSafeGradient = 0x1p40F;

// Knows of a run's numbers how large they may be, and so which steps need no watching: those whose
// result is known to be finite before it is computed.
//
// That is so where no element of the gradient exceeds kSafeGradient = 2^40, no parameter 2^30, the
// rate not 2^20, nor a slot, times that rate, 2^120: hyper-parameters are at most 2^20, so that the
// products which the rules form of these (g * g, lr * g * g, decay * p, p * g) stay below 2^110,
// and a sum of 2^16 of them in a slot still in the range of float32, which ends at 2^128. A step
// beyond these bounds is taken out of place, is looked at, and can be undone (StepUndo).
//
// Not thread safe.
class StepGuard {
 public:
  // Of a run that begins with slots of its optimizers' own.
  explicit StepGuard(float largest_parameter) : largest_parameter_(largest_parameter) {}

  // Whether the result of a step is known to be finite. `rate`: the largest of any group.
  bool KnowsFinite(float largest_gradient, double rate) const;

  // After a step whose result is known to be finite: the L2 norm of all parameters that are ever
  // updated.
  void StepTaken(double parameter_norm);
  // Other parameters may be updated from now on.
  void PlanChanged();
  // After any other change.
  void Measure(const ParameterStore& store, Executor* pool);

  // As measured.
  float largest_parameter() const { return largest_parameter_; }
  float largest_slot() const { return largest_slot_; }

 private:
  float largest_parameter_;    // When it was measured.
  double parameter_norm_ = 0;  // After the last step; bounds what has changed since.
  float largest_slot_ = 0;     // When it was measured; later steps add what is safe.
};

// Everything that a step changes, as it was before: while one is held, steps write elsewhere.
class StepUndo {
 public:
  // Claims what SavePlan() will take as scratch. Throws std::bad_alloc if there is no room.
  StepUndo(const ParameterStore& store, const UpdatePlan& plan, MemoryBudget* budget);

  // Copies what the plan keeps, which takes long: after the constructor, before anything of a step,
  // and without a lock. False if the machine has no memory.
  bool SavePlan(const UpdatePlan& plan);

  // Whether parameters, slots and the plan's own state are finite after a step. Measures for
  // `guard`.
  static bool Accept(const ParameterStore& store, const UpdatePlan& plan, Executor* pool,
                     StepGuard* guard);

  // Of the store and the plan that it was made from; INVALID_ARGUMENT for others, and
  // RESOURCE_EXHAUSTED if the machine has no memory, with nothing changed.
  absl::Status Undo(ParameterStore* store, UpdatePlan* plan) const;

 private:
  std::shared_ptr<const Snapshot> store_;
  std::shared_ptr<MemoryBudget::Claim> claim_;
  PlanState plan_;
};

// Says to a worker `why` its push, with an element of that magnitude, is refused.
absl::Status GradientTooLargeError(float largest, absl::string_view why);

}  // namespace gradd

#endif  // GRADD_CORE_STEP_STEP_GUARD_H_
