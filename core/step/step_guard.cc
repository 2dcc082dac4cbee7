#include "core/step/step_guard.h"

#include <algorithm>
#include <cmath>
#include <new>

#include "absl/strings/str_format.h"
#include "core/base/error.h"

namespace gradd {
namespace {

constexpr double kSafeParameter = 0x1p30;
constexpr double kSafeRate = 0x1p20;
constexpr double kSafeSlot = 0x1p120;  // Times the rate.

}  // namespace

bool StepGuard::KnowsFinite(float largest_gradient, double rate) const {
  // Comparisons that are false for NaN.
  return largest_gradient <= kSafeGradient && largest_parameter_ <= kSafeParameter &&
         parameter_norm_ <= kSafeParameter && rate <= kSafeRate &&
         static_cast<double>(largest_slot_) * std::max(rate, 1.0) <= kSafeSlot;
}

void StepGuard::StepTaken(double parameter_norm) { parameter_norm_ = parameter_norm; }

void StepGuard::PlanChanged() {
  largest_parameter_ = std::max(largest_parameter_, static_cast<float>(parameter_norm_));
}

void StepGuard::Measure(const ParameterStore& store, Executor* pool) {
  largest_parameter_ = store.LargestParameter(pool);
  parameter_norm_ = 0;
  largest_slot_ = store.LargestSlot(pool);
}

StepUndo::StepUndo(const ParameterStore& store, const UpdatePlan& plan, MemoryBudget* budget)
    : store_(store.TakeSnapshot(SnapshotContents::kAll)),
      claim_(budget->TakeNow(MemoryUse::kScratch, plan.copied_bytes())) {
  if (claim_ == nullptr) throw std::bad_alloc();
}

bool StepUndo::SavePlan(const UpdatePlan& plan) {
  try {
    plan_ = plan.state();
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

bool StepUndo::Accept(const ParameterStore& store, const UpdatePlan& plan, Executor* pool,
                      StepGuard* guard) {
  guard->Measure(store, pool);
  return std::isfinite(guard->largest_parameter()) && std::isfinite(guard->largest_slot()) &&
         plan.StateIsFinite();
}

absl::Status StepUndo::Undo(ParameterStore* store, UpdatePlan* plan) const {
  try {
    GRADD_RETURN_IF_ERROR(store->Restore(*store_));
  } catch (const std::bad_alloc&) {
    return Error(absl::StatusCode::kResourceExhausted, "OUT_OF_MEMORY",
                 "the server's machine does not have the memory to undo a step");
  }
  return plan->Restore(plan_);
}

absl::Status GradientTooLargeError(float largest, absl::string_view why) {
  return Error(
      absl::StatusCode::kOutOfRange, "GRADIENT_TOO_LARGE",
      absl::StrFormat("an element of magnitude %.6g: %s; up to %.6g every gradient is taken",
                      largest, why, kSafeGradient));
}

}  // namespace gradd
